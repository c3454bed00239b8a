/* executions.jsonl. */
#include "bench/quality/execute.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bench/evidence/jsonl_writer.h"
#include "bench/evidence/quality_files.h"

enum { MARKER_BYTES = 16, PROGRAM_BYTES_MAX = SSW_SANDBOX_PROGRAM_BYTES_MAX };

typedef char marker_text[2 * MARKER_BYTES + 1];

/* Fresh for each program: one that ends early or prints at will cannot say that its tests held. */
static ssw_status make_marker(marker_text out, ssw_error *err)
{
    unsigned char bytes[MARKER_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return ssw_error_set(err, SSW_ERR_IO, "no random bytes");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return SSW_OK;
}

static bool ends_with_marker(const ssw_sandbox_result *result, const char *marker)
{
    char line[sizeof(marker_text) + 2];
    size_t n = strlen(result->tail), n_line = (size_t)snprintf(line, sizeof line, "\n%s\n", marker);
    return n >= n_line && strcmp(result->tail + n - n_line, line) == 0;
}

/* The last line with something on it, printable. */
static void last_line(const ssw_sandbox_result *result, char out[SSW_SANDBOX_LINE_MAX + 1])
{
    size_t end = strlen(result->tail);
    while (end > 0 && (unsigned char)result->tail[end - 1] <= ' ')
        end--;
    size_t start = end;
    while (start > 0 && result->tail[start - 1] != '\n')
        start--;
    snprintf(out, SSW_SANDBOX_LINE_MAX + 1, "%.*s", (int)(end - start), result->tail + start);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < ' ')
            *c = ' ';
    }
}

static ssw_status run_program(const ssw_problem *problem, const char *code,
                              const ssw_sandbox_options *sandbox, ssw_execution *line,
                              char detail[SSW_SANDBOX_LINE_MAX + 1], ssw_error *err)
{
    marker_text marker;
    ssw_strbuf program;
    ssw_sandbox_result result;
    ssw_strbuf_init(&program, PROGRAM_BYTES_MAX);
    ssw_status status = make_marker(marker, err);
    if (!status)
        status = ssw_problem_make_program(problem, code, marker, &program, err);
    if (!status)
        status = ssw_sandbox_run(sandbox, ssw_strbuf_text(&program), &result, err);
    ssw_strbuf_deinit(&program);
    if (status)
        return status;
    bool passed =
        result.outcome == SSW_SANDBOX_ENDED && result.exit_code == 0 && ends_with_marker(&result, marker);
    line->outcome = passed                                  ? "passed"
                    : result.outcome == SSW_SANDBOX_TIMEOUT ? "timeout"
                    : result.outcome == SSW_SANDBOX_KILLED  ? "killed"
                                                            : "failed";
    line->exit_code = result.exit_code;
    line->wall_ns = result.wall_ns;
    if (!passed) {
        last_line(&result, detail);
        line->detail = *detail ? detail : NULL;
    }
    return SSW_OK;
}

static ssw_status judge(const ssw_sample *sample, const ssw_problem *problem,
                        const ssw_sandbox_options *sandbox, ssw_jsonl *file, ssw_execute_result *out,
                        ssw_error *err)
{
    char detail[SSW_SANDBOX_LINE_MAX + 1] = "";
    ssw_execution line = {.id = sample->id,
                          .problem = problem->name,
                          .outcome = "no-code",
                          .exit_code = SSW_EVIDENCE_NONE,
                          .wall_ns = SSW_EVIDENCE_NONE};
    ssw_strbuf code;
    ssw_strbuf_init(&code, PROGRAM_BYTES_MAX);
    ssw_status status = SSW_OK;
    if (out->no_sandbox) {
        line.outcome = "not-run";
        line.detail = out->reason.message;
    } else if (ssw_problem_extract_code(sample->text, &code) && !code.failed) {
        status = run_program(problem, ssw_strbuf_text(&code), sandbox, &line, detail, err);
        out->n_programs++;
        out->n_passed += !status && strcmp(line.outcome, "passed") == 0;
    }
    ssw_strbuf_deinit(&code);
    return status ? status : ssw_jsonl_append(file, ssw_execution_to_json(&line), false, err);
}

/* The problem whose name is the label of the sample's prompt. */
static const ssw_problem *problem_of(const ssw_evidence *evidence, const ssw_problems *problems,
                                     const ssw_sample *sample)
{
    int prompt =
        ssw_evidence_is_measured(sample) ? ssw_manifest_find_prompt(&evidence->manifest, sample->prompt) : -1;
    return prompt < 0 ? NULL : ssw_problems_find(problems, evidence->manifest.plan.prompts[prompt].label);
}

static ssw_status check_cancelled(int cancel_fd, ssw_error *err)
{
    struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};
    return cancel_fd >= 0 && poll(&cancel, 1, 0) > 0 ? ssw_error_set(err, SSW_ERR_CANCELLED, "interrupted")
                                                     : SSW_OK;
}

ssw_status ssw_quality_execute(const ssw_evidence *evidence, const ssw_problems *problems,
                               const ssw_sandbox_options *sandbox, int cancel_fd,
                               ssw_execute_observer *observer, void *context, ssw_execute_result *out,
                               ssw_error *err)
{
    ssw_jsonl file;
    int n_total = 0, n_done = 0;
    *out = (ssw_execute_result){0};
    ssw_status status = ssw_sandbox_check(sandbox, &out->reason);
    out->no_sandbox = status == SSW_ERR_UNAVAILABLE;
    if (status && !out->no_sandbox) {
        if (err)
            *err = out->reason;
        return status;
    }
    status = ssw_jsonl_open_fresh(&file, evidence->dir, "executions.jsonl", err);
    if (status)
        return status;
    for (size_t i = 0; i < evidence->n_samples; i++)
        n_total += problem_of(evidence, problems, &evidence->samples[i]) != NULL;
    for (size_t i = 0; !status && i < evidence->n_samples; i++) {
        const ssw_problem *problem = problem_of(evidence, problems, &evidence->samples[i]);
        if (!problem)
            continue;
        status = check_cancelled(cancel_fd, err);
        if (!status)
            status = judge(&evidence->samples[i], problem, sandbox, &file, out, err);
        if (!status && observer)
            observer(context, ++n_done, n_total);
    }
    return ssw_jsonl_close_fresh(&file, status, err);
}
