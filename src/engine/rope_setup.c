/* See the header. */
#include "engine/rope_setup.h"

#include <string.h>

#define FREQ_DIVISOR_MAX 1e9f

/* The model's divisors for this length of context; false when it has none. */
static bool read_divisors(const ssw_model *model, int32_t ctx_size, float divisors[SSW_CPU_ROPE_PAIRS_MAX])
{
    bool is_long = ctx_size > model->hparams.rope.original_context;
    const ssw_gguf_tensor *tensor =
        ssw_model_tensor(model, -1, is_long ? SSW_MODEL_ROPE_LONG : SSW_MODEL_ROPE_SHORT);
    if (tensor)
        memcpy(divisors, tensor->data, (size_t)model->hparams.rope.n_dims / 2 * sizeof *divisors);
    return tensor != NULL;
}

ssw_status ssw_rope_setup(const ssw_model *model, int32_t ctx_size, ssw_cpu_rope *out, ssw_error *err)
{
    const ssw_model_rope *rope = &model->hparams.rope;
    float divisors[SSW_CPU_ROPE_PAIRS_MAX];
    bool has_divisors = read_divisors(model, ctx_size, divisors);
    ssw_cpu_rope_config config = {.n_rot = rope->n_dims,
                                  .freq_base = rope->freq_base,
                                  .factor = rope->factor,
                                  .original_ctx = (float)rope->original_context,
                                  .beta_fast = rope->beta_fast,
                                  .beta_slow = rope->beta_slow,
                                  .truncate = rope->round_range,
                                  .attention_factor = rope->magnitude,
                                  .freq_divisors = has_divisors ? divisors : NULL};
    for (int32_t i = 0; has_divisors && i < rope->n_dims / 2; i++) {
        if (!(divisors[i] > 0 && divisors[i] < FREQ_DIVISOR_MAX))
            return ssw_error_set(err, SSW_ERR_FORMAT, "factor %d of the RoPE frequencies is %g, expected > 0",
                                 (int)i, (double)divisors[i]);
    }
    ssw_cpu_rope_init(out, &config);
    return SSW_OK;
}
