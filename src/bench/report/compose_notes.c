/* What a careful reader asks for: validity, what is missing, the replies, method, provenance. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/evidence/machine_id.h"
#include "bench/report/compose.h"

static void heading(ssw_composer *composer, ssw_page_kind kind, const char *text)
{
    ssw_page_add(composer->page, kind);
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
}

static void item(ssw_composer *composer, const char *text)
{
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, text);
}

static void write_flags(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    if (analysis->n_flags == 0) {
        item(composer, "No sample carries a validity flag.");
        return;
    }
    for (size_t i = 0; i < analysis->n_flags; i++) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, "Flag ");
        ssw_page_write(composer->page, SSW_PAGE_CODE, analysis->flags[i].flag);
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, ":");
        for (size_t arm = 0; arm < analysis->n_arms; arm++)
            ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s %d of %d in %s", arm ? "," : "",
                           analysis->flags[i].counts[arm], analysis->arms[arm].n_measured,
                           ssw_compose_arm_name(composer, arm));
    }
}

/* The same ratio without pairs that hold a flagged sample. */
static void write_clean(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    ssw_number_text text;
    if (comparison->clean.n == comparison->by_pair.n)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, %s / %s: ", traits->name,
                   ssw_compose_arm_name(composer, arm), ssw_compose_arm_name(composer, 0));
    if (comparison->clean.n == 0) {
        ssw_page_write(composer->page, SSW_PAGE_PLAIN,
                       "every pair holds a flagged sample, so nothing is left without them.");
        return;
    }
    ssw_figure figure = {.value = comparison->clean.ratio,
                         .unit = "",
                         .formula = "as ratio, without pairs that hold a flagged sample",
                         .n = comparison->clean.n,
                         .sd = comparison->clean.log_sd,
                         .ci_low = comparison->clean.ci_low,
                         .ci_high = comparison->clean.ci_high};
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, "without flagged samples the ratio is ");
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                          ssw_figures_put(composer->figures, &figure, "%s.%s.ratio_clean", traits->key,
                                          ssw_compose_arm_name(composer, arm)),
                          ssw_number_format(text, comparison->clean.ratio, 3));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s over %zu pairs, with them ",
                   ssw_number_format_interval(text, comparison->clean.ci_low, comparison->clean.ci_high),
                   comparison->clean.n);
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, ssw_compose_ratio(composer, arm, metric),
                          ssw_number_format(text, comparison->by_pair.ratio, 3));
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, ".");
}

static void write_order(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_order_effect *order = &composer->analysis->arms[arm].comparisons[metric].order;
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    ssw_number_text text;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "Order, %s of %s: ", traits->name,
                   ssw_compose_arm_name(composer, arm));
    if (isnan(order->second_over_first)) {
        ssw_page_write(
            composer->page, SSW_PAGE_PLAIN,
            "cannot be told apart from the arms; one of them always ran first, or there are too few pairs.");
        return;
    }
    ssw_figure figure = {.value = order->second_over_first,
                         .unit = "",
                         .formula = "exp(γ) of x = δ + γ · order by least squares",
                         .n = order->n,
                         .sd = NAN,
                         .ci_low = order->ci_low,
                         .ci_high = order->ci_high};
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, "running second in a block multiplies it by ");
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                          ssw_figures_put(composer->figures, &figure, "%s.%s.order_effect", traits->key,
                                          ssw_compose_arm_name(composer, arm)),
                          ssw_number_format(text, order->second_over_first,
                                            ssw_number_decimals(1, (order->ci_high - order->ci_low) / 2)));
    bool shown = order->ci_low > 1 || order->ci_high < 1;
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s df = %zu%s.",
                   ssw_number_format_interval(text, order->ci_low, order->ci_high), order->df,
                   shown ? "; an order effect is there" : "; none is shown");
}

static void write_outliers(ssw_composer *composer)
{
    enum { LISTED_MAX = 8 };
    const ssw_analysis *analysis = composer->analysis;
    if (analysis->n_outliers == 0) {
        item(composer,
             "No outliers (3.5 scaled median deviations from the median of the same arm and prompt).");
        return;
    }
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN,
                   "Outliers, kept in every figure (%zu%s): ", analysis->n_outliers,
                   analysis->n_outliers == SSW_ANALYSIS_OUTLIERS_MAX ? " or more" : "");
    for (size_t i = 0; i < analysis->n_outliers && i < LISTED_MAX; i++) {
        const ssw_outlier *outlier = &analysis->outliers[i];
        ssw_number_text value, expected;
        int decimals = ssw_number_decimals(NAN, outlier->expected / 10);
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, i ? "; " : "");
        ssw_page_write(composer->page, SSW_PAGE_CODE, outlier->sample_id);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s ", ssw_metric_describe(outlier->metric)->name);
        ssw_figure figure = ssw_compose_plain(outlier->value, ssw_metric_describe(outlier->metric)->unit,
                                              ssw_metric_describe(outlier->metric)->formula, 1);
        ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                              ssw_figures_put(composer->figures, &figure, "outlier.%zu.%s", i,
                                              ssw_metric_describe(outlier->metric)->key),
                              ssw_number_format(value, outlier->value, decimals));
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " (median %s)",
                       ssw_number_format(expected, outlier->expected, decimals));
    }
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, analysis->n_outliers > LISTED_MAX ? "; ..." : ".");
}

/* A server, or a busy machine, may hand over many tokens at once; then first and last frame say little about
 * decoding. */
static void write_bursts(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        const ssw_summary *gap = &analysis->arms[arm].metrics[SSW_METRIC_CHUNK_GAP];
        const ssw_summary *itl = &analysis->arms[arm].metrics[SSW_METRIC_ITL];
        ssw_number_text text;
        if (!ssw_analysis_has_bursts(analysis, arm))
            continue;
        ssw_page_cell_add(composer->page, false, SSW_PAGE_BAD);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN,
                       "Frames of %s came in bursts: the median gap between them is ",
                       ssw_compose_arm_name(composer, arm));
        ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                              ssw_compose_mean(composer, arm, SSW_METRIC_CHUNK_GAP),
                              ssw_number_format(text, gap->mean, 2));
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, " ms, but a token takes ");
        ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, ssw_compose_mean(composer, arm, SSW_METRIC_ITL),
                              ssw_number_format(text, itl->mean, 2));
        ssw_page_write(composer->page, SSW_PAGE_PLAIN,
                       " ms. TTFT, ITL and decode rate then hold the burst's size too; the verdict speaks of "
                       "TPS instead.");
    }
}

/* One sentence for all comparisons where none can be told, else one for each. */
static void write_clean_ratios(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    bool any = analysis->n_arms < 2;
    for (size_t arm = 1; arm < analysis->n_arms; arm++)
        any |= analysis->arms[arm].comparisons[SSW_METRIC_DECODE_RATE].clean.n > 0 ||
               analysis->arms[arm].comparisons[SSW_METRIC_TTFT].clean.n > 0;
    if (!any && analysis->n_flags > 0)
        item(composer, "Ratios: every pair holds a flagged sample, so nothing is left without them.");
    for (size_t arm = 1; arm < analysis->n_arms && any; arm++) {
        write_clean(composer, arm, SSW_METRIC_DECODE_RATE);
        write_clean(composer, arm, SSW_METRIC_TTFT);
    }
}

static void write_orders(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    bool any = analysis->n_arms < 2;
    for (size_t arm = 1; arm < analysis->n_arms; arm++)
        any |= !isnan(analysis->arms[arm].comparisons[SSW_METRIC_DECODE_RATE].order.second_over_first) ||
               !isnan(analysis->arms[arm].comparisons[SSW_METRIC_TTFT].order.second_over_first);
    if (!any)
        item(composer,
             "Order: it cannot be told apart from the arms; one of them always ran first, or there are "
             "too few pairs.");
    for (size_t arm = 1; arm < analysis->n_arms && any; arm++) {
        write_order(composer, arm, SSW_METRIC_DECODE_RATE);
        write_order(composer, arm, SSW_METRIC_TTFT);
    }
}

void ssw_compose_validity(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    heading(composer, SSW_PAGE_HEADING, "Validity");
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%d of %d requests measured", analysis->n_measured,
                   analysis->n_expected);
    for (size_t arm = 0; arm < analysis->n_arms; arm++)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "; %s: %d failed attempts, %d server failures",
                       ssw_compose_arm_name(composer, arm), analysis->arms[arm].n_failed,
                       analysis->arms[arm].n_crashed);
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, ".");
    write_flags(composer);
    write_clean_ratios(composer);
    ssw_compose_token_agreement(composer);
    write_bursts(composer);
    write_orders(composer);
    write_outliers(composer);
}

void ssw_compose_missing(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_evidence *evidence = analysis->evidence;
    const ssw_manifest_machine *machine = &evidence->manifest.machine;
    bool same = false;
    heading(composer, SSW_PAGE_HEADING, "What is missing");
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    if (!machine->nvml)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "VRAM was not measured: no NVML (%.200s).",
                       machine->nvml_reason ? machine->nvml_reason : "no reason given");
    if (!analysis->tokens_are_ours)
        item(composer,
             "Tokens were not counted by us for every reply; where missing, the server's usage is used.");
    if (!analysis->prompt_tokens_are_servers)
        item(composer,
             "Some replies came without usage: their prefill rate counts the prompt's text only, without the "
             "chat format.");
    if (!evidence->end_reason || strcmp(evidence->end_reason, "complete") != 0)
        item(composer, "The run did not end by itself; `seesaw ab --resume` can continue it.");
    if (evidence->torn_lines)
        item(composer, "A last line was incomplete (the bench was killed while it wrote) and was left out.");
    if (evidence->n_readings == 0)
        item(composer, "There is no telemetry, so no memory figures.");
    for (size_t arm = 1; arm < analysis->n_arms; arm++)
        same |= analysis->arms[arm].same_as_first;
    if (!same && analysis->n_arms > 1)
        item(composer, "No A/A arm: the noise floor is judged from the spread between pairs and blocks "
                       "alone. An arm with "
                       "the first one's arguments would measure it.");
    if (evidence->manifest.plan.design == SSW_PLAN_SEQUENTIAL && analysis->n_arms > 1)
        item(composer, "Sequential design: each server was started once, so what changed with time, or from "
                       "one start to "
                       "the next, cannot be told from the treatment.");
    item(composer, "No percentiles: so few runs cannot show them.");
    if (analysis->quality)
        return;
    item(composer, "What the replies are worth was not compared: ");
    ssw_page_write(composer->page, SSW_PAGE_CODE, "seesaw ab --quality");
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, " does.");
}

void ssw_compose_replies(ssw_composer *composer)
{
    enum { PROMPTS_SHOWN_MAX = 16 };
    const ssw_analysis *analysis = composer->analysis;
    heading(composer, SSW_PAGE_FOLD, "What the model answered (first run)");
    for (size_t prompt = 0; prompt < analysis->n_prompts && prompt < PROMPTS_SHOWN_MAX; prompt++) {
        ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
        ssw_page_write(composer->page, SSW_PAGE_STRONG,
                       analysis->evidence->manifest.plan.prompts[prompt].text);
        for (size_t arm = 0; arm < analysis->n_arms; arm++) {
            size_t first = ssw_analysis_index(analysis, 0, prompt, 0);
            const ssw_sample *sample = analysis->samples[ssw_analysis_index(analysis, arm, prompt, 0)];
            if (!sample)
                continue;
            ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
            ssw_page_write(composer->page, SSW_PAGE_FAINT, ssw_compose_arm_name(composer, arm));
            if (arm > 0 && analysis->samples[first] &&
                strcmp(analysis->samples[first]->text, sample->text) == 0 &&
                strcmp(analysis->samples[first]->reasoning, sample->reasoning) == 0) {
                ssw_page_write(composer->page, SSW_PAGE_FAINT, ": the same, byte for byte");
                continue;
            }
            const char *text = *sample->text        ? sample->text
                               : *sample->reasoning ? sample->reasoning
                                                    : "(no text)";
            ssw_page_add(composer->page, SSW_PAGE_CODE_BLOCK)->text =
                ssw_arena_copy_text(composer->page->arena, text, strlen(text));
        }
    }
}

static void write_published(ssw_composer *composer)
{
    static const char *const cells[] = {"published figure",
                                        "without --cpu-moe",
                                        "with --cpu-moe",
                                        "VRAM, MiB",
                                        "12,666",
                                        "3,602 (−71.5 %)",
                                        "TPS, tokens/s",
                                        "46.88",
                                        "6.77 (6.9 times slower)",
                                        "TTFT, ms",
                                        "217",
                                        "1,499"};
    ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
    ssw_page_write(composer->page, SSW_PAGE_PLAIN,
                   "For reference only, not measured here: the default plan is the test that the authors of "
                   "shimmy published "
                   "in October 2025, of GPT-OSS-20B on a GH200. Its TTFT was 10 % of the total time, not a "
                   "measurement.");
    ssw_page_add_table(composer->page, 3);
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        if (i % 3 == 0)
            item(composer, cells[i]);
        else
            ssw_page_cell_number(composer->page, SSW_PAGE_QUIET, NULL, cells[i]);
    }
}

void ssw_compose_method(ssw_composer *composer)
{
    const ssw_plan *plan = &composer->analysis->evidence->manifest.plan;
    heading(composer, SSW_PAGE_FOLD, "Method and formulas");
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN,
                   "Requests: at most %d tokens, temperature %g, streamed; seed %llu; %d warm-up requests "
                   "after each server "
                   "start, kept in the evidence and out of the figures; %.1f s between servers.",
                   plan->max_tokens, plan->temperature, (unsigned long long)plan->seed, plan->warmup_runs,
                   (double)plan->pause_ns / 1e9);
    item(composer, "Times are of CLOCK_MONOTONIC, taken when a frame's bytes arrive, before parsing. t_send "
                   "is when the last "
                   "byte of the request was handed to the socket.");
    for (int metric = 0; metric < SSW_METRIC_COUNT; metric++) {
        const ssw_metric_traits *traits = ssw_metric_describe(metric);
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, %s: ", traits->name, traits->unit);
        ssw_page_write(composer->page, SSW_PAGE_CODE, traits->formula);
    }
    item(composer, "σ is over n − 1. Intervals are Student's: mean ± t(0.975, n − 1) · σ / √n. They assume "
                   "independent values; "
                   "a mean over different prompts also holds the spread between prompts.");
    item(composer, "Ratio: x = ln(arm / first arm) for each pair of the same prompt and run; ratio = "
                   "exp(mean x), its interval "
                   "from Student's interval of x with N − 1 degrees of freedom.");
    item(composer, "By block: x is averaged over a block first, since one start of a server is shared by all "
                   "its requests. "
                   "A difference is claimed only where p is at most 0.05 over pairs and over blocks, by "
                   "Student's t and after "
                   "Holm's correction over the arms (per prompt: over arms and prompts), and where the ratio "
                   "is farther from "
                   "1 than the A/A arm's noise floor.");
    item(composer, "BCa: bootstrap intervals (Efron and Tibshirani, 1993), 2,000 resamples drawn from the "
                   "run's seed. TOST: two "
                   "one-sided t tests against a declared margin.");
    item(composer, "N shows at best: the smallest true change that a paired t test at the 5 % level would "
                   "show in 80 runs of "
                   "100, given the scatter of pairs and of blocks.");
    item(composer,
         "Reduction % = (1 − ratio) · 100. Overhead % = (time / time of the first arm − 1) · 100; for a rate "
         "(1 / ratio − 1) · 100.");
    item(composer, "Order: x = δ + γ · order, order = +1 where the first arm ran before; exp(γ) is what "
                   "running second does.");
    write_published(composer);
}

static void row(ssw_composer *composer, const char *name, ssw_page_style style, const char *value)
{
    item(composer, name);
    ssw_page_cell_text(composer->page, style, value ? value : "not known");
}

static void write_words(ssw_composer *composer, const char *name, const char *of,
                        const ssw_manifest_words *words)
{
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s%s", name, of);
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    for (size_t i = 0; i < words->n; i++) {
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, i ? " " : "");
        ssw_page_write(composer->page, SSW_PAGE_CODE, *words->words[i] ? words->words[i] : "''");
    }
}

static void write_machine(ssw_composer *composer)
{
    const ssw_manifest_machine *machine = &composer->analysis->evidence->manifest.machine;
    char text[512];
    ssw_machine_id_text id;
    if (!ssw_machine_id(machine, id, NULL))
        row(composer, "machine", SSW_PAGE_CODE, id);
    snprintf(text, sizeof text, "%.200s; %lld cores, %lld threads; governor %.40s",
             machine->cpu ? machine->cpu : "unknown", (long long)machine->cores, (long long)machine->threads,
             machine->governor ? machine->governor : "not known");
    row(composer, "CPU", SSW_PAGE_PLAIN, text);
    snprintf(text, sizeof text, "%.0f MiB, swap %.0f MiB", (double)machine->memory_bytes / 1048576,
             machine->swap_bytes < 0 ? 0 : (double)machine->swap_bytes / 1048576);
    row(composer, "host memory", SSW_PAGE_PLAIN, text);
    row(composer, "kernel", SSW_PAGE_PLAIN, machine->kernel);
    if (machine->container)
        row(composer, "container", SSW_PAGE_PLAIN, machine->container);
    if (machine->n_gpus == 0)
        row(composer, "GPU", SSW_PAGE_PLAIN, "none seen");
    for (size_t i = 0; i < machine->n_gpus; i++) {
        const ssw_manifest_gpu *gpu = &machine->gpus[i];
        snprintf(text, sizeof text, "%.100s, %.0f MiB, driver %.60s", gpu->name ? gpu->name : "unnamed",
                 (double)gpu->memory_bytes / 1048576, gpu->driver ? gpu->driver : "not known");
        row(composer, "GPU", SSW_PAGE_PLAIN, text);
    }
}

void ssw_compose_provenance(ssw_composer *composer)
{
    const ssw_manifest *manifest = &composer->analysis->evidence->manifest;
    char text[512];
    heading(composer, SSW_PAGE_FOLD, "Provenance, and how to recompute this");
    ssw_page_add_table(composer->page, 2);
    item(composer, "what");
    item(composer, "value");
    row(composer, "run began", SSW_PAGE_PLAIN, manifest->created_utc);
    snprintf(text, sizeof text, "%.60s %.60s, commit %.60s",
             manifest->tool_name ? manifest->tool_name : "unknown",
             manifest->tool_version ? manifest->tool_version : "?",
             manifest->tool_commit ? manifest->tool_commit : "?");
    row(composer, "bench", SSW_PAGE_PLAIN, text);
    write_words(composer, "command line", "", &manifest->argv);
    for (size_t i = 0; i < manifest->model.n_files; i++) {
        row(composer, "model file", SSW_PAGE_CODE, manifest->model.files[i].path);
        row(composer, "its SHA-256", SSW_PAGE_CODE, manifest->model.files[i].sha256);
    }
    for (size_t arm = 0; arm < manifest->n_arms; arm++) {
        if (manifest->plan.arms[arm].url) { /* its executable was never seen */
            snprintf(text, sizeof text, "server of %.40s, which ran already", manifest->arms[arm].name);
            row(composer, text, SSW_PAGE_CODE, manifest->plan.arms[arm].url);
            continue;
        }
        write_words(composer, "server of ", manifest->arms[arm].name, &manifest->arms[arm].argv);
        row(composer, "its SHA-256", SSW_PAGE_CODE, manifest->arms[arm].server.sha256);
        row(composer, "its version", SSW_PAGE_PLAIN, manifest->arms[arm].server_version);
    }
    write_machine(composer);
    for (size_t i = 0; i < composer->sums->n; i++) {
        snprintf(text, sizeof text, "SHA-256 of %s", composer->sums->items[i].name);
        row(composer, text, SSW_PAGE_CODE, composer->sums->items[i].sha256);
    }
    row(composer, "plots", SSW_PAGE_PLAIN,
        *composer->plots->made_with ? composer->plots->made_with : composer->plots->why_not);
    ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
    ssw_page_write(
        composer->page, SSW_PAGE_PLAIN,
        "Every figure here stands in figures.json under the key that a pointer shows over it, with its unit, "
        "formula, "
        "N and interval. To make this report again from the evidence, and to check it with every hash:");
    ssw_page_add(composer->page, SSW_PAGE_CODE_BLOCK)->text = "seesaw report FOLDER\nseesaw verify FOLDER\n";
}

void ssw_compose_hashes(ssw_composer *composer)
{
    const ssw_manifest *manifest = &composer->analysis->evidence->manifest;
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    for (size_t i = 0; i < manifest->model.n_files; i++) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, "SHA-256 of the model: ");
        ssw_page_write(composer->page, SSW_PAGE_CODE,
                       manifest->model.files[i].sha256 ? manifest->model.files[i].sha256 : "not known");
    }
    for (size_t i = 0; i < composer->sums->n; i++) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "SHA-256 of %s: ", composer->sums->items[i].name);
        ssw_page_write(composer->page, SSW_PAGE_CODE, composer->sums->items[i].sha256);
    }
}
