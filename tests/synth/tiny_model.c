/* See the header. */
#include "../cmocka_all.h"

#include "tiny_model.h"

#include <math.h>

#include "synth/synth.h"
#include "tiny_shape.h"

const char *const tiny_quants[] = {"F32",    "F16",  "BF16",   "Q8_0",   "Q4_0",   "MXFP4",
                                   "Q4_1",   "Q5_0", "Q5_1",   "Q2_K",   "Q3_K_M", "Q4_K_M",
                                   "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS", NULL};

void write_tiny_model(const ssw_shape *published, const char *quant, double skew, const char *path)
{
    ssw_shape shape = tiny_shape(published);
    ssw_synth_options o = {.shape = &shape,
                           .mix = quant ? ssw_synth_find_mix(quant) : NULL,
                           .n_vocab = TINY_VOCAB,
                           .seed = 9,
                           .skew = skew};
    ssw_synth_run run = {.n_threads = 2};
    ssw_synth_result result;
    ssw_error err = {0};
    if (ssw_synth_options_resolve(&o, &err) != SSW_OK ||
        ssw_synth_write(&o, path, &run, &result, &err) != SSW_OK)
        fail_msg("%s, %s: %s", published->name, quant ? quant : "own type", err.message);
}

void fill_tiny_prompt(int32_t ids[TINY_PROMPT])
{
    for (int i = 0; i < TINY_PROMPT; i++)
        ids[i] = (i * 577 + 11) % (TINY_VOCAB - 64);
}

void expect_sane_logits(const float *logits)
{
    double squares = 0;
    for (int i = 0; i < TINY_VOCAB; i++) {
        assert_true(isfinite(logits[i]));
        squares += (double)logits[i] * (double)logits[i];
    }
    double rms = sqrt(squares / TINY_VOCAB);
    if (rms < 0.8 || rms > 1.25)
        fail_msg("logits have rms %g", rms);
}
