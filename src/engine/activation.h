/* A model's activation, as the CPU's operations name it. */
#ifndef SSW_ENGINE_ACTIVATION_H
#define SSW_ENGINE_ACTIVATION_H

#include "cpu/ops.h"
#include "model/model.h"

static inline void ssw_set_activation(ssw_cpu_moe_args *args, const ssw_model_hparams *h)
{
    args->glu =
        h->activation == SSW_MODEL_ACTIVATION_SWIGLU_OAI ? SSW_CPU_GLU_SILU_CLAMPED : SSW_CPU_GLU_SILU;
    args->glu_alpha = h->activation_alpha;
    args->glu_limit = h->activation_limit;
}

#endif
