/* See the header. */
#include "logits.h"

#include <math.h>

int32_t largest_logit(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

static double log_sum_exp(const float *logits, int32_t n)
{
    double max = (double)logits[largest_logit(logits, n)], sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum);
}

double divergence(const float *p, const float *q, int32_t n)
{
    double p_norm = log_sum_exp(p, n), q_norm = log_sum_exp(q, n), kl = 0;
    for (int32_t i = 0; i < n; i++) {
        double log_p = (double)p[i] - p_norm, log_q = (double)q[i] - q_norm;
        kl += exp(log_p) * (log_p - log_q);
    }
    return kl;
}

float max_difference(const float *a, const float *b, int64_t n)
{
    float max = 0;
    for (int64_t i = 0; i < n; i++) {
        float d = fabsf(a[i] - b[i]);
        if (!(d <= max))
            max = isnan(d) ? INFINITY : d;
    }
    return max;
}
