/* seesaw serve: options in, a running server out, until a signal asks it to end.
 *
 * The HTTP side opens first, so that /health answers while the model loads. Loading runs on a thread of its
 * own; the main thread waits for signals. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/api_keys.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/log_stderr.h"
#include "cli/option_number.h"
#include "cli/placement_table.h"
#include "seesaw/engine.h"
#include "serve/server.h"
#include "token/chat.h"

#define SHUTDOWN_GRACE_NS (5 * SSW_NS_PER_S)

typedef struct serve_options {
    ssw_engine_options engine;
    ssw_server_options server;
    const char *api_key_file;
    bool is_verbose;
} serve_options;

typedef struct loader {
    const serve_options *options;
    ssw_engine *engine;
    ssw_error err;
    int done_fd; /* eventfd */
} loader;

enum { KEY_HOST = 256, KEY_PORT, KEY_PARALLEL, KEY_ALIAS, KEY_API_KEY_FILE, KEY_METRICS, KEY_CHAT_TEMPLATE };

static const struct argp_option arguments[] = {
    {0, 0, 0, 0, "Model:", 1},
    {"model", 'm', "FILE", 0, "the GGUF to serve (the first file of a split set)", 1},
    {"alias", KEY_ALIAS, "NAME", 0, "the model's name in answers (default: the file's own)", 1},
    {"chat-template", KEY_CHAT_TEMPLATE, "NAME", 0,
     "the chat format, if the file's own template is not known or wrong: " SSW_CHAT_FORMATS, 1},
    {"parallel", KEY_PARALLEL, "N", 0, "sequences at once (default: 1)", 1},
    {0, 0, 0, 0, "HTTP:", 3},
    {"host", KEY_HOST, "ADDRESS", 0, "address to listen on (default: 127.0.0.1)", 3},
    {"port", KEY_PORT, "N", 0, "port to listen on; 0: any free one (default: 11435)", 3},
    {"api-key-file", KEY_API_KEY_FILE, "FILE", 0, "ask for one of the keys in FILE, one per line", 3},
    {"metrics", KEY_METRICS, 0, 0, "serve Prometheus metrics at /metrics", 3},
    {"verbose", 'v', 0, 0, "log more", 3},
    {0, 0, 0, 0, "Help:", -1},
    {0},
};

static error_t parse_argument(int key, char *text, struct argp_state *state)
{
    serve_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->engine;
        return 0;
    case 'm':
        options->engine.model_path = text;
        return 0;
    case 'v':
        options->is_verbose = true;
        return 0;
    case KEY_PARALLEL:
        options->engine.n_parallel = ssw_option_int(state, "parallel", text, 1, SSW_ENGINE_PARALLEL_MAX);
        return 0;
    case KEY_CHAT_TEMPLATE:
        options->engine.chat_format = text;
        return 0;
    case KEY_HOST:
        options->server.host = text;
        return 0;
    case KEY_PORT:
        options->server.port = ssw_option_int(state, "port", text, 0, 65535);
        return 0;
    case KEY_ALIAS:
        options->server.alias = text;
        return 0;
    case KEY_API_KEY_FILE:
        options->api_key_file = text;
        return 0;
    case KEY_METRICS:
        options->server.has_metrics = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", text);
        return 0;
    case ARGP_KEY_END:
        if (!options->engine.model_path)
            argp_error(state, "no model is given; use -m FILE");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void *load_model(void *context)
{
    static const uint64_t one = 1;
    loader *load = context;
    ssw_engine *engine = NULL;
    if (ssw_engine_open(&load->options->engine, &engine, &load->err) == SSW_OK &&
        !ssw_engine_tokenizer(engine)) {
        ssw_error_set(&load->err, SSW_ERR_UNSUPPORTED, "%s: a model without a tokenizer cannot be served",
                      load->options->engine.model_path);
        ssw_engine_close(engine);
        engine = NULL;
    }
    load->engine = engine;
    if (write(load->done_fd, &one, sizeof one) < 0)
        perror("seesaw serve: eventfd");
    return NULL;
}

/* Ready: says what was loaded and where it went. */
static void announce(ssw_server *server, const loader *load, const ssw_log *log)
{
    const ssw_engine_info *info = ssw_engine_describe(load->engine);
    ssw_cli_print_placement(info, stdout);
    if (load->options->engine.n_cpu_moe != 0 || load->options->engine.n_override_tensors > 0)
        ssw_cli_print_offload_effect(info, stdout);
    ssw_server_set_engine(server, load->engine);
    ssw_log_write(log, SSW_LOG_INFO, "ready after %.2f s: %s", (double)info->load_ns / 1e9,
                  ssw_server_url(server));
    fflush(stdout);
}

/* Runs until a signal, or until the model cannot be loaded. */
static int run_server(ssw_server *server, loader *load, int signal_fd, const ssw_log *log)
{
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, load_model, load);
    if (failed) {
        ssw_log_write(log, SSW_LOG_ERROR, "starting a thread: %s", strerror(failed));
        return SSW_EXIT_FAILED;
    }
    bool is_loading = true;
    for (;;) {
        struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
                               {.fd = is_loading ? load->done_fd : -1, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return SSW_EXIT_FAILED;
        if (fds[0].revents)
            break;
        if (!fds[1].revents)
            continue;
        is_loading = false;
        pthread_join(thread, NULL);
        if (!load->engine) {
            ssw_log_write(log, SSW_LOG_ERROR, "%s", load->err.message);
            return SSW_EXIT_FAILED;
        }
        announce(server, load, log);
    }
    ssw_log_write(log, SSW_LOG_INFO, "stopping");
    if (is_loading) { /* cannot be interrupted, and holds nothing that outlives the process */
        fflush(NULL);
        _exit(SSW_EXIT_OK);
    }
    ssw_server_stop(server, SHUTDOWN_GRACE_NS);
    return SSW_EXIT_OK;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int serve(serve_options *options, const ssw_log *log)
{
    ssw_error err;
    ssw_server *server = NULL;
    ssw_cli_api_keys keys = {0};
    loader load = {.options = options, .done_fd = -1};
    int exit_status = SSW_EXIT_FAILED;
    int signal_fd = open_signals();
    load.done_fd = eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0 || load.done_fd < 0) {
        ssw_log_write(log, SSW_LOG_ERROR, "signals: %s", strerror(errno));
        goto cleanup;
    }
    if (options->api_key_file && ssw_cli_api_keys_read(options->api_key_file, &keys, &err) != SSW_OK)
        goto refuse;
    options->server.api_keys = (const char *const *)keys.keys;
    options->server.n_api_keys = keys.n_keys;
    if (ssw_server_open(&options->server, &server, &err) != SSW_OK)
        goto refuse;
    printf("listening on %s\n", ssw_server_url(server));
    fflush(stdout);
    exit_status = run_server(server, &load, signal_fd, log);
    goto cleanup;
refuse:
    ssw_log_write(log, SSW_LOG_ERROR, "%s", err.message);
cleanup:
    ssw_server_close(server); /* before the engine: its requests hold jobs */
    ssw_engine_close(load.engine);
    ssw_cli_api_keys_free(&keys);
    if (load.done_fd >= 0)
        close(load.done_fd);
    if (signal_fd >= 0)
        close(signal_fd);
    return exit_status;
}

int ssw_cmd_serve(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ssw_cli_engine_argp, 0, "Where it runs:", 2}, {0}};
    static const struct argp argp = {
        .options = arguments,
        .parser = parse_argument,
        .children = children,
        .args_doc = "-m FILE",
        .doc =
            "Serve a Mixture-of-Experts model over HTTP: OpenAI's chat, completions, embeddings and models, "
            "ollama's /api/generate, /tokenize, /detokenize, /health.\v"
            "Prints `listening on http://HOST:PORT' at once and answers /health with 503 until the model is "
            "loaded. SIGINT and SIGTERM end it: running requests get 5 seconds, then the exit status is 0. A "
            "model or port that cannot be used gives 1, a wrong option 2.",
    };
    serve_options options = {0};
    ssw_cli_engine_options_init(&options.engine);
    ssw_server_options_init(&options.server);
    ssw_cli_engine_spell_out(argc, argv);
    if (argp_parse(&argp, argc, argv, 0, NULL, &options))
        return SSW_EXIT_USAGE;
    ssw_log log = ssw_cli_log_stderr(options.is_verbose ? SSW_LOG_DEBUG : SSW_LOG_INFO);
    options.engine.log = log;
    options.server.log = log;
    return serve(&options, &log);
}
