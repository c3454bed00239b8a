/* A gate from its options to its exit status. */
#include "cli/gate_options.h"

#include <string.h>

#include "bench/evidence/evidence_reader.h"
#include "bench/report/gate.h"
#include "bench/report/report_make.h"
#include "cli/commands.h"
#include "cli/option_number.h"

enum option_key { KEY_AGAINST = 0x6100, KEY_MAX_REGRESS, KEY_JUNIT };
enum { TEXT_BYTES_MAX = 1 << 20 };

static const struct argp_option option_list[] = {
    {"max-regress", KEY_MAX_REGRESS, "P%", 0,
     "judge: an arm may take P% more time (decode rate, and time to first token) than the first arm of the "
     "run, or than "
     "the same arm of --against",
     0},
    {"against", KEY_AGAINST, "DIR", 0, "a stored run of the same model, prompts and machine", 0},
    {"junit", KEY_JUNIT, "FILE", 0, "also write the judgement as JUnit's XML", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    ssw_gate_choice *choice = state->input;
    switch (key) {
    case KEY_MAX_REGRESS:
        choice->max_regress = ssw_option_percent(state, "max-regress", value);
        return 0;
    case KEY_AGAINST:
        choice->against = value;
        return 0;
    case KEY_JUNIT:
        choice->junit = value;
        return 0;
    case ARGP_KEY_END:
        if ((choice->against || choice->junit) && choice->max_regress == 0)
            argp_error(state, "--%s goes with --max-regress P%%", choice->against ? "against" : "junit");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ssw_gate_argp = {.options = option_list, .parser = parse};

int ssw_gate_refuse(const char *program, const ssw_gate_choice *choice)
{
    ssw_evidence *evidence;
    ssw_error err;
    if (!choice->against)
        return SSW_EXIT_OK;
    if (ssw_evidence_open(choice->against, &evidence, &err)) {
        fprintf(stderr, "%s: --against: %s\n", program, err.message);
        return SSW_EXIT_USAGE;
    }
    ssw_evidence_close(evidence);
    return SSW_EXIT_OK;
}

static int write_junit(const char *program, const ssw_gate_choice *choice, const ssw_gate *gate,
                       const ssw_gate_options *options)
{
    ssw_strbuf xml;
    ssw_error err;
    if (!choice->junit)
        return SSW_EXIT_OK;
    ssw_strbuf_init(&xml, TEXT_BYTES_MAX);
    ssw_gate_print_junit(gate, options, &xml);
    ssw_status status = ssw_strbuf_check(&xml, choice->junit, &err);
    if (!status)
        status = ssw_report_put_file(choice->junit, ssw_strbuf_text(&xml), xml.n_bytes, &err);
    ssw_strbuf_deinit(&xml);
    if (status)
        fprintf(stderr, "%s: %s\n", program, err.message);
    return status ? SSW_EXIT_FAILED : SSW_EXIT_OK;
}

int ssw_gate_finish(const char *program, const ssw_gate_choice *choice, const char *dir, FILE *out)
{
    static const int codes[] = {SSW_EXIT_OK, SSW_EXIT_INCONCLUSIVE, SSW_EXIT_FAILED, SSW_EXIT_INVALID,
                                SSW_EXIT_SERVER_FAILED};
    const ssw_gate_options options = {
        .dir = dir, .against = choice->against, .max_regress = choice->max_regress};
    ssw_gate gate;
    ssw_error err;
    if (ssw_gate_check_run(&options, &gate, &err)) {
        fprintf(stderr, "%s: %s\n", program, err.message);
        return SSW_EXIT_USAGE;
    }
    ssw_strbuf text;
    ssw_strbuf_init(&text, TEXT_BYTES_MAX);
    ssw_gate_print(&gate, &options, &text);
    fputs(ssw_strbuf_text(&text), out);
    ssw_strbuf_deinit(&text);
    int failed = write_junit(program, choice, &gate, &options);
    return failed ? failed : codes[gate.outcome];
}

int ssw_gate_give_up(const char *program, const ssw_gate_choice *choice, int status, const char *reason)
{
    const ssw_gate_options options = {.max_regress = choice->max_regress};
    ssw_gate gate = {.outcome = status == SSW_EXIT_SERVER_FAILED ? SSW_GATE_SERVER_FAILED : SSW_GATE_INVALID,
                     .model = "the run did not end"};
    snprintf(gate.reason, sizeof gate.reason, "%.250s", *reason ? reason : "the run did not end well");
    write_junit(program, choice, &gate, &options);
    return status;
}
