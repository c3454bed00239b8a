/* One arm against another on one metric: every interval, every test, and the verdict. Pure: this is what a
 * report and the simulations of tests/bench/stats both call.
 *
 * Two steps. ssw_stats_compare makes the intervals of one comparison. ssw_stats_judge_family then gives
 * verdicts to all comparisons that are tested together, since the more one tests, the more one finds. */
#ifndef SSW_BENCH_STATS_COMPARISON_H
#define SSW_BENCH_STATS_COMPARISON_H

#include <stdbool.h>

#include "bench/stats/bootstrap.h"
#include "bench/stats/hypothesis.h"

typedef enum ssw_verdict {
    SSW_VERDICT_TOO_FEW,   /* fewer than two pairs, or one block of a design with blocks */
    SSW_VERDICT_NOT_SHOWN, /* no difference was shown, nor was its absence: see equivalent */
    SSW_VERDICT_HIGHER,
    SSW_VERDICT_LOWER
} ssw_verdict;

typedef struct ssw_pair { /* the same prompt and run on both arms */
    double log_ratio;     /* ln(arm / first arm), finite */
    size_t block;         /* 0 .. n_blocks − 1 */
    double order;         /* +1 where the first arm ran before the other, −1 where after */
    bool flagged;         /* one of the two samples carries a validity flag */
} ssw_pair;

typedef struct ssw_compare_rules {
    size_t n_blocks;           /* 0: a design without blocks */
    size_t df_max;             /* of a run whose length was chosen by its interval's width; 0: no limit */
    double equivalence_margin; /* 0.02 for 2 %; 0: none was declared */
    bool thorough;             /* BCa intervals and the detectable ratio too, which cost more */
    uint64_t seed;             /* of the bootstrap */
} ssw_compare_rules;

typedef struct ssw_comparison { /* an arm over the first arm */
    ssw_ratio by_pair;
    ssw_ratio by_block;          /* a block's mean over its pairs */
    ssw_ratio clean;             /* pairs of which neither sample carries a flag */
    ssw_bca bca_pair, bca_block; /* of the mean log-ratio; the ends are ratios. NAN without bootstrap */
    ssw_order_effect order;      /* over blocks; over pairs in a design without */
    double detectable;           /* the smallest ratio that shows at best: the larger of pairs' and blocks' */
    double p;                    /* of "the ratio is 1": the larger of pairs' and blocks' */
    double p_holm;               /* p among all that were tested together; set by judge_family */
    double equivalence_p;        /* TOST, the larger of pairs' and blocks'; NAN without a margin */
    bool equivalent;             /* equivalence_p is at most SSW_STATS_LEVEL */
    double noise_floor;          /* the factor that the A/A comparison leaves open; NAN without one */
    ssw_verdict verdict;         /* set by judge_family */
} ssw_comparison;

/* SSW_ERR_NOMEM for scratch. */
ssw_status ssw_stats_compare(const ssw_pair *pairs, size_t n, const ssw_compare_rules *rules,
                             ssw_comparison *out, ssw_error *err);

/* What a difference must exceed, from the same arm measured twice: the half width of its interval (the wider
 * of pairs' and blocks'); where even that interval leaves 1, its farther end. A factor ≥ 1; NAN when there
 * are fewer than two pairs, or only one block of a design with blocks. */
double ssw_stats_noise_floor(const ssw_comparison *same);

/* Verdicts for n comparisons that are tested together. floors[i]: of comparison i, NAN for none; may be NULL.
 * One block says nothing of how server starts scatter, so no verdict comes of it.
 * A difference is claimed where Holm's p is at most SSW_STATS_LEVEL, pairs and blocks agree on the side, and
 * the ratio is farther from 1 than the noise floor. */
ssw_status ssw_stats_judge_family(ssw_comparison *const *family, const double *floors, size_t n,
                                  ssw_error *err);

#endif
