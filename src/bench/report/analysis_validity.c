/* What speaks against the figures: flags, failures, token counts that disagree, outliers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/token_count.h"
#include "bench/report/analysis.h"

/* Iglewicz and Hoaglin (1993): |x − median| / (1.4826 · MAD) above 3.5. */
static const double OUTLIER_SCORE = 3.5, MAD_TO_SIGMA = 1.4826;

static void count_flag(ssw_analysis *analysis, const char *flag, size_t arm)
{
    size_t i = 0;
    while (i < analysis->n_flags && strcmp(analysis->flags[i].flag, flag) != 0)
        i++;
    if (i == SSW_ANALYSIS_FLAGS_MAX)
        return;
    if (i == analysis->n_flags)
        analysis->flags[analysis->n_flags++].flag = flag;
    analysis->flags[i].counts[arm]++;
}

static void count_arm(ssw_analysis *analysis, size_t arm)
{
    ssw_arm_results *results = &analysis->arms[arm];
    size_t n = analysis->n_prompts * analysis->n_runs;
    for (size_t i = arm * n; i < (arm + 1) * n; i++) {
        const ssw_sample *sample = analysis->samples[i];
        if (!sample)
            continue;
        results->n_measured++;
        results->n_flagged += sample->n_flags > 0;
        for (size_t k = 0; k < sample->n_flags; k++)
            count_flag(analysis, sample->flags[k], arm);
        bool ours = ssw_evidence_find_tokens(analysis->evidence, sample->id) != NULL;
        if (ours && analysis->tokens[i] >= 0 && ssw_token_count_disagrees(sample, analysis->tokens[i]))
            results->n_token_disagreements++;
    }
}

/* The same executable, or the same URL. */
static bool same_server(const ssw_manifest *manifest, size_t arm)
{
    const char *url = manifest->plan.arms[arm].url, *first_url = manifest->plan.arms[0].url;
    const char *path = manifest->arms[arm].server.path, *first_path = manifest->arms[0].server.path;
    if (url || first_url)
        return url && first_url && strcmp(url, first_url) == 0;
    return path && first_path && strcmp(path, first_path) == 0;
}

static void describe_arms(ssw_analysis *analysis)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    const ssw_plan_arm *first = &manifest->plan.arms[0];
    for (size_t i = 1; i < analysis->n_arms; i++) {
        const ssw_plan_arm *arm = &manifest->plan.arms[i];
        analysis->arms[i].same_as_first = ssw_plan_is_same_arm(arm, first) && same_server(manifest, i);
    }
    for (size_t i = 0; i < analysis->evidence->n_servers; i++) {
        const ssw_server_life *life = &analysis->evidence->servers[i];
        int arm = ssw_manifest_find_arm(manifest, life->arm);
        bool fell = life->stop_reason &&
                    (strcmp(life->stop_reason, "crashed") == 0 || strcmp(life->stop_reason, "hung") == 0);
        if (arm >= 0 && fell)
            analysis->arms[arm].n_crashed++;
    }
}

/* Residuals from the median of the same arm and prompt, over all prompts of an arm; logarithms, as in the
 * comparison. */
static ssw_status find_outliers_of(ssw_analysis *analysis, size_t arm, ssw_metric metric, double *scratch,
                                   ssw_error *err)
{
    size_t n_runs = analysis->n_runs, n = analysis->n_prompts * n_runs, n_sizes = 0;
    double *residuals = scratch, *sizes = scratch + n, *logs = scratch + 2 * n;
    ssw_summary summary;
    for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++) {
        const double(*row)[SSW_METRIC_COUNT] = (const double(*)[SSW_METRIC_COUNT])analysis->values +
                                               ssw_analysis_index(analysis, arm, prompt, 0);
        size_t n_logs = 0;
        for (size_t run = 0; run < n_runs; run++) {
            if (row[run][metric] > 0)
                logs[n_logs++] = log(row[run][metric]);
        }
        ssw_status status = ssw_stats_summarize(logs, n_logs, &summary, err);
        if (status)
            return status;
        for (size_t run = 0; run < n_runs; run++) {
            double residual = log(row[run][metric]) - summary.median;
            residuals[prompt * n_runs + run] = residual;
            if (isfinite(residual))
                sizes[n_sizes++] = fabs(residual);
        }
    }
    ssw_status status = ssw_stats_summarize(sizes, n_sizes, &summary, err);
    for (size_t i = 0; i < n && !status && summary.median > 0; i++) {
        if (!(fabs(residuals[i]) > OUTLIER_SCORE * MAD_TO_SIGMA * summary.median) ||
            analysis->n_outliers == SSW_ANALYSIS_OUTLIERS_MAX)
            continue;
        double value = analysis->values[arm * n + i][metric];
        analysis->outliers[analysis->n_outliers++] =
            (ssw_outlier){analysis->samples[arm * n + i]->id, metric, value, value / exp(residuals[i])};
    }
    return status;
}

static ssw_status find_outliers(ssw_analysis *analysis, ssw_error *err)
{
    static const ssw_metric looked_at[] = {SSW_METRIC_TTFT, SSW_METRIC_DECODE_RATE};
    size_t n = analysis->n_prompts * analysis->n_runs;
    double *scratch = malloc((2 * n + analysis->n_runs) * sizeof *scratch);
    if (!scratch)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu residuals", n);
    ssw_status status = SSW_OK;
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        for (size_t k = 0; k < sizeof looked_at / sizeof looked_at[0] && !status; k++)
            status = find_outliers_of(analysis, arm, looked_at[k], scratch, err);
    }
    free(scratch);
    return status;
}

ssw_status ssw_analysis_check_validity(ssw_analysis *analysis, ssw_error *err)
{
    describe_arms(analysis);
    for (size_t arm = 0; arm < analysis->n_arms; arm++)
        count_arm(analysis, arm);
    return find_outliers(analysis, err);
}

bool ssw_analysis_has_bursts(const ssw_analysis *analysis, size_t arm)
{
    const double share_max = 0.5; /* tokens that come one by one have a median gap near their ITL */
    const ssw_summary *metrics = analysis->arms[arm].metrics;
    return metrics[SSW_METRIC_CHUNK_GAP].mean < share_max * metrics[SSW_METRIC_ITL].mean; /* false for NAN */
}

ssw_metric ssw_analysis_headline_rate(const ssw_analysis *analysis)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (ssw_analysis_has_bursts(analysis, arm))
            return SSW_METRIC_TPS;
    }
    return SSW_METRIC_DECODE_RATE;
}

bool ssw_analysis_is_headline(ssw_metric metric)
{
    return metric == SSW_METRIC_TTFT || metric == SSW_METRIC_E2E || metric == SSW_METRIC_DECODE_RATE ||
           metric == SSW_METRIC_TPS;
}
