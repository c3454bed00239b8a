/* What an engine consists of; shared by the files of src/engine. */
#ifndef SSW_ENGINE_ENGINE_PARTS_H
#define SSW_ENGINE_ENGINE_PARTS_H

#include "base/pool.h"
#include "engine/forward.h"
#include "engine/gpu.h"
#include "engine/kvcache.h"
#include "engine/pass.h"
#include "engine/scheduler.h"
#include "engine/weights.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "place/place.h"
#include "seesaw/engine.h"
#include "token/chat.h"
#include "token/tokenizer.h"

struct ssw_session {
    ssw_engine *engine;
    int32_t sequence;
    int32_t length;
    int32_t highest; /* the longest it has been since it was last empty: what rings have overwritten */
    bool is_open;
};

enum { SSW_ENGINE_NAME_MAX = 256 };

struct ssw_engine {
    ssw_log log;
    ssw_engine_info info;
    char name[SSW_ENGINE_NAME_MAX];
    ssw_gguf *gguf;
    ssw_model model;
    ssw_tokenizer *tokenizer; /* NULL when the file has none */
    ssw_chat *chat;
    ssw_pool *pool;
    ssw_weights weights;
    ssw_kvcache cache;
    ssw_forward *forward;   /* of the layers in host memory; NULL when there are none */
    ssw_gpu *gpu;           /* of the others; NULL when there are none */
    int32_t n_expert_slots; /* of the GPU's expert cache */
    ssw_pass pass;
    ssw_pass_cursor cursors[SSW_ENGINE_PARALLEL_MAX];
    ssw_session sessions[SSW_ENGINE_PARALLEL_MAX];
    ssw_scheduler_slot scheduler_slot;
    bool has_scheduler_slot;
};

#endif
