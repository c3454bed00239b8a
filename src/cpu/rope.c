/* Rotary position frequencies, plain and YaRN.   https://arxiv.org/abs/2309.00071 */
#include <assert.h>
#include <math.h>

#include "cpu/ops.h"

/* The (fractional) pair whose wave makes `turns` turns over the original context. */
static double find_pair(const ssw_cpu_rope_config *config, double turns)
{
    const double pi = 3.14159265358979323846;
    return config->n_rot * log((double)config->original_ctx / (turns * 2 * pi)) /
           (2 * log((double)config->freq_base));
}

void ssw_cpu_rope_init(ssw_cpu_rope *rope, const ssw_cpu_rope_config *config)
{
    assert(config->n_rot >= 0 && config->n_rot % 2 == 0 && config->n_rot <= SSW_CPU_HEAD_DIM_MAX);
    bool yarn = config->factor > 1;
    double low = 0, high = 0;
    *rope = (ssw_cpu_rope){.n_pairs = config->n_rot / 2, .scale = 1};
    if (yarn) {
        low = find_pair(config, (double)config->beta_fast);
        high = find_pair(config, (double)config->beta_slow);
        if (config->truncate) {
            low = floor(low);
            high = ceil(high);
        }
        low = fmax(low, 0);
        high = fmin(high, config->n_rot - 1);
        if (high <= low)
            high = low + 0.001;
        rope->scale = (float)(0.1 * log((double)config->factor) + 1);
    }
    if (config->attention_factor > 0)
        rope->scale = config->attention_factor;
    for (int32_t i = 0; i < rope->n_pairs; i++) {
        double freq = pow((double)config->freq_base, -2.0 * i / config->n_rot);
        if (config->freq_divisors)
            freq /= (double)config->freq_divisors[i];
        if (yarn) { /* fast pairs keep their frequency, slow ones are stretched */
            double slowness = fmin(fmax((i - low) / (high - low), 0), 1);
            freq = freq * (1 - slowness) + freq / (double)config->factor * slowness;
        }
        rope->inv_freq[i] = (float)freq;
    }
}

void ssw_cpu_rope_angles(const ssw_cpu_rope *rope, int32_t position, float *cos_sin)
{
    for (int32_t i = 0; i < rope->n_pairs; i++) {
        float angle = (float)position * rope->inv_freq[i]; /* in float, as the models were trained */
        cos_sin[i] = cosf(angle) * rope->scale;
        cos_sin[rope->n_pairs + i] = sinf(angle) * rope->scale;
    }
}
