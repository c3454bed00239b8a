/* A gate's outcome for people and for JUnit. */
#include <math.h>
#include <stdio.h>

#include "bench/report/gate.h"
#include "bench/report/number.h"
#include "bench/report/page.h"

static const char *const outcomes[] = {"passed", "inconclusive", "regressed", "invalid", "server-failed"};

/* "decode rate: time × 1.012 [1.003, 1.021], at most 1.030" */
static void describe(const ssw_gate_check *check, double max_regress, char text[SSW_GATE_TEXT_MAX])
{
    ssw_number_text factor, interval, limit;
    double half = (check->ci_high - check->ci_low) / 2;
    snprintf(text, SSW_GATE_TEXT_MAX, "%s: time × %s, 95 %% interval %s, at most %s; N = %zu",
             ssw_metric_describe(check->metric)->name,
             ssw_number_format(factor, check->time, ssw_number_decimals(check->time, half)),
             ssw_number_format_interval(interval, check->ci_low, check->ci_high),
             ssw_number_format(limit, 1 + max_regress, 3), check->n);
}

void ssw_gate_print(const ssw_gate *gate, const ssw_gate_options *options, ssw_strbuf *out)
{
    char text[SSW_GATE_TEXT_MAX];
    for (size_t i = 0; i < gate->n_checks; i++) {
        describe(&gate->checks[i], options->max_regress, text);
        ssw_strbuf_append_format(out, "%-13s %s, %s\n", outcomes[gate->checks[i].outcome],
                                 gate->checks[i].arm, text);
    }
    ssw_strbuf_append_format(out, "gate: %s%s%s\n", outcomes[gate->outcome], *gate->reason ? ": " : "",
                             gate->reason);
}

static void put_attribute(ssw_strbuf *out, const char *name, const char *text)
{
    ssw_strbuf_append_format(out, " %s=\"", name);
    ssw_page_put_escaped(out, text);
    ssw_strbuf_append_text(out, "\"");
}

static void put_case(ssw_strbuf *out, const char *arm, const char *name, ssw_gate_outcome outcome,
                     const char *message)
{
    ssw_strbuf_append_text(out, "    <testcase");
    put_attribute(out, "classname", arm);
    put_attribute(out, "name", name);
    if (outcome == SSW_GATE_PASSED) {
        ssw_strbuf_append_text(out, ">\n      <system-out>");
        ssw_page_put_escaped(out, message);
        ssw_strbuf_append_text(out, "</system-out>\n    </testcase>\n");
        return;
    }
    ssw_strbuf_append_format(out, ">\n      <%s", outcome == SSW_GATE_REGRESSED ? "failure" : "error");
    put_attribute(out, "type", outcomes[outcome]);
    put_attribute(out, "message", message);
    ssw_strbuf_append_text(out, "/>\n    </testcase>\n");
}

void ssw_gate_print_junit(const ssw_gate *gate, const ssw_gate_options *options, ssw_strbuf *out)
{
    size_t n_failures = 0, n_errors = *gate->reason != '\0', n = gate->n_checks + n_errors;
    char text[SSW_GATE_TEXT_MAX], suite[SSW_GATE_TEXT_MAX + 16];
    for (size_t i = 0; i < gate->n_checks; i++) {
        n_failures += gate->checks[i].outcome == SSW_GATE_REGRESSED;
        n_errors += gate->checks[i].outcome == SSW_GATE_INCONCLUSIVE;
    }
    snprintf(suite, sizeof suite, "seesaw: %s", gate->model);
    ssw_strbuf_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite");
    put_attribute(out, "name", suite);
    ssw_strbuf_append_format(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\"", n,
                             n_failures, n_errors);
    if (*gate->created_utc)
        put_attribute(out, "timestamp", gate->created_utc);
    ssw_strbuf_append_text(out, ">\n");
    if (*gate->reason)
        put_case(out, "measurement", "valid", gate->outcome, gate->reason);
    for (size_t i = 0; i < gate->n_checks; i++) {
        const ssw_gate_check *check = &gate->checks[i];
        describe(check, options->max_regress, text);
        put_case(out, check->arm, ssw_metric_describe(check->metric)->name, check->outcome, text);
    }
    ssw_strbuf_append_text(out, "  </testsuite>\n</testsuites>\n");
}
