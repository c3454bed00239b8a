/* How far two replies to one prompt lie apart, and how often programs pass. Pure: no clock, no I/O. */
#ifndef SSW_BENCH_QUALITY_MEASURES_H
#define SSW_BENCH_QUALITY_MEASURES_H

#include <stddef.h>
#include <stdint.h>

/* The chance that at least one of k samples drawn without replacement from n passes, of which c did:
 * 1 - C(n - c, k) / C(n, k), the unbiased estimator of pass@k (Chen et al. 2021, arXiv:2107.03374, equation
 * 1), as the product 1 - prod (1 - k / i) over i = n - c + 1 .. n. NAN unless 0 <= c <= n and 1 <= k <= n. */
double ssw_quality_pass_at_k(int n, int c, int k);

/* The index of the first token in which the two differ; the shorter length when one begins the other; -1 when
 * they are equal. */
int64_t ssw_quality_first_divergence(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

/* Tokens before the first divergence over the longer length; 1 for two empty or equal replies. */
double ssw_quality_agreement(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

/* a . b / (|a| |b|) of two vectors of n numbers; NAN for n = 0 and where one has no length. */
double ssw_quality_cosine(const double *a, const double *b, size_t n);

#endif
