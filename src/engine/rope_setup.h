/* A model's rotary frequencies for a length of context. */
#ifndef SSW_ENGINE_ROPE_SETUP_H
#define SSW_ENGINE_ROPE_SETUP_H

#include "cpu/ops.h"
#include "model/model.h"

/* SSW_ERR_FORMAT when the model's own divisors of the frequencies are no numbers above zero. */
ssw_status ssw_rope_setup(const ssw_model *model, int32_t ctx_size, ssw_cpu_rope *out, ssw_error *err);

#endif
