/* A placement under way; shared by engine_plan.c (decides, loads) and plan_report.c (says what came of it).
 */
#ifndef SSW_ENGINE_PLAN_PARTS_H
#define SSW_ENGINE_PLAN_PARTS_H

#include "engine/engine_parts.h"
#include "place/override.h"

typedef struct ssw_plan_work {
    ssw_place_item *items; /* the weights' entries, the layers' KV caches, and the three that follow */
    int32_t n_items, n_weights;
    ssw_place_item *host_buffers, *gpu_buffers, *expert_cache;
    ssw_place_overrides *overrides;
    ssw_place_device devices[SSW_PLACE_DEVICES_MAX];
    ssw_place_request request;
    ssw_gpu_device gpu;
    int32_t cpu_moe_share;   /* per cent; negative: by the machine's kind */
    double copy_bytes_per_s; /* 0: measured */
    ssw_forward_setup forward;
    ssw_gpu_setup gpu_setup;
} ssw_plan_work;

/* What the flags did, as information, or loudly where that is nothing. */
void ssw_plan_say_flags(const ssw_engine *engine, const ssw_engine_options *options, const ssw_plan_work *p,
                        const ssw_place_summary *summary);

/* After loading: the table of the description. */
void ssw_plan_fill_places(ssw_engine *engine, ssw_plan_work *p);

#endif
