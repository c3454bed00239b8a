/* What an arm's arguments say of experts, in bytes: what its report must find moved. Pure. */
#ifndef SSW_BENCH_RUN_OFFLOAD_CLAIM_H
#define SSW_BENCH_RUN_OFFLOAD_CLAIM_H

#include <stdbool.h>

#include "bench/evidence/sample.h"
#include "bench/plan/plan.h"

enum { SSW_OFFLOAD_LAYERS_MAX = 1024, SSW_OFFLOAD_CACHE_MIB_MAX = 1 << 30 };

typedef struct ssw_expert_layers {               /* of a GGUF file */
    int64_t layer_bytes[SSW_OFFLOAD_LAYERS_MAX]; /* of the routed experts' matrices */
    bool known;
} ssw_expert_layers;

/* Bytes of expert tensors that the arm keeps in host memory by --cpu-moe or --n-cpu-moe (0 without either),
 * less what --moe-cache-mib keeps on the GPU too. SSW_EVIDENCE_NONE when that cannot be told: other options
 * place tensors by name, or the file is not known.
 */
int64_t ssw_offload_claim(const ssw_plan_arm *arm, const ssw_expert_layers *layers);

#endif
