/* The stand-in's largest logits: each time the first of the largest that are left. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stand_in_parts.h"

uint64_t ssw_cuda_top_scratch_words(int32_t n)
{
    return (uint64_t)n;
}

static void find_top(const float *logits, int32_t n_vocab, ssw_cuda_top_logit *out)
{
    float *left = malloc((size_t)n_vocab * sizeof *left);
    if (!left)
        stand_in_end("no memory for logits");
    memcpy(left, logits, (size_t)n_vocab * sizeof *left);
    for (int k = 0; k < SSW_CUDA_TOP_LOGITS; k++) {
        out[k] = (ssw_cuda_top_logit){-INFINITY, -1};
        for (int32_t i = 0; i < n_vocab; i++) {
            if (isfinite(left[i]) && left[i] > out[k].logit)
                out[k] = (ssw_cuda_top_logit){left[i], i};
        }
        if (out[k].token >= 0)
            left[out[k].token] = -INFINITY;
    }
    free(left);
}

static void run_top(const void *given)
{
    const ssw_cuda_top_args *args = given;
    uint64_t n = (uint64_t)args->n;
    stand_in_require(args->logits, n * (uint64_t)args->n_vocab * sizeof(float), "logits");
    stand_in_require(args->scratch, ssw_cuda_top_scratch_words(args->n) * sizeof(uint64_t), "top's scratch");
    stand_in_require(args->out, n * SSW_CUDA_TOP_LOGITS * sizeof *args->out, "the largest logits");
    for (int32_t r = 0; r < args->n; r++)
        find_top(args->logits + (int64_t)r * args->n_vocab, args->n_vocab,
                 args->out + r * SSW_CUDA_TOP_LOGITS);
}

void ssw_cuda_top(ssw_cuda_stream stream, const ssw_cuda_top_args *args)
{
    assert(args->n >= 1 && args->n_vocab >= 1);
    stand_in_enqueue(stream, run_top, args, sizeof *args);
}
