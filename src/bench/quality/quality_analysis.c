/* From a quality folder to comparisons. */
#include "bench/quality/quality_analysis.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/quality/measures.h"
#include "bench/quality/token_kl.h"

#define ARENA_BYTES_MAX ((size_t)4 << 30)

static const ssw_quality_traits traits[SSW_QUALITY_COUNT] = {
    [SSW_QUALITY_PASS_1] = {"pass_at_1", "pass@1", "", "mean over problems of c / n", false, true},
    [SSW_QUALITY_PASS_N] = {"pass_at_n", "pass@n", "",
                            "mean over problems of 1 − C(n − c, k) / C(n, k), k = n", false, true},
    [SSW_QUALITY_AGREEMENT] = {"agreement", "agreement", "",
                               "tokens before the first divergence / tokens of the longer reply", true, true},
    [SSW_QUALITY_KL] =
        {"kl", "KL, at least", "nats/token",
         "Σ p ln(p / q) over tokens in both lists + p_rest ln(p_rest / q_rest), mean over tokens up to the "
         "first divergence",
         true, false},
    [SSW_QUALITY_COSINE] = {"cosine", "cosine", "", "a · b / (|a| |b|) of the replies' embeddings", true,
                            true},
};

const ssw_quality_traits *ssw_quality_describe(ssw_quality_measure measure)
{
    return &traits[measure];
}

typedef struct values { /* one number per prompt; NAN where there is none */
    double *arm, *null;
} values;

typedef struct work {
    ssw_quality *quality;
    const ssw_sample **samples; /* [arm][prompt][run]; NULL where none was measured */
    size_t n_prompts;
    values values[SSW_QUALITY_COUNT];
    double *divergences; /* room for all pairs of an arm */
    ssw_error *err;
} work;

static const ssw_sample *sample_at(const work *w, size_t arm, size_t prompt, size_t run)
{
    return w->samples[(arm * w->n_prompts + prompt) * (size_t)w->quality->n_runs + run];
}

/* ssw_execution and ssw_embedding both begin with their id. */
static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const void *find(const void *items, size_t n, size_t size, const char *id)
{
    return n ? bsearch(&id, items, n, size, compare_ids) : NULL;
}

/* The agreement of two replies; NAN when their ids are not known. divergence: as first_divergence gives it.
 */
static double agreement_of(const work *w, const ssw_sample *a, const ssw_sample *b, int64_t *divergence)
{
    const ssw_token_count *x = ssw_evidence_find_tokens(w->quality->evidence, a->id);
    const ssw_token_count *y = ssw_evidence_find_tokens(w->quality->evidence, b->id);
    if (!x || !y || !x->ids || !y->ids)
        return NAN;
    *divergence = ssw_quality_first_divergence(x->ids, x->n_ids, y->ids, y->n_ids);
    return ssw_quality_agreement(x->ids, x->n_ids, y->ids, y->n_ids);
}

static double cosine_of(const work *w, const ssw_sample *a, const ssw_sample *b)
{
    const ssw_quality *q = w->quality;
    const ssw_embedding *x = find(q->embeddings, q->n_embeddings, sizeof *x, a->id);
    const ssw_embedding *y = find(q->embeddings, q->n_embeddings, sizeof *y, b->id);
    return x && y && x->n == y->n ? ssw_quality_cosine(x->values, y->values, x->n) : NAN;
}

static ssw_status add_kl(const ssw_sample *a, const ssw_sample *b, ssw_token_kl *out, ssw_error *err)
{
    if (!a->logprobs || !b->logprobs)
        return SSW_OK;
    json_t *x = json_loads(a->logprobs, 0, NULL), *y = json_loads(b->logprobs, 0, NULL);
    ssw_status status = x && y ? ssw_token_kl_add(x, y, out, err)
                               : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for logprobs");
    if (status)
        ssw_error_prefix(err, "%s, %s", a->id, b->id);
    json_decref(x);
    json_decref(y);
    return status;
}

typedef struct sums { /* over one prompt's pairs */
    double agreement, cosine;
    int n_agreement, n_cosine;
    ssw_token_kl kl;
} sums;

/* Pairs of one prompt on the first arm and another. */
static ssw_status add_pairs(work *w, size_t arm, size_t prompt, sums *out, ssw_quality_arm *counts,
                            size_t *n_divergences)
{
    for (int run = 0; run < w->quality->n_runs; run++) {
        const ssw_sample *a = sample_at(w, 0, prompt, (size_t)run),
                         *b = sample_at(w, arm, prompt, (size_t)run);
        if (!a || !b)
            continue;
        int64_t divergence = -1;
        double agreement = agreement_of(w, a, b, &divergence), cosine = cosine_of(w, a, b);
        if (isfinite(agreement)) {
            out->agreement += agreement;
            out->n_agreement++;
            counts->n_pairs++;
            counts->n_equal += divergence < 0;
            if (divergence >= 0)
                w->divergences[(*n_divergences)++] = (double)divergence;
        }
        if (isfinite(cosine)) {
            out->cosine += cosine;
            out->n_cosine++;
        }
        ssw_status status = add_kl(a, b, &out->kl, w->err);
        if (status)
            return status;
    }
    return SSW_OK;
}

static void keep_pairs(const work *w, const sums *from, size_t prompt)
{
    w->values[SSW_QUALITY_AGREEMENT].arm[prompt] =
        from->n_agreement ? from->agreement / from->n_agreement : NAN;
    w->values[SSW_QUALITY_KL].arm[prompt] =
        from->kl.n_positions ? from->kl.sum_nats / (double)from->kl.n_positions : NAN;
    w->values[SSW_QUALITY_COSINE].arm[prompt] = from->n_cosine ? from->cosine / from->n_cosine : NAN;
}

/* c and n of a problem on an arm: how many of its samples' programs passed. False when none was judged. */
static bool count_passed(const work *w, size_t arm, size_t prompt, int *c, int *n)
{
    const ssw_quality *q = w->quality;
    *c = *n = 0;
    for (int run = 0; run < q->n_runs; run++) {
        const ssw_sample *sample = sample_at(w, arm, prompt, (size_t)run);
        const ssw_execution *execution =
            sample ? find(q->executions, q->n_executions, sizeof *execution, sample->id) : NULL;
        if (!execution || strcmp(execution->outcome, "not-run") == 0)
            continue;
        ++*n;
        *c += strcmp(execution->outcome, "passed") == 0;
    }
    return *n > 0;
}

static void keep_passed(const work *w, size_t arm, size_t prompt, ssw_quality_arm *out)
{
    int c, n;
    bool judged = count_passed(w, arm, prompt, &c, &n);
    w->values[SSW_QUALITY_PASS_1].arm[prompt] = judged ? ssw_quality_pass_at_k(n, c, 1) : NAN;
    w->values[SSW_QUALITY_PASS_N].arm[prompt] = judged ? ssw_quality_pass_at_k(n, c, n) : NAN;
    out->n_passed += c;
    out->n_programs += n;
}

/* Summaries of what is known, and the test where both are. */
static ssw_status conclude(work *w, ssw_quality_measure measure, ssw_quality_result *out)
{
    const values *v = &w->values[measure];
    double *packed = malloc((3 * w->n_prompts + 1) * sizeof *packed);
    size_t n_arm = 0, n_null = 0, n_both = 0;
    if (!packed)
        return ssw_error_set(w->err, SSW_ERR_NOMEM, "out of memory for %zu prompts", w->n_prompts);
    double *arm = packed, *null = packed + w->n_prompts, *both = packed + 2 * w->n_prompts;
    for (size_t i = 0; i < w->n_prompts; i++) {
        if (isfinite(v->arm[i]))
            arm[n_arm++] = v->arm[i];
        if (isfinite(v->null[i]))
            null[n_null++] = v->null[i];
        if (isfinite(v->arm[i]) && isfinite(v->null[i]))
            both[n_both++] = v->arm[i] - v->null[i];
    }
    ssw_status status = ssw_stats_summarize(arm, n_arm, &out->arm, w->err);
    if (!status)
        status = ssw_stats_summarize(null, n_null, &out->null, w->err);
    ssw_stats_equivalence(both, n_both, w->quality->settings.margin, &out->test);
    free(packed);
    return status;
}

/* Fills values[].arm and the counts of an arm. */
static ssw_status measure_arm(work *w, size_t arm)
{
    ssw_quality_arm *out = &w->quality->arms[arm];
    ssw_summary divergences;
    size_t n_divergences = 0;
    double rest = 0;
    ssw_status status = SSW_OK;
    for (size_t prompt = 0; !status && prompt < w->n_prompts; prompt++) {
        sums pairs = {0};
        keep_passed(w, arm, prompt, out);
        if (arm > 0)
            status = add_pairs(w, arm, prompt, &pairs, out, &n_divergences);
        keep_pairs(w, &pairs, prompt);
        out->kl_positions += pairs.kl.n_positions;
        rest += pairs.kl.rest_sum;
    }
    if (!status)
        status = ssw_stats_summarize(w->divergences, n_divergences, &divergences, w->err);
    out->median_divergence = status ? NAN : divergences.median;
    out->kl_rest = out->kl_positions ? rest / (double)out->kl_positions : NAN;
    return status;
}

static ssw_status conclude_arm(work *w, size_t arm)
{
    ssw_status status = SSW_OK;
    for (int m = 0; !status && m < SSW_QUALITY_COUNT; m++)
        status = conclude(w, (ssw_quality_measure)m, &w->quality->arms[arm].results[m]);
    return status;
}

/* What the first arm's programs give (of_pairs false), and its pairs with its repetition (true), is the null
 * of every arm. Its own values are its null, then. */
static ssw_status measure_null(work *w, size_t arm, bool of_pairs)
{
    ssw_status status = measure_arm(w, arm);
    for (int m = 0; m < SSW_QUALITY_COUNT; m++) {
        if (traits[m].of_pairs == of_pairs)
            memcpy(w->values[m].null, w->values[m].arm, w->n_prompts * sizeof(double));
    }
    return status ? status : conclude_arm(w, arm);
}

static ssw_status compare_arms(work *w)
{
    ssw_status status = measure_null(w, 0, false);
    if (!status)
        status = measure_null(w, w->quality->null_arm, true);
    for (size_t arm = 1; !status && arm < w->quality->n_arms; arm++) {
        if (arm == w->quality->null_arm)
            continue;
        status = measure_arm(w, arm);
        if (!status)
            status = conclude_arm(w, arm);
    }
    return status;
}

static ssw_status place_samples(work *w)
{
    ssw_quality *q = w->quality;
    for (size_t i = 0; i < q->evidence->n_samples; i++) {
        const ssw_sample *sample = &q->evidence->samples[i];
        if (!ssw_evidence_is_measured(sample))
            continue;
        if (sample->run < 1 || sample->run > q->n_runs)
            return ssw_error_set(w->err, SSW_ERR_FORMAT, "samples.jsonl: %.60s is sample %d of %d",
                                 sample->id, sample->run, q->n_runs);
        size_t arm = (size_t)ssw_manifest_find_arm(&q->evidence->manifest, sample->arm);
        size_t prompt = (size_t)ssw_manifest_find_prompt(&q->evidence->manifest, sample->prompt);
        size_t index = (arm * w->n_prompts + prompt) * (size_t)q->n_runs + (size_t)sample->run - 1;
        if (w->samples[index])
            return ssw_error_set(w->err, SSW_ERR_FORMAT, "samples.jsonl: %.60s was measured twice",
                                 sample->id);
        w->samples[index] = sample;
        q->n_measured++;
    }
    return SSW_OK;
}

static ssw_status allocate(work *w)
{
    ssw_quality *q = w->quality;
    size_t n_pairs = w->n_prompts * (size_t)q->n_runs;
    q->arms = ssw_arena_alloc(&q->arena, q->n_arms, sizeof *q->arms);
    w->samples = ssw_arena_alloc(&q->arena, q->n_arms * n_pairs, sizeof *w->samples);
    w->divergences = ssw_arena_alloc(&q->arena, n_pairs, sizeof *w->divergences);
    bool ok = q->arms && w->samples && w->divergences;
    for (int m = 0; ok && m < SSW_QUALITY_COUNT; m++) {
        w->values[m].arm = ssw_arena_alloc(&q->arena, w->n_prompts, sizeof(double));
        w->values[m].null = ssw_arena_alloc(&q->arena, w->n_prompts, sizeof(double));
        ok = w->values[m].arm && w->values[m].null;
    }
    q->n_expected = (int)(q->n_arms * n_pairs);
    return ok ? SSW_OK : ssw_error_set(w->err, SSW_ERR_NOMEM, "out of memory for %zu pairs", n_pairs);
}

/* Why a whole kind of evidence is missing. */
static void explain_absence(ssw_quality *q)
{
    q->no_programs = "no reply was judged";
    q->no_embeddings = "no server was asked";
    for (size_t i = 0; i < q->n_executions; i++) {
        if (strcmp(q->executions[i].outcome, "not-run") != 0)
            q->no_programs = NULL;
        else if (q->no_programs && q->executions[i].detail)
            q->no_programs = q->executions[i].detail;
    }
    for (size_t i = 0; i < q->n_embeddings; i++) {
        if (q->embeddings[i].n > 0)
            q->no_embeddings = NULL;
        else if (q->no_embeddings && q->embeddings[i].error)
            q->no_embeddings = q->embeddings[i].error;
    }
}

static ssw_status analyse(ssw_quality *q, ssw_error *err)
{
    const ssw_manifest *manifest = &q->evidence->manifest;
    work w = {.quality = q, .n_prompts = manifest->plan.n_prompts, .err = err};
    q->n_arms = manifest->n_arms;
    q->n_runs = manifest->plan.runs;
    for (size_t i = 1; i < q->n_arms && !q->null_arm; i++)
        q->null_arm = ssw_plan_is_same_arm(&manifest->plan.arms[i], &manifest->plan.arms[0]) ? i : 0;
    if (!q->null_arm)
        return ssw_error_set(err, SSW_ERR_FORMAT, "no arm repeats the first");
    ssw_status status = allocate(&w);
    if (!status)
        status = place_samples(&w);
    explain_absence(q);
    return status ? status : compare_arms(&w);
}

static ssw_status read_folder(ssw_quality *q, const char *dir, ssw_error *err)
{
    ssw_status status = ssw_evidence_open(dir, &q->evidence, err);
    if (!status)
        status = ssw_quality_settings_read(&q->arena, dir, &q->settings, err);
    if (!status)
        status = ssw_problems_parse(&q->arena, q->settings.problems, strlen(q->settings.problems),
                                    &q->problems, err);
    if (!status)
        status = ssw_executions_read(&q->arena, dir, &q->n_executions, &q->executions, err);
    if (!status)
        status = ssw_embeddings_read(&q->arena, dir, &q->n_embeddings, &q->embeddings, err);
    if (status)
        return status;
    if (q->n_executions)
        qsort(q->executions, q->n_executions, sizeof *q->executions, compare_ids);
    if (q->n_embeddings)
        qsort(q->embeddings, q->n_embeddings, sizeof *q->embeddings, compare_ids);
    return SSW_OK;
}

ssw_status ssw_quality_open(const char *dir, ssw_quality **out, ssw_error *err)
{
    char folder[PATH_MAX], path[PATH_MAX];
    *out = NULL;
    if (snprintf(folder, sizeof folder, "%s/quality", dir) >= PATH_MAX ||
        snprintf(path, sizeof path, "%.4000s/manifest.json", folder) >= PATH_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    if (access(path, F_OK) != 0)
        return SSW_OK;
    ssw_quality *quality = calloc(1, sizeof *quality);
    if (!quality)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    ssw_arena_init(&quality->arena, ARENA_BYTES_MAX);
    ssw_status status = read_folder(quality, folder, err);
    if (!status && quality->evidence->n_samples > 0 && (status = analyse(quality, err)))
        ssw_error_prefix(err, "%s", folder);
    if (status || quality->evidence->n_samples == 0)
        ssw_quality_close(quality);
    else
        *out = quality;
    return status;
}

void ssw_quality_close(ssw_quality *quality)
{
    if (!quality)
        return;
    ssw_evidence_close(quality->evidence);
    ssw_arena_deinit(&quality->arena);
    free(quality);
}
