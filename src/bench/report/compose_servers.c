/* What the servers are and say of themselves, and what the bench's own error is. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compose.h"

static void write(ssw_composer *composer, const char *text)
{
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
}

static void write_value(ssw_composer *composer, double value, int decimals, const char *unit,
                        const char *formula, size_t n, const char *key)
{
    ssw_number_text text;
    ssw_figure figure = ssw_compose_plain(value, unit, formula, n);
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                          ssw_figures_put(composer->figures, &figure, "%s", key),
                          ssw_number_format(text, value, decimals));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s", unit);
}

static void write_error(ssw_composer *composer, const char *what, const ssw_summary *error,
                        const char *formula, const char *key, const char *max_key)
{
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s by ", what);
    write_value(composer, error->median, 3, "ms", formula, error->n, key);
    write(composer, " (at most ");
    write_value(composer, error->max, 3, "ms", formula, error->n, max_key);
    write(composer, ")");
}

/* Beside the known-answer server that is built in. */
static void write_audit(ssw_composer *composer)
{
    const ssw_audit_results *audit = &composer->analysis->audit;
    ssw_page_cell_add(composer->page, false, audit->n_misread ? SSW_PAGE_BAD : SSW_PAGE_NEUTRAL);
    if (audit->n_requests == 0) {
        write(composer, "Self-audit: none in this evidence.");
        return;
    }
    ssw_page_print(
        composer->page, SSW_PAGE_PLAIN,
        "Self-audit: before the first start the bench measured a built-in server whose answers are known, "
        "%d replies of %d tokens; ",
        audit->n_requests, SSW_AUDIT_TOKENS);
    if (audit->n_misread)
        ssw_page_print(composer->page, SSW_PAGE_STRONG, "%d of them were read wrongly; ", audit->n_misread);
    else
        write(composer, "each was read token for token; ");
    write(composer, "medians: ");
    write_error(composer, "TTFT was off", &audit->ttft_ms,
                "|TTFT of the client − (first send − receipt) of the server|", "audit.ttft_error.median",
                "audit.ttft_error.max");
    write_error(composer, ", ITL", &audit->itl_ms, "|ITL of the client − ITL of the server|",
                "audit.itl_error.median", "audit.itl_error.max");
    write_error(composer, ", a frame was seen late", &audit->frame_ms,
                "|frame seen by the client − frame sent by the server|", "audit.frame_delay.median",
                "audit.frame_delay.max");
    write(composer, ". Differences below that are the bench's own.");
}

/* On another machine, or hidden: then no memory reading is of it. */
static bool is_process_unknown(const ssw_evidence *evidence, const char *arm)
{
    for (size_t i = 0; i < evidence->n_servers; i++) {
        if (strcmp(evidence->servers[i].arm, arm) == 0 && evidence->servers[i].pid == SSW_EVIDENCE_NONE)
            return true;
    }
    return false;
}

static void write_asked(ssw_composer *composer, size_t arm)
{
    const ssw_manifest *manifest = &composer->analysis->evidence->manifest;
    const ssw_manifest_arm *server = &manifest->arms[arm];
    const char *url = manifest->plan.arms[arm].url;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_write(composer->page, SSW_PAGE_CODE, ssw_compose_arm_name(composer, arm));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, ": talked to as %.40s, asked at ", server->adapter);
    ssw_page_write(composer->page, SSW_PAGE_CODE, server->ask_path ? server->ask_path : "?");
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "; prompt cache %.200s; own times: %.200s.",
                   server->prompt_cache ? server->prompt_cache : "not known",
                   server->own_times ? server->own_times : "not known");
    if (url) {
        write(composer, " It ran already, at ");
        ssw_page_write(composer->page, SSW_PAGE_CODE, url);
        write(composer,
              ": how it was configured and what was in its caches is not known, and it has no load time.");
        if (is_process_unknown(composer->analysis->evidence, ssw_compose_arm_name(composer, arm)))
            write(composer,
                  " Its process was not found (on another machine, or hidden), so its memory is not known.");
    }
}

/* Our time per token beside the server's own, over the samples that have it. */
static void write_own_times(ssw_composer *composer, size_t arm)
{
    const ssw_analysis *analysis = composer->analysis;
    size_t n_samples = analysis->n_prompts * analysis->n_runs, n = 0;
    double ours = 0, theirs = 0;
    char key[SSW_FIGURE_KEY_MAX];
    for (size_t i = arm * n_samples; i < (arm + 1) * n_samples; i++) {
        const ssw_sample *sample = analysis->samples[i];
        double itl = analysis->values[i][SSW_METRIC_ITL];
        if (!sample || !sample->has_timings || sample->timings.predicted_n < 2 ||
            sample->timings.predicted_ms < 0 || !isfinite(itl))
            continue;
        ours += itl;
        theirs += sample->timings.predicted_ms / (double)sample->timings.predicted_n;
        n++;
    }
    if (n == 0)
        return;
    write(composer, " By its own times a token took ");
    snprintf(key, sizeof key, "own_itl.%s.mean", ssw_compose_arm_name(composer, arm));
    write_value(composer, theirs / (double)n, 2, "ms", "mean of the server's predicted_ms / predicted_n", n,
                key);
    write(composer, ", by ours ");
    snprintf(key, sizeof key, "own_itl.%s.ours", ssw_compose_arm_name(composer, arm));
    write_value(composer, ours / (double)n, 2, "ms", "mean ITL of the same replies", n, key);
    write(composer, ".");
}

/* The buffers that the last start's log names; they are the server's claim, not a measurement. */
static void write_buffers(ssw_composer *composer, size_t arm)
{
    const ssw_evidence *evidence = composer->analysis->evidence;
    const ssw_server_life *last = NULL;
    for (size_t i = 0; i < evidence->n_servers; i++) {
        if (strcmp(evidence->servers[i].arm, ssw_compose_arm_name(composer, arm)) == 0 &&
            evidence->servers[i].n_buffers)
            last = &evidence->servers[i];
    }
    if (!last)
        return;
    write(composer, " Its log says of buffers: ");
    for (size_t i = 0; i < last->n_buffers; i++) {
        const ssw_server_buffer *buffer = &last->buffers[i];
        bool seen = false;
        double bytes = 0; /* of all with this device and use: a log may tell parts of one */
        for (size_t k = 0; k < last->n_buffers; k++) {
            bool same = strcmp(last->buffers[k].device, buffer->device) == 0 &&
                        strcmp(last->buffers[k].use, buffer->use) == 0;
            seen |= same && k < i;
            bytes += same ? (double)last->buffers[k].bytes : 0;
        }
        if (!seen)
            ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s%s%s%s %.1f MiB", i ? ", " : "", buffer->device,
                           *buffer->device ? " " : "", buffer->use, bytes / 1048576);
    }
    write(composer, ".");
}

static void write_page_cache(ssw_composer *composer)
{
    const ssw_evidence *evidence = composer->analysis->evidence;
    double most = -1, least = INFINITY;
    for (size_t i = 0; i < evidence->n_servers; i++) {
        double resident = (double)evidence->servers[i].page_cache_bytes;
        if (evidence->servers[i].page_cache_bytes == SSW_EVIDENCE_NONE)
            continue;
        most = fmax(most, resident);
        least = fmin(least, resident);
    }
    if (most < 0)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "Page cache: declared %s; before the starts it held ",
                   ssw_plan_page_cache_name(evidence->manifest.plan.page_cache));
    if (most - least >= 0.05 * 1048576) {
        write_value(composer, least / 1048576, 1, "MiB",
                    "least over server starts of the model's bytes in the page cache", evidence->n_servers,
                    "page_cache.least");
        write(composer, " to ");
    }
    write_value(composer, most / 1048576, 1, "MiB",
                "most over server starts of the model's bytes in the page cache", evidence->n_servers,
                "page_cache.most");
    write(composer, " of the model's files. Load times hold what the disk did for the rest.");
}

/* In the list's first cell. */
static void write_configuration(ssw_composer *composer)
{
    const ssw_plan *plan = &composer->analysis->evidence->manifest.plan;
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "Replies are of %s length; prompts are sent %s.",
                   ssw_plan_length_name(plan->fixed_length),
                   plan->ask == SSW_PLAN_ASK_CHAT ? "as a chat of one message" : "as they are");
    if (plan->n_allowed == 0)
        return;
    write(composer, " Allowed to differ between arms besides the treatment: ");
    for (size_t i = 0; i < plan->n_allowed; i++) {
        write(composer, i ? ", " : "");
        ssw_page_write(composer->page, SSW_PAGE_CODE, plan->allowed[i]);
    }
    write(composer, "; so what follows is not the treatment's effect alone.");
}

void ssw_compose_servers(ssw_composer *composer)
{
    const ssw_manifest *manifest = &composer->analysis->evidence->manifest;
    ssw_page_add(composer->page, SSW_PAGE_HEADING);
    write(composer, "Servers and bench");
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    write_configuration(composer);
    for (size_t arm = 0; arm < manifest->n_arms; arm++) {
        if (!manifest->arms[arm].adapter) /* evidence of older programs */
            continue;
        write_asked(composer, arm);
        write_own_times(composer, arm);
        write_buffers(composer, arm);
    }
    write_page_cache(composer);
    write_audit(composer);
}
