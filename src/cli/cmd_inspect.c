/* seesaw inspect: a model's file in numbers, and what it will need. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file_hash.h"
#include "cli/cache_dir.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/inspect_report.h"

enum {
    OPTION_JSON = 256,
    OPTION_PROBE,
    OPTION_BANDWIDTH,
    OPTION_SHA256,
    OPTION_CACHE_TYPE_K,
    OPTION_CACHE_TYPE_V
};
enum { CTX_DEFAULT = 8192, CTX_MAX = 1 << 24 };
#define BANDWIDTH_GB_MAX 1e6

typedef struct arguments {
    const char *path;
    double bandwidth_gb;           /* GB/s; 0: not given */
    ssw_forecast_options forecast; /* ctx_size 0: the model's, at most CTX_DEFAULT */
    bool json, probe, sha256;
} arguments;

static const struct argp_option options[] = {
    {"json", OPTION_JSON, NULL, 0, "as JSON on standard output", 0},
    {"probe", OPTION_PROBE, NULL, 0, "measure how fast this machine reads memory, for the ceiling", 0},
    {"bandwidth", OPTION_BANDWIDTH, "GB/s", 0, "take this read bandwidth of host memory for the ceiling", 0},
    {"sha256", OPTION_SHA256, NULL, 0,
     "hash the model's files; remembered while their size and time stay the same", 0},
    {"ctx-size", 'c', "N", 0,
     "tokens of context that the KV cache holds (default: the model's, at most 8192)", 0},
    {"cache-type-k", OPTION_CACHE_TYPE_K, "TYPE", 0,
     "type of the keys in a KV cache on the GPU: f16 or q8_0 (default: f16). Short: -ctk", 0},
    {"cache-type-v", OPTION_CACHE_TYPE_V, "TYPE", 0, "type of the values there, likewise. Short: -ctv", 0},
    {0}};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    char *end;
    long number;
    switch (key) {
    case OPTION_JSON:
        a->json = true;
        return 0;
    case OPTION_PROBE:
        a->probe = true;
        return 0;
    case OPTION_SHA256:
        a->sha256 = true;
        return 0;
    case OPTION_BANDWIDTH:
        a->bandwidth_gb = strtod(text, &end);
        if (end == text || *end != '\0' || !(a->bandwidth_gb > 0 && a->bandwidth_gb <= BANDWIDTH_GB_MAX))
            argp_error(state, "--bandwidth: '%s' is not a positive number of GB/s", text);
        return 0;
    case 'c':
        errno = 0;
        number = strtol(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || number < 1 || number > CTX_MAX)
            argp_error(state, "--ctx-size: '%s' is not a number from 1 to %d", text, CTX_MAX);
        a->forecast.ctx_size = (int32_t)number;
        return 0;
    case OPTION_CACHE_TYPE_K:
        a->forecast.cache_type_k = ssw_cli_parse_cache_type(state, "cache-type-k", text);
        return 0;
    case OPTION_CACHE_TYPE_V:
        a->forecast.cache_type_v = ssw_cli_parse_cache_type(state, "cache-type-v", text);
        return 0;
    case ARGP_KEY_ARG:
        if (a->path)
            argp_usage(state);
        a->path = text;
        return 0;
    case ARGP_KEY_END:
        if (!a->path)
            argp_error(state, "name a model");
        if (a->probe && a->bandwidth_gb > 0)
            argp_error(state, "--probe and --bandwidth: one of them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* One text per file of the set; the caller frees *out. */
static ssw_status hash_files(const ssw_gguf *gguf, ssw_sha256_text **out, ssw_error *err)
{
    char cache[SSW_CLI_CACHE_DIR_MAX], path[PATH_MAX];
    const char *cache_dir = ssw_cli_make_cache_dir(cache);
    ssw_status status = SSW_OK;
    *out = calloc(ssw_gguf_count_files(gguf), sizeof **out);
    if (!*out)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    for (size_t i = 0; status == SSW_OK && i < ssw_gguf_count_files(gguf); i++) {
        int64_t n_bytes;
        if (realpath(ssw_gguf_file_path(gguf, i), path)) /* so that one file has one entry */
            status = ssw_file_hash(path, cache_dir, (*out)[i], &n_bytes, err);
        else
            status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", ssw_gguf_file_path(gguf, i));
    }
    return status;
}

/* As ssw_engine_open settles it. */
static int32_t default_context(const ssw_gguf *gguf, const ssw_model_facts *facts)
{
    char name[SSW_FACTS_TEXT_MAX + sizeof ".rope.scaling.original_context_length"];
    int64_t original;
    int32_t ctx = facts->ctx_train > 0 && facts->ctx_train < CTX_DEFAULT ? facts->ctx_train : CTX_DEFAULT;
    snprintf(name, sizeof name, "%s.rope.scaling.original_context_length", facts->architecture);
    if (ssw_gguf_find_tensor(gguf, "rope_factors_long.weight") &&
        ssw_gguf_read_i64(ssw_gguf_find_key(gguf, name), &original) && original > 0 && original < ctx)
        ctx = (int32_t)original;
    return ctx;
}

static ssw_status inspect(const arguments *a, ssw_gguf *gguf, ssw_error *err)
{
    ssw_model_facts *facts = calloc(1, sizeof *facts);
    ssw_forecast *forecast = calloc(1, sizeof *forecast);
    ssw_sha256_text *hashes = NULL;
    ssw_read_bandwidth probe;
    ssw_inspect_report report = {
        .path = a->path, .gguf = gguf, .facts = facts, .forecast = forecast, .options = a->forecast};
    ssw_status status = facts && forecast ? ssw_model_facts_read(gguf, facts, err)
                                          : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    if (status != SSW_OK)
        goto cleanup;
    if (report.options.ctx_size == 0)
        report.options.ctx_size = default_context(gguf, facts);
    if (a->sha256) {
        status = hash_files(gguf, &hashes, err);
        if (status != SSW_OK)
            goto cleanup;
        report.sha256 = hashes;
    }
    report.options.host_bytes_per_s = a->bandwidth_gb * 1e9;
    if (a->probe) {
        status = ssw_read_bandwidth_measure(&(ssw_read_bandwidth_options){0}, &probe, err);
        if (status != SSW_OK)
            goto cleanup;
        report.probe = &probe;
        report.options.host_bytes_per_s = probe.best_bytes_per_s;
    }
    status = ssw_forecast_make(gguf, facts, &report.options, forecast, err);
    if (status != SSW_OK)
        goto cleanup;
    if (a->json) {
        json_t *root = ssw_inspect_make_json(&report);
        if (!root || json_dumpf(root, stdout, JSON_INDENT(2)) != 0)
            status = ssw_error_set(err, SSW_ERR_IO, "cannot write the JSON");
        else
            putchar('\n');
        json_decref(root);
    } else {
        ssw_inspect_print_tables(&report);
    }
cleanup:
    free(hashes);
    free(forecast);
    free(facts);
    return status;
}

int ssw_cmd_inspect(int argc, char **argv)
{
    static const struct argp argp = {.options = options,
                                     .parser = parse_option,
                                     .args_doc = "MODEL.gguf",
                                     .doc = "Show what a GGUF model is made of, what each placement of its "
                                            "experts will take, and how fast it can decode "
                                            "at most. Of a split model name the first file."};
    arguments a = {.forecast = {.cache_type_k = SSW_DTYPE_F16, .cache_type_v = SSW_DTYPE_F16}};
    ssw_cli_engine_spell_out(argc, argv);
    if (argp_parse(&argp, argc, argv, 0, NULL, &a))
        return SSW_EXIT_USAGE;
    ssw_error err;
    ssw_gguf *gguf = NULL;
    ssw_status status = ssw_gguf_open(a.path, &gguf, &err);
    if (status == SSW_OK)
        status = inspect(&a, gguf, &err);
    ssw_gguf_close(gguf);
    if (status == SSW_OK)
        return SSW_EXIT_OK;
    fprintf(stderr, "seesaw inspect: %s\n", err.message);
    return SSW_EXIT_FAILED;
}
