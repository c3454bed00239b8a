/* The checks of a gate. */
#include "bench/report/gate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/compose.h"

static void judge(ssw_gate *gate, ssw_gate_check *check, double max_regress)
{
    if (check->ci_high <= 1 + max_regress) /* false for NAN */
        check->outcome = SSW_GATE_PASSED;
    else if (check->ci_low > 1 + max_regress)
        check->outcome = SSW_GATE_REGRESSED;
    else
        check->outcome = SSW_GATE_INCONCLUSIVE;
    if (check->outcome > gate->outcome)
        gate->outcome = check->outcome;
}

/* From a ratio of the metric to a factor of time. */
static void add_check(ssw_gate *gate, const char *arm, ssw_metric metric, size_t n, double ratio, double low,
                      double high, double max_regress)
{
    bool is_a_rate = ssw_metric_describe(metric)->better == SSW_BETTER_HIGHER;
    if (gate->n_checks == SSW_GATE_CHECKS_MAX)
        return;
    ssw_gate_check *check = &gate->checks[gate->n_checks++];
    *check = (ssw_gate_check){.metric = metric,
                              .n = n,
                              .time = is_a_rate ? 1 / ratio : ratio,
                              .ci_low = is_a_rate ? 1 / high : low,
                              .ci_high = is_a_rate ? 1 / low : high};
    snprintf(check->arm, sizeof check->arm, "%s", arm);
    judge(gate, check, max_regress);
}

static void fail(ssw_gate *gate, ssw_gate_outcome outcome, const char *reason)
{
    gate->outcome = outcome;
    snprintf(gate->reason, sizeof gate->reason, "%.250s", reason);
}

/* The wider of pairs' and blocks' intervals. */
static void check_within(const ssw_analysis *analysis, double max_regress, ssw_gate *gate)
{
    const ssw_metric metrics[] = {ssw_analysis_headline_rate(analysis), SSW_METRIC_TTFT};
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        for (size_t i = 0; i < 2 && !analysis->arms[arm].same_as_first; i++) {
            const ssw_comparison *comparison = &analysis->arms[arm].comparisons[metrics[i]];
            const ssw_ratio *pairs = &comparison->by_pair, *blocks = &comparison->by_block;
            double low = pairs->ci_low, high = pairs->ci_high;
            if (blocks->n >= 2) {
                low = fmin(low, blocks->ci_low);
                high = fmax(high, blocks->ci_high);
            }
            add_check(gate, analysis->evidence->manifest.arms[arm].name, metrics[i], pairs->n, pairs->ratio,
                      low, high, max_regress);
        }
    }
    if (gate->n_checks == 0)
        fail(gate, SSW_GATE_INVALID, "there is no arm to compare with the first");
}

/* One mean of ln(metric) for each block that has every prompt. Returns how many. */
static size_t collect_blocks(const ssw_analysis *analysis, size_t arm, ssw_metric metric, double *out)
{
    size_t n = 0;
    for (size_t run = 0; run < analysis->n_runs; run++) {
        double sum = 0;
        for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++)
            sum += log(analysis->values[ssw_analysis_index(analysis, arm, prompt, run)][metric]);
        if (isfinite(sum))
            out[n++] = sum / (double)analysis->n_prompts;
    }
    return n;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_prompts(const ssw_plan *a, const ssw_plan *b)
{
    bool same = a->n_prompts == b->n_prompts;
    for (size_t i = 0; same && i < a->n_prompts; i++)
        same = strcmp(a->prompts[i].text, b->prompts[i].text) == 0;
    return same;
}

static bool same_model(const ssw_manifest_model *a, const ssw_manifest_model *b)
{
    bool same = a->n_files == b->n_files;
    for (size_t i = 0; same && i < a->n_files; i++)
        same = same_text(a->files[i].sha256, b->files[i].sha256);
    return same && (a->n_files > 0 || same_text(a->name, b->name));
}

static bool same_machine(const ssw_manifest_machine *a, const ssw_manifest_machine *b)
{
    bool same = same_text(a->cpu, b->cpu) && a->threads_usable == b->threads_usable && a->n_gpus == b->n_gpus;
    for (size_t i = 0; same && i < a->n_gpus; i++)
        same = same_text(a->gpus[i].name, b->gpus[i].name);
    return same;
}

/* Why two runs cannot be compared, or NULL. The server may differ: it is what is tested. */
static const char *find_difference(const ssw_manifest *a, const ssw_manifest *b)
{
    const ssw_plan *first = &a->plan, *second = &b->plan;
    if (first->design != SSW_PLAN_ABBA || second->design != SSW_PLAN_ABBA)
        return "a run without blocks cannot say how server starts scatter";
    if (!same_model(&a->model, &b->model))
        return "the runs are of different models";
    if (!same_prompts(first, second))
        return "the runs have different prompts";
    if (first->max_tokens != second->max_tokens || first->fixed_length != second->fixed_length ||
        first->ask != second->ask || first->temperature < second->temperature ||
        first->temperature > second->temperature)
        return "the runs ask differently (tokens, length, way to ask or temperature)";
    if (!same_machine(&a->machine, &b->machine))
        return "the runs are of different machines";
    return NULL;
}

static ssw_status check_arms(const ssw_analysis *run, const ssw_analysis *stored, double max_regress,
                             ssw_gate *gate, ssw_error *err)
{
    bool bursts = ssw_analysis_headline_rate(run) == SSW_METRIC_TPS ||
                  ssw_analysis_headline_rate(stored) == SSW_METRIC_TPS;
    const ssw_metric metrics[] = {bursts ? SSW_METRIC_TPS : SSW_METRIC_DECODE_RATE, SSW_METRIC_TTFT};
    double *blocks = calloc(run->n_runs + stored->n_runs, sizeof *blocks);
    if (!blocks)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu blocks",
                             run->n_runs + stored->n_runs);
    for (size_t arm = 0; arm < run->n_arms; arm++) {
        const char *name = run->evidence->manifest.arms[arm].name;
        int other = ssw_manifest_find_arm(&stored->evidence->manifest, name);
        for (size_t i = 0; i < 2 && other >= 0 && !run->arms[arm].same_as_first; i++) {
            ssw_unpaired_ratio ratio;
            size_t n_stored = collect_blocks(stored, (size_t)other, metrics[i], blocks);
            size_t n = collect_blocks(run, arm, metrics[i], blocks + n_stored);
            ssw_stats_unpaired_ratio(blocks, n_stored, blocks + n_stored, n, &ratio);
            add_check(gate, name, metrics[i], n, ratio.ratio, ratio.ci_low, ratio.ci_high, max_regress);
        }
    }
    free(blocks);
    if (gate->n_checks == 0)
        fail(gate, SSW_GATE_INVALID, "the runs have no arm of the same name");
    return SSW_OK;
}

static ssw_status check_against(const ssw_analysis *run, const ssw_gate_options *options, ssw_gate *gate,
                                ssw_error *err)
{
    ssw_analysis *stored;
    ssw_status status = ssw_analysis_open(options->against, &stored, err);
    if (status)
        return status;
    const char *difference = find_difference(&run->evidence->manifest, &stored->evidence->manifest);
    ssw_report_worth worth = ssw_compose_worth(stored);
    if (worth == SSW_REPORT_INVALID || worth == SSW_REPORT_SERVER_FAILED)
        fail(gate, SSW_GATE_INVALID, "the run that is compared with is not valid itself");
    else if (difference)
        fail(gate, SSW_GATE_INVALID, difference);
    else
        status = check_arms(run, stored, options->max_regress, gate, err);
    ssw_analysis_close(stored);
    return status;
}

ssw_status ssw_gate_check_run(const ssw_gate_options *options, ssw_gate *out, ssw_error *err)
{
    ssw_analysis *run;
    *out = (ssw_gate){0};
    ssw_status status = ssw_analysis_open(options->dir, &run, err);
    if (status)
        return status;
    const ssw_manifest *manifest = &run->evidence->manifest;
    snprintf(out->model, sizeof out->model, "%.200s", manifest->model.name ? manifest->model.name : "model");
    snprintf(out->created_utc, sizeof out->created_utc, "%.30s",
             manifest->created_utc ? manifest->created_utc : "");
    switch (ssw_compose_worth(run)) {
    case SSW_REPORT_SERVER_FAILED:
        fail(out, SSW_GATE_SERVER_FAILED, "a server crashed or hung");
        break;
    case SSW_REPORT_INVALID:
        fail(out, SSW_GATE_INVALID,
             "requests are missing, or memory contradicts the treatment; see the report");
        break;
    default:
        if (options->against)
            status = check_against(run, options, out, err);
        else
            check_within(run, options->max_regress, out);
    }
    ssw_analysis_close(run);
    return status;
}
