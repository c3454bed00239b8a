/* pass@k, first divergence, cosine. */
#include "bench/quality/measures.h"

#include <math.h>

double ssw_quality_pass_at_k(int n, int c, int k)
{
    if (c < 0 || c > n || k < 1 || k > n)
        return NAN;
    if (n - c < k)
        return 1;
    double all_fail = 1;
    for (int i = n - c + 1; i <= n; i++)
        all_fail *= 1 - (double)k / i;
    return 1 - all_fail;
}

int64_t ssw_quality_first_divergence(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t n = n_a < n_b ? n_a : n_b, i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i == n && n_a == n_b ? -1 : (int64_t)i;
}

double ssw_quality_agreement(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    int64_t at = ssw_quality_first_divergence(a, n_a, b, n_b);
    return at < 0 ? 1 : (double)at / (double)(n_a > n_b ? n_a : n_b);
}

double ssw_quality_cosine(const double *a, const double *b, size_t n)
{
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        dot += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? dot / (sqrt(aa) * sqrt(bb)) : NAN;
}
