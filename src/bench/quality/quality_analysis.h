/* What a quality folder shows: each arm against the first, beside the first against itself. No output here.
 *
 * A pair is one prompt and one sample number on two arms: the same text and the same seed. The null is the
 * same pair of the first arm and of its repetition. Values of one prompt's samples hang together, so each
 * prompt counts once, by its mean; differences are of prompts. Plain data, owned by the handle. */
#ifndef SSW_BENCH_QUALITY_QUALITY_ANALYSIS_H
#define SSW_BENCH_QUALITY_QUALITY_ANALYSIS_H

#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/quality_files.h"
#include "bench/quality/problems.h"
#include "bench/stats/equivalence.h"
#include "bench/stats/summary.h"

typedef enum ssw_quality_measure {
    SSW_QUALITY_PASS_1,    /* of the arm itself: pass@1 */
    SSW_QUALITY_PASS_N,    /* pass@n, n the samples of a problem; the same as PASS_1 for n = 1 */
    SSW_QUALITY_AGREEMENT, /* of a pair: tokens before the first divergence / the longer reply's */
    SSW_QUALITY_KL,        /* of a pair: lower bound of KL(first || arm), mean nats per token compared */
    SSW_QUALITY_COSINE,    /* of a pair: of the replies' embeddings */
    SSW_QUALITY_COUNT
} ssw_quality_measure;

typedef struct ssw_quality_traits {
    const char *key, *name, *unit, *formula;
    bool of_pairs;      /* else of programs */
    bool higher_better; /* else lower */
} ssw_quality_traits;

const ssw_quality_traits *ssw_quality_describe(ssw_quality_measure measure);

typedef struct ssw_quality_result {
    ssw_summary arm;      /* pass@k: of the arm; else of arm and first. Over prompts */
    ssw_summary null;     /* pass@k: of the first arm; else of the first arm and its repetition */
    ssw_equivalence test; /* arm - null, prompt by prompt */
} ssw_quality_result;

typedef struct ssw_quality_arm {
    ssw_quality_result results[SSW_QUALITY_COUNT];
    int n_pairs,
        n_equal; /* with the first arm: pairs whose ids are known, and those without any difference */
    double median_divergence; /* token of it, over the others; NAN when there is none */
    size_t kl_positions;      /* tokens compared */
    double kl_rest;           /* mean probability that the lists leave out; NAN when none was compared */
    int n_passed, n_programs;
} ssw_quality_arm;

typedef struct ssw_quality {
    ssw_evidence *evidence;
    ssw_quality_settings settings;
    ssw_problems problems;
    size_t n_executions, n_embeddings;
    ssw_execution *executions; /* sorted by id */
    ssw_embedding *embeddings; /* the same */
    size_t n_arms;
    size_t null_arm; /* the first arm's repetition */
    int n_runs;      /* samples of each prompt: the n of pass@n */
    int n_expected, n_measured;
    ssw_quality_arm *arms;     /* [0] compares nothing but has its own pass@k */
    const char *no_programs;   /* why no program was run; NULL when some were */
    const char *no_embeddings; /* why there are none; NULL when there are */
    ssw_arena arena;
} ssw_quality;

/* DIR/quality of a run folder; *out is NULL where there is none, or one whose requests never began. */
ssw_status ssw_quality_open(const char *dir, ssw_quality **out, ssw_error *err);
void ssw_quality_close(ssw_quality *quality); /* NULL is allowed */

#endif
