/* seesaw ab: reads the options and builds the plan. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/evidence/text_file.h"
#include "bench/plan/plan_guard.h"
#include "bench/plan/plan_sweep.h"
#include "cli/ab_launch.h"
#include "cli/ab_quality.h"
#include "cli/ab_queue.h"
#include "cli/ab_session.h"
#include "cli/commands.h"
#include "cli/option_number.h"

enum option_key {
    KEY_ARM = 256,
    KEY_SERVER,
    KEY_RUNS,
    KEY_PROMPTS,
    KEY_MAX_TOKENS,
    KEY_TEMPERATURE,
    KEY_DESIGN,
    KEY_SEED,
    KEY_AA,
    KEY_NO_AA,
    KEY_EQUIVALENCE,
    KEY_PRECISION,
    KEY_MIN_RUNS,
    KEY_MAX_RUNS,
    KEY_WARMUP,
    KEY_PAUSE,
    KEY_TIMEOUT,
    KEY_LOAD_TIMEOUT,
    KEY_GRACE,
    KEY_MEMORY_TIMEOUT,
    KEY_PORT,
    KEY_LENGTH,
    KEY_URL,
    KEY_ASK,
    KEY_ALLOW_DIFF,
    KEY_PAGE_CACHE,
    KEY_OUT,
    KEY_PLAN,
    KEY_SWEEP,
    KEY_FIT,
    KEY_RESUME,
    KEY_QUANT,
    KEY_NO_REPORT,
    KEY_INDEX,
    KEY_NO_INDEX,
    KEY_JSON
};

enum { MAX_RUNS_DEFAULT = 40 };

static const struct argp_option option_list[] = {
    {NULL, 0, NULL, 0, "What is measured:", 1},
    {"model", 'm', "MODEL", 0,
     "the GGUF file (of a split model the first), or a name that the server knows; give it several times for "
     "a "
     "queue of runs and one table across",
     1},
    {"quant", KEY_QUANT, "TYPES", 0,
     "a queue of runs, one for each quantisation of each model: Q4_K_M,Q5_K_M,Q8_0, or as-is among them; "
     "they "
     "are made once and kept in the cache folder. none: whatever the plan file says",
     1},
    {"server", KEY_SERVER, "NAME|PATH|NAME=PATH", 0,
     "the server: seesaw (this program, the default), llama-server, shimmy, vllm, ollama or openai (any with "
     "OpenAI's "
     "routes); PATH: an executable that takes -m and --port, or one of these by its file name; NAME=PATH "
     "says which "
     "of them it is like",
     1},
    {"url", KEY_URL, "[NAME=]URL", 0,
     "an arm that is a server which runs already, http://HOST:PORT; it is neither started nor stopped", 1},
    {"ask", KEY_ASK, "chat|completion", 0, "prompts in the model's chat format (the default), or as they are",
     1},
    {"arm", KEY_ARM, "NAME='ARGS'", 0,
     "an arm of the test: its name and what its server gets besides (NAME@SERVER='ARGS': an arm of another "
     "server); NAME=VALUE words before the first "
     "argument are "
     "environment variables. Give it once for each arm; by default baseline='' and offload='--cpu-moe'",
     1},
    {"sweep", KEY_SWEEP, "FLAG=VALUES", 0,
     "an arm for each value of a flag: FROM:TO:STEP or A,B,C, as in n-cpu-moe=0:24:4; one --arm may give the "
     "words that all of them share",
     1},
    {"fit", KEY_FIT, "SIZE", 0, "of a sweep, also name the smallest value that fits in SIZE, such as 8GiB",
     1},
    {"port", KEY_PORT, "P", 0, "the first arm's port, the next arms' ports follow (11436)", 1},
    {"prompts", KEY_PROMPTS, "FILE", 0,
     "prompts, one a line, or a JSON or YAML list; by default the four of the published test", 1},
    {"runs", KEY_RUNS, "N", 0, "measurements of each prompt on each arm (3)", 1},
    {"max-tokens", KEY_MAX_TOKENS, "N", 0, "length of a reply, at most (100)", 1},
    {"temperature", KEY_TEMPERATURE, "T", 0, "of the sampling, sent with each request (0.3)", 1},
    {"length", KEY_LENGTH, "natural|fixed", 0,
     "natural (the default): a reply ends where the model ends it, or at --max-tokens; fixed: the server is "
     "asked to "
     "ignore the end of text, so that every reply has --max-tokens",
     1},
    {"page-cache", KEY_PAGE_CACHE, "as-is|warm|cold", 0,
     "what of the model's files is in the page cache at each start: what earlier starts left (the default), "
     "all, "
     "nothing",
     1},
    {"allow-diff", KEY_ALLOW_DIFF, "NAME", 0,
     "an option or variable in which arms may differ besides the treatment; give it once for each", 1},
    {"plan", KEY_PLAN, "FILE", 0,
     "a YAML file with all of this (its keys are in docs/BENCH.md); options after it override it", 1},
    {NULL, 0, NULL, 0, "How:", 2},
    {"design", KEY_DESIGN, "abba|sequential", 0,
     "abba (the default): each run is a block in which every arm's server is started once and answers each "
     "prompt "
     "once; the order is drawn from the seed and mirrored in the next block. sequential: the published form, "
     "all of "
     "the first arm, then all of the second",
     2},
    {"seed", KEY_SEED, "N", 0, "orders blocks and prompts, and is part of each request's seed (1)", 2},
    {"aa", KEY_AA, NULL, 0,
     "measure the first arm twice, as arms of their own in every block: what the two differ by is noise, and "
     "no verdict "
     "claims less. By default where the design is abba, and as long as it takes no more than 15 minutes",
     2},
    {"no-aa", KEY_NO_AA, NULL, 0, "measure the first arm once only; nothing then says how large noise is", 2},
    {"equivalence", KEY_EQUIVALENCE, "P%", 0,
     "the change that would not matter: say where it is shown that an arm lies within it", 2},
    {"precision", KEY_PRECISION, "P%", 0,
     "stop at the end of a block as soon as the rate's interval reaches no farther than P% to either side",
     2},
    {"max-runs", KEY_MAX_RUNS, "N", 0,
     "with --precision: stop after so many runs, however wide the interval is (40)", 2},
    {"min-runs", KEY_MIN_RUNS, "N", 0, "with --precision: runs before the first look at the interval (6)", 2},
    {"warmup", KEY_WARMUP, "N", 0, "requests after each start that no figure uses (1)", 2},
    {"pause", KEY_PAUSE, "S", 0, "seconds between a server's end and the next one's start (5)", 2},
    {"timeout", KEY_TIMEOUT, "S", 0, "a reply that is silent for so many seconds has hung (120)", 2},
    {"load-timeout", KEY_LOAD_TIMEOUT, "S", 0,
     "a server that is not ready after so many seconds has failed (600)", 2},
    {"grace", KEY_GRACE, "S", 0, "seconds that a server has between SIGTERM and SIGKILL (10)", 2},
    {"memory-timeout", KEY_MEMORY_TIMEOUT, "S", 0,
     "seconds to wait at most for a stopped server's memory to be free again (30)", 2},
    {NULL, 0, NULL, 0, "What is left behind:", 3},
    {"out", KEY_OUT, "DIR", 0, "where the run's folder baseline-ab-MODEL-DATE-TIME is made (runs)", 3},
    {"resume", KEY_RESUME, "DIR", 0,
     "go on with the folder of an interrupted run, or of a queue, by its own plan", 3},
    {"no-report", KEY_NO_REPORT, NULL, 0, "measure only; `seesaw report DIR' makes the report later", 3},
    {"index", KEY_INDEX, "FILE", 0,
     "record the finished run there, for `seesaw compare --index' (runs.sqlite in the cache folder)", 3},
    {"no-index", KEY_NO_INDEX, NULL, 0, "do not record the run in the index", 3},
    {"json", KEY_JSON, NULL, 0, "print the outcome as JSON; progress goes to standard error", 3},
    {0},
};

typedef struct arguments {
    ssw_ab_options options;
    ssw_plan plan;
    int first_port, max_runs; /* max_runs: 0 when not given */
    ssw_ab_launch launch;
    const char *quant;       /* NULL: the models as they are */
    const char *plan_option; /* the first option that --resume does not go with */
} arguments;

static int64_t read_seconds(struct argp_state *state, const char *name, const char *text)
{
    return (int64_t)(ssw_option_number(state, name, text, 0, 86400) * (double)SSW_NS_PER_S);
}

static uint64_t read_seed(struct argp_state *state, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        argp_error(state, "--seed wants a whole number of 0 or more, not '%s'", text);
    return value;
}

typedef ssw_status file_reader(ssw_plan *plan, const char *name, const char *text, size_t n_bytes,
                               ssw_error *err);

static void read_file(struct argp_state *state, const char *path, file_reader *reader)
{
    arguments *all = state->input;
    ssw_error err;
    char *text = NULL;
    size_t n_bytes = 0;
    ssw_status status = ssw_text_file_read(path, SSW_PLAN_FILE_BYTES_MAX, &text, &n_bytes, &err);
    if (!status)
        status = reader(&all->plan, path, text, n_bytes, &err);
    free(text);
    if (status) {
        fprintf(stderr, "%s: %s\n", state->name, err.message);
        exit(SSW_EXIT_USAGE);
    }
}

static void check(struct argp_state *state, ssw_status status, const ssw_error *err)
{
    if (status)
        argp_error(state, "%s", err->message);
}

static error_t parse_plan_option(int key, char *value, struct argp_state *state)
{
    arguments *all = state->input;
    ssw_plan *plan = &all->plan;
    ssw_error err;
    switch (key) {
    case KEY_ARM:
        check(state, ssw_plan_add_arm_option(plan, value, &err), &err);
        break;
    case KEY_SWEEP:
        check(state, ssw_plan_sweep_option(plan, value, &err), &err);
        break;
    case KEY_FIT:
        check(state, ssw_plan_fit_option(plan, value, &err), &err);
        break;
    case KEY_DESIGN:
        check(state, ssw_plan_parse_design(value, &plan->design, &err), &err);
        break;
    case KEY_PROMPTS:
        read_file(state, value, ssw_plan_read_prompts);
        break;
    case KEY_PLAN:
        read_file(state, value, ssw_plan_read_yaml);
        ssw_ab_quality_take_plan(state, &plan->quality, &all->options.quality);
        break;
    case KEY_RUNS:
        plan->runs = ssw_option_int(state, "runs", value, 1, SSW_PLAN_RUNS_MAX);
        break;
    case KEY_AA:
        plan->aa = SSW_PLAN_AA_ON;
        break;
    case KEY_NO_AA:
        plan->aa = SSW_PLAN_AA_OFF;
        break;
    case KEY_EQUIVALENCE:
        plan->equivalence_margin = ssw_option_percent(state, "equivalence", value);
        break;
    case KEY_PRECISION:
        plan->precision = ssw_option_percent(state, "precision", value);
        break;
    case KEY_MAX_RUNS:
        all->max_runs = ssw_option_int(state, "max-runs", value, 1, SSW_PLAN_RUNS_MAX);
        break;
    case KEY_MIN_RUNS:
        plan->min_runs = ssw_option_int(state, "min-runs", value, SSW_PLAN_MIN_RUNS_MIN, SSW_PLAN_RUNS_MAX);
        break;
    case KEY_WARMUP:
        plan->warmup_runs = ssw_option_int(state, "warmup", value, 0, SSW_PLAN_WARMUPS_MAX);
        break;
    case KEY_MAX_TOKENS:
        plan->max_tokens = ssw_option_int(state, "max-tokens", value, 1, SSW_PLAN_TOKENS_MAX);
        break;
    case KEY_TEMPERATURE:
        plan->temperature = ssw_option_number(state, "temperature", value, 0, 100);
        break;
    case KEY_SEED:
        plan->seed = read_seed(state, value);
        break;
    case KEY_PORT:
        all->first_port = ssw_option_int(state, "port", value, 1, 65535);
        break;
    case KEY_LENGTH:
        check(state, ssw_plan_parse_length(value, &plan->fixed_length, &err), &err);
        break;
    case KEY_URL:
        check(state, ssw_plan_add_url_option(plan, value, &err), &err);
        break;
    case KEY_ASK:
        check(state, ssw_plan_parse_ask(value, &plan->ask, &err), &err);
        break;
    case KEY_PAGE_CACHE:
        check(state, ssw_plan_parse_page_cache(value, &plan->page_cache, &err), &err);
        break;
    case KEY_ALLOW_DIFF:
        check(state, ssw_plan_allow_difference(plan, value, &err), &err);
        break;
    case KEY_PAUSE:
        plan->pause_ns = read_seconds(state, "pause", value);
        break;
    case KEY_TIMEOUT:
        plan->hang_timeout_ns = read_seconds(state, "timeout", value);
        break;
    case KEY_LOAD_TIMEOUT:
        plan->ready_timeout_ns = read_seconds(state, "load-timeout", value);
        break;
    case KEY_GRACE:
        plan->stop_grace_ns = read_seconds(state, "grace", value);
        break;
    case KEY_MEMORY_TIMEOUT:
        plan->memory_timeout_ns = read_seconds(state, "memory-timeout", value);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    for (const struct argp_option *o = option_list; !all->plan_option && (o->name || o->doc); o++) {
        if (o->key == key)
            all->plan_option = o->name;
    }
    return 0;
}

/* -m comes before a plan file's models, --quant before its quant. */
static void choose_models(struct argp_state *state)
{
    arguments *all = state->input;
    ssw_error err;
    for (size_t i = 0; !all->options.model && i < all->plan.n_models; i++)
        all->launch.models[all->launch.n_models++] = all->plan.models[i];
    if (!all->options.model && all->launch.n_models)
        all->options.model = all->launch.models[0];
    if (!all->quant)
        all->quant = all->plan.quant;
    if (all->quant && strcmp(all->quant, "none") == 0)
        all->quant = NULL;
    if (all->quant)
        check(state, ssw_ab_check_quant(all->quant, &err), &err);
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    arguments *all = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &all->launch;
        state->child_inputs[1] = &all->options.quality;
        state->child_inputs[2] = &all->options.gate;
        return 0;
    case 'm':
        all->options.model = value;
        if (all->launch.n_models == SSW_LAUNCH_MODELS_MAX)
            argp_error(state, "more than %d models", SSW_LAUNCH_MODELS_MAX);
        all->launch.models[all->launch.n_models++] = value;
        return 0;
    case KEY_QUANT:
        all->quant = value;
        return 0;
    case KEY_SERVER:
        all->options.server = value;
        return 0;
    case KEY_OUT:
        all->options.out = value;
        return 0;
    case KEY_RESUME:
        all->options.resume = value;
        return 0;
    case KEY_NO_REPORT:
        all->options.report = false;
        return 0;
    case KEY_INDEX:
        all->options.index = value;
        return 0;
    case KEY_NO_INDEX:
        all->options.record = false;
        return 0;
    case KEY_JSON:
        all->options.json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s' (an arm is given as --arm NAME='ARGS')", value);
        return 0;
    case ARGP_KEY_END:
        if (all->options.resume && all->options.model)
            argp_error(state, "--resume goes on by the run's own plan: -m cannot be given");
        if (all->options.resume && all->launch.launcher)
            argp_error(state, "--resume goes on here: --launcher cannot be given");
        if (all->options.resume && all->options.quality.wanted)
            argp_error(state, "--resume goes on by the run's own plan: options of quality cannot be given");
        if (all->options.resume && all->plan_option)
            argp_error(state, "--resume goes on by the run's own plan: --%s cannot be given",
                       all->plan_option);
        if (all->max_runs && all->plan.precision == 0)
            argp_error(state, "--max-runs goes with --precision; --runs says how many there are");
        if (all->options.resume && all->quant)
            argp_error(state, "--resume goes on by the queue's own list: --quant cannot be given");
        choose_models(state);
        if (!all->options.resume && !all->options.model && !all->launch.collect)
            argp_error(state, "-m MODEL is missing");
        return 0;
    default:
        return parse_plan_option(key, value, state);
    }
}

static const char doc[] = "Measure a model server against itself under other settings: start each arm's "
                          "server, send the same prompts, and "
                          "leave a folder with every raw time, from which the report is computed.\v"
                          "The default is the published test of --cpu-moe: a baseline on port 11436, an "
                          "offloaded server on port 11437, four "
                          "prompts, three runs, 100 tokens, temperature 0.3.\n\n"
                          "Exit status: 0 measured, and passed where --max-regress is given; 1 regressed; 3 "
                          "inconclusive; 2 wrong usage (a taken port included); 4 the measurement "
                          "is invalid (the server serves "
                          "another model, or the evidence contradicts the treatment); 5 a server failed; 130 "
                          "interrupted; 1 anything else. "
                          "After 4, 5 and 130 what was measured is kept, and --resume goes on.";

static int run_queue(const arguments *all, int argc, char **argv)
{
    const ssw_ab_queue queue = {.models = all->launch.models,
                                .n_models = all->launch.n_models,
                                .quant = all->quant,
                                .out = all->options.out,
                                .json = all->options.json,
                                .argc = argc,
                                .argv = argv};
    return all->options.resume ? ssw_ab_resume_queue(all->options.resume, all->options.json)
                               : ssw_ab_run_queue(&queue);
}

int ssw_cmd_ab(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ssw_ab_launch_argp, 0, "On other machines:", 4},
                                                 {&ssw_ab_quality_argp, 0, "What the arms say:", 5},
                                                 {&ssw_gate_argp, 0, "For continuous integration:", 6},
                                                 {0}};
    static const struct argp argp = {
        .options = option_list, .parser = parse_option, .doc = doc, .children = children};
    arguments all = {.options = {.server = "seesaw",
                                 .out = "runs",
                                 .report = true,
                                 .record = true,
                                 .n_rest = ssw_ab_queue_take_rest(),
                                 .run_begin_ns = ssw_clock_now_ns(),
                                 .argc = argc,
                                 .argv = argv}};
    ssw_error err;
    ssw_plan_init(&all.plan);
    ssw_quality_options_init(&all.options.quality);
    all.plan.aa = SSW_PLAN_AA_AUTO;
    if (argp_parse(&argp, argc, argv, 0, NULL, &all)) {
        ssw_plan_deinit(&all.plan);
        return SSW_EXIT_USAGE;
    }
    if (all.launch.collect) {
        ssw_plan_deinit(&all.plan);
        return ssw_ab_collect(all.launch.collect, all.options.json);
    }
    if (all.plan.precision > 0)
        all.plan.runs = all.max_runs ? all.max_runs : MAX_RUNS_DEFAULT;
    if (ssw_gate_refuse(argv[0], &all.options.gate)) {
        ssw_plan_deinit(&all.plan);
        return SSW_EXIT_USAGE;
    }
    ssw_status status = all.options.resume ? SSW_OK : ssw_plan_finish(&all.plan, all.first_port, &err);
    if (!status && !all.options.resume)
        status = ssw_plan_check_arms(&all.plan, &err);
    if (!status && !all.options.resume)
        status = ssw_plan_add_same_arm(&all.plan, &err);
    if (status) {
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
        ssw_plan_deinit(&all.plan);
        return SSW_EXIT_USAGE;
    }
    if (all.launch.launcher) {
        int code = ssw_ab_submit(&all.launch, all.options.out, all.options.json, argc, argv);
        ssw_plan_deinit(&all.plan);
        return code;
    }
    if (all.launch.n_models > 1 || all.quant || (all.options.resume && ssw_ab_is_queue(all.options.resume))) {
        int code = run_queue(&all, argc, argv);
        ssw_plan_deinit(&all.plan);
        return code;
    }
    return ssw_ab_run_session(&all.options, &all.plan);
}
