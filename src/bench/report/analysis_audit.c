/* The bench's own error, from its self-audits: rule 11 of docs/METHOD.md. */
#include <math.h>
#include <stdlib.h>

#include "bench/report/analysis.h"

static const double NS_TO_MS = 1e-6;

typedef struct errors { /* one value for each request, or frame, of all sessions */
    double *ttft_ms, *itl_ms, *frame_ms;
    size_t n_requests, n_frames;
} errors;

/* The evidence may hold any two numbers. */
static double difference(int64_t a_ns, int64_t b_ns)
{
    int64_t out;
    return __builtin_sub_overflow(a_ns, b_ns, &out) ? (double)a_ns - (double)b_ns : (double)out;
}

/* Both sides' values are of one clock: what the client says less what the server did. */
static void add_request(errors *all, const ssw_audit_request *request)
{
    const int64_t *sent = request->sent_ns, *seen = request->seen_ns;
    const int last = SSW_AUDIT_TOKENS - 1;
    double ttft_ns = difference(seen[0], request->send_ns) - difference(sent[0], request->received_ns);
    double span_ns = difference(seen[last], seen[0]) - difference(sent[last], sent[0]);
    all->ttft_ms[all->n_requests] = fabs(ttft_ns) * NS_TO_MS;
    all->itl_ms[all->n_requests++] = fabs(span_ns) / last * NS_TO_MS;
    for (int i = 0; i <= last; i++)
        all->frame_ms[all->n_frames++] = fabs(difference(seen[i], sent[i])) * NS_TO_MS;
}

static void collect(const ssw_evidence *evidence, errors *all, ssw_audit_results *out)
{
    for (size_t i = 0; i < evidence->n_audits; i++) {
        const ssw_self_audit *audit = &evidence->audits[i];
        for (size_t k = 0; k < audit->n_requests; k++) {
            const ssw_audit_request *request = &audit->requests[k];
            out->n_requests++;
            if (request->n_frames == SSW_AUDIT_TOKENS && request->tokens_told == SSW_AUDIT_TOKENS)
                add_request(all, request);
            else
                out->n_misread++;
        }
    }
}

ssw_status ssw_analysis_audit(ssw_analysis *analysis, ssw_error *err)
{
    const ssw_evidence *evidence = analysis->evidence;
    size_t n = evidence->n_audits * SSW_AUDIT_REQUESTS;
    double *values = calloc(n * (2 + SSW_AUDIT_TOKENS) + 1, sizeof *values);
    if (!values)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the self-audit");
    errors all = {.ttft_ms = values, .itl_ms = values + n, .frame_ms = values + 2 * n};
    collect(evidence, &all, &analysis->audit);
    ssw_status status = ssw_stats_summarize(all.ttft_ms, all.n_requests, &analysis->audit.ttft_ms, err);
    if (!status)
        status = ssw_stats_summarize(all.itl_ms, all.n_requests, &analysis->audit.itl_ms, err);
    if (!status)
        status = ssw_stats_summarize(all.frame_ms, all.n_frames, &analysis->audit.frame_ms, err);
    free(values);
    return status;
}
