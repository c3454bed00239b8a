/* llama.cpp as a reference and as a yardstick: its libraries from npm, opened at run time.
 *
 * The libraries are @node-llama-cpp/linux-x64's, their ABI is that of the llama.h in the source bundle of
 * node-llama-cpp of the same version (tests/npm/setup puts both under tests/npm/node_modules). Tests and
 * benchmarks only; the program never links this. One model and one sequence per handle; CPU only; callers
 * take the time themselves. One thread.
 *
 * In a meson.build under tests/ or bench/:
 *     if llama_ref_dep.found()
 *       test(..., executable(..., dependencies: [llama_ref_dep, ...]))
 *     else
 *       test(..., llama_absent)     # skipped, or failed where CI=true
 *     endif */
#ifndef SSW_TESTS_LLAMA_REF_H
#define SSW_TESTS_LLAMA_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ssw_llama ssw_llama;

enum {
    SSW_LLAMA_VOCAB_ONLY = 1 << 0, /* tokenizer only: no weights are loaded, no eval */
    SSW_LLAMA_KV_F32 = 1 << 1,     /* keys and values in F32 instead of F16 */
    SSW_LLAMA_NO_FLASH = 1 << 2,   /* attention as separate products; the default is llama.cpp's own choice */
    SSW_LLAMA_NO_REPACK = 1 << 3,  /* weights as they are in the file, without llama.cpp's faster layouts */
    SSW_LLAMA_VERBOSE = 1 << 4     /* llama.cpp's own log on stderr */
};

typedef struct ssw_llama_options {
    const char *libraries; /* folder; NULL: where tests/npm/setup puts them */
    const char *model_path;
    int32_t n_ctx;     /* 0: 2048 */
    int32_t n_threads; /* 0: 1 */
    int32_t n_batch;   /* tokens per step, physical too; 0: 512 */
    unsigned flags;
} ssw_llama_options;

ssw_status ssw_llama_open(const ssw_llama_options *options, ssw_llama **out, ssw_error *err);
void ssw_llama_close(ssw_llama *llama); /* NULL is allowed */

int32_t ssw_llama_vocab_size(const ssw_llama *llama);
bool ssw_llama_is_end(const ssw_llama *llama, int32_t id);

/* Without a BOS token. At most max ids; SSW_ERR_LIMIT when there are more. */
ssw_status ssw_llama_tokenize(const ssw_llama *llama, const char *text, size_t n_bytes, bool parse_special,
                              int32_t *ids, size_t max, size_t *n, ssw_error *err);
/* The bytes of one token, control tokens written out; returns their number, at most max. */
size_t ssw_llama_piece(const ssw_llama *llama, int32_t id, char *out, size_t max);

/* Appends tokens to the sequence, n_batch at a time. With all_logits those of every token of this call are
 * kept (then n must not exceed n_batch), otherwise of the last one. */
ssw_status ssw_llama_eval(ssw_llama *llama, const int32_t *tokens, size_t n, bool all_logits, ssw_error *err);
/* [n_vocab], borrowed until the next eval: of the last token, or of token i of an eval with all_logits. */
const float *ssw_llama_logits(const ssw_llama *llama);
const float *ssw_llama_logits_at(const ssw_llama *llama, int32_t i);
/* The id of the largest of the last logits. */
int32_t ssw_llama_greedy(const ssw_llama *llama);
/* Forgets the sequence. */
void ssw_llama_reset(ssw_llama *llama);

/* llama-quantize: file_type is general.file_type's number. */
ssw_status ssw_llama_quantize(const char *from, const char *to, uint32_t file_type, ssw_error *err);

#endif
