/* From a plan for speed to the plan of its quality phase. */
#ifndef SSW_BENCH_RUN_QUALITY_PLAN_H
#define SSW_BENCH_RUN_QUALITY_PLAN_H

#include "bench/plan/plan.h"
#include "bench/quality/problems.h"

enum { SSW_QUALITY_SAMPLES_MAX = 200, SSW_QUALITY_TOP_LOGPROBS = 10 };

typedef struct ssw_quality_options {
    bool wanted;
    int samples;                /* of each prompt on each arm */
    int max_tokens;             /* replies end by themselves before */
    double temperature;         /* negative: the plan's */
    double margin;              /* of every equivalence test */
    const char *embeddings_url; /* NULL: the last arm's own server is asked */
    const char *problems;       /* the problem file's text */
} ssw_quality_options;

/* 5 samples, 512 tokens, the plan's temperature, margin 0.05, the built-in problems. */
void ssw_quality_options_init(ssw_quality_options *options);

/* The same arms, and the first once more (A/A) unless an arm already repeats it; the plan's prompts,
 * then the problems with their names as labels; natural length, one block, log-probabilities asked for. *out
 * owns copies of everything. Errors for what does not fit the plan's limits. */
ssw_status ssw_quality_make_plan(const ssw_plan *plan, const ssw_quality_options *options,
                                 const ssw_problems *problems, ssw_plan *out, ssw_error *err);

#endif
