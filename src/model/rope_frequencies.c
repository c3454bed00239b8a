/* RoPE frequencies with YaRN's "NTK by parts" interpolation. */
#include <math.h>

#include "model/model.h"

/* The (real-valued) dimension whose pair turns this many times within the original context. */
static double dimension_of_turns(const ssw_model_rope *rope, double turns)
{
    double pi = acos(-1.0);
    return rope->n_dims * log(rope->original_context / (turns * 2 * pi)) / (2 * log(rope->freq_base));
}

void ssw_model_rope_frequencies(const ssw_model_rope *rope, float *frequencies, float *magnitude)
{
    double low = dimension_of_turns(rope, rope->beta_fast);
    double high = dimension_of_turns(rope, rope->beta_slow);
    if (rope->round_range) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, rope->n_dims - 1);
    double width = fmax(high - low, 0.001);
    for (int32_t i = 0; i < rope->n_dims / 2; i++) {
        double own = pow(rope->freq_base, -2.0 * i / rope->n_dims);
        double stretched = fmin(fmax((i - low) / width, 0), 1); /* 0: fast pairs, kept as they are */
        frequencies[i] = (float)(own * (1 - stretched) + own / rope->factor * stretched);
    }
    *magnitude = rope->factor > 1 ? 1.0f + 0.1f * logf(rope->factor) : 1.0f;
}
