/* Equivalence of two arms within a margin, by two one-sided t tests on paired differences (TOST; Schuirmann,
 * J. Pharmacokin. Biopharm. 15, 1987, 657-680). Pure: no clock, no I/O.
 *
 * A t test that shows no difference proves nothing; this one can prove that a difference, if there is one, is
 * smaller than the margin. Equivalent at the 5 % level is the same as: the 90 % interval of the mean
 * difference lies inside (-margin, margin). ssw_stats_equivalence_p is the same for ratios. */
#ifndef SSW_BENCH_STATS_EQUIVALENCE_H
#define SSW_BENCH_STATS_EQUIVALENCE_H

#include <stddef.h>

#include "bench/stats/hypothesis.h"

typedef enum ssw_equivalence_verdict {
    SSW_EQUIVALENCE_TOO_FEW,   /* fewer than two pairs */
    SSW_EQUIVALENCE_SHOWN,     /* p < 0.05 */
    SSW_EQUIVALENCE_DIFFERENT, /* the 90 % interval lies wholly outside the margin */
    SSW_EQUIVALENCE_NOT_SHOWN  /* it holds an end of the margin: N is too small to tell */
} ssw_equivalence_verdict;

typedef struct ssw_equivalence {
    size_t n;               /* pairs */
    double mean;            /* of the differences; NAN when n = 0 */
    double sd;              /* over n - 1; NAN when n < 2 */
    double ci_low, ci_high; /* 90 %, two-sided; NAN when n < 2 */
    double p;               /* the larger of the two one-sided p values; NAN when n < 2 */
    ssw_equivalence_verdict verdict;
} ssw_equivalence;

/* margin > 0, in the unit of the differences, which must be finite. Differences without any scatter have an
 * interval of no width. */
void ssw_stats_equivalence(const double *differences, size_t n, double margin, ssw_equivalence *out);

#endif
