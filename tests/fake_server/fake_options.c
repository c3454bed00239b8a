/* The known-answer server's command line. */
#include "fake_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "fake_server -m MODEL --port P [options]: a server whose answers are known\n"
    "  --name NAME            in /v1/models; by default the model file's name without .gguf\n"
    "  --load-ms T            503 on /health for so long\n"
    "  --ttft-ms T --itl-ms T delay to the first token, and from token to token\n"
    "  --tokens N             tokens of a reply, at most the request's max_tokens\n"
    "  --reasoning N          of these, the first N are reasoning\n"
    "  --per-chunk N          tokens in one frame\n"
    "  --role-first --no-usage --usage-extra N --timings CACHE_N\n"
    "  --fault die-load|never-ready|die-stream|close|hang|garbage|html|http|stream-error\n"
    "  --fault-at FRAME --fault-request N\n"
    "  --ignore-term --spawn-child --allocate-mib N --times FILE\n"
    "  --replay FILE          answer every POST with the file; ollama's other routes are there too\n";

static int64_t ms_to_ns(const char *text)
{
    return (int64_t)(strtod(text, NULL) * 1e6);
}

static fake_fault find_fault(const char *name)
{
    static const char *const names[] = {"none", "die-load", "never-ready", "die-stream", "close",
                                        "hang", "garbage",  "html",        "http",       "stream-error"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(name, names[i]) == 0)
            return (fake_fault)i;
    }
    fprintf(stderr, "fake_server: unknown fault '%s'\n", name);
    exit(2);
}

/* Options without a value; true if it was one. */
static bool take_switch(fake_options *options, const char *name)
{
    if (strcmp(name, "--role-first") == 0)
        return options->role_first = true;
    if (strcmp(name, "--ignore-term") == 0)
        return options->ignore_term = true;
    if (strcmp(name, "--spawn-child") == 0)
        return options->spawn_child = true;
    if (strcmp(name, "--no-usage") == 0) {
        options->usage = false;
        return true;
    }
    return false;
}

static bool take_value(fake_options *options, const char *name, const char *value)
{
    if (strcmp(name, "-m") == 0)
        options->model = value;
    else if (strcmp(name, "--name") == 0)
        options->name = value;
    else if (strcmp(name, "--port") == 0)
        options->port = atoi(value);
    else if (strcmp(name, "--load-ms") == 0)
        options->load_ns = ms_to_ns(value);
    else if (strcmp(name, "--ttft-ms") == 0)
        options->ttft_ns = ms_to_ns(value);
    else if (strcmp(name, "--itl-ms") == 0)
        options->itl_ns = ms_to_ns(value);
    else if (strcmp(name, "--tokens") == 0)
        options->tokens = atoi(value);
    else if (strcmp(name, "--reasoning") == 0)
        options->reasoning_tokens = atoi(value);
    else if (strcmp(name, "--per-chunk") == 0)
        options->tokens_per_chunk = atoi(value);
    else if (strcmp(name, "--usage-extra") == 0)
        options->usage_extra = atoi(value);
    else if (strcmp(name, "--timings") == 0)
        options->cache_n = atoi(value);
    else if (strcmp(name, "--fault") == 0)
        options->fault = find_fault(value);
    else if (strcmp(name, "--fault-at") == 0)
        options->fault_at = atoi(value);
    else if (strcmp(name, "--fault-request") == 0)
        options->fault_request = atoi(value);
    else if (strcmp(name, "--allocate-mib") == 0)
        options->allocate_bytes = (int64_t)atoi(value) << 20;
    else if (strcmp(name, "--replay") == 0)
        options->replay_path = value;
    else if (strcmp(name, "--times") == 0)
        options->times_path = value;
    else
        return false;
    return true;
}

static const char *name_of_model(const char *model)
{
    static char name[256];
    const char *slash = strrchr(model, '/');
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : model);
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".gguf") == 0)
        name[n - 5] = '\0';
    return name;
}

void fake_options_parse(fake_options *options, int argc, char **argv)
{
    *options = (fake_options){
        .model = "fake", .tokens = 1 << 20, .tokens_per_chunk = 1, .cache_n = -1, .usage = true};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            puts("fake_server 1");
            exit(0);
        }
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage_text, stdout);
            exit(0);
        }
        if (take_switch(options, argv[i]))
            continue;
        if (i + 1 < argc && take_value(options, argv[i], argv[i + 1]))
            i++;
    }
    if (!options->name)
        options->name = name_of_model(options->model);
    if (options->tokens_per_chunk < 1)
        options->tokens_per_chunk = 1;
}
