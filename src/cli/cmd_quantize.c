/* seesaw quantize: options in, the model in another mix of types out. */
#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/file_meter.h"
#include "cli/nearest.h"
#include "quantize/quantize.h"

enum { OPTION_JSON = 256, OPTION_FORCE, JSON_SCHEMA = 1, MIXES_MAX = 32 };

typedef struct arguments {
    const char *words[3]; /* IN, OUT, TYPE */
    int n_threads;
    bool json, force;
} arguments;

static const struct argp_option options[] = {
    {"threads", 't', "N", 0, "threads that convert rows (default: one a core)", 0},
    {"force", OPTION_FORCE, NULL, 0, "overwrite OUT.gguf", 0},
    {"json", OPTION_JSON, NULL, 0, "result as JSON on standard output", 0},
    {0}};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    char *end;
    switch (key) {
    case 't': {
        long value = strtol(text, &end, 10);
        if (end == text || *end != '\0' || value < 1 || value > SSW_QUANTIZE_THREADS_MAX)
            argp_error(state, "--threads: '%s' is not a number from 1 to %d", text, SSW_QUANTIZE_THREADS_MAX);
        a->n_threads = (int)value;
        return 0;
    }
    case OPTION_FORCE:
        a->force = true;
        return 0;
    case OPTION_JSON:
        a->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 2)
            argp_usage(state);
        a->words[state->arg_num] = text;
        return 0;
    case ARGP_KEY_END:
        if (!a->words[2])
            argp_error(state, "name the model to read, the file to write and a type");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int refuse_type(const char *typed)
{
    const char *names[MIXES_MAX];
    size_t n = ssw_type_mix_count() < MIXES_MAX ? ssw_type_mix_count() : MIXES_MAX;
    for (size_t i = 0; i < n; i++)
        names[i] = ssw_type_mix_at(i)->name;
    const char *nearest = ssw_cli_find_nearest(typed, names, n);
    fprintf(stderr, "seesaw quantize: unknown type '%s'", typed);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?\n", nearest);
    for (size_t i = 0; !nearest && i < n; i++)
        fprintf(stderr, "%s %s%s", i ? "" : "; there are", names[i], i + 1 < n ? "," : "\n");
    return SSW_EXIT_USAGE;
}

static void print_json(const arguments *a, const ssw_type_mix *mix, const ssw_quantize_result *r)
{
    json_t *types = json_object();
    for (uint32_t i = 0; i < SSW_QUANTIZE_TYPES_MAX; i++) {
        if (r->type_bytes[i])
            json_object_set_new(types, ssw_dtype_find(i)->name, json_integer((json_int_t)r->type_bytes[i]));
    }
    json_t *root =
        json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:i, s:I}", "schema", JSON_SCHEMA,
                  "from", a->words[0], "path", a->words[1], "type", mix->name, "tensors",
                  (json_int_t)r->n_tensors, "converted", (json_int_t)r->n_converted, "requantized",
                  (json_int_t)r->n_requantized, "fell_back", (json_int_t)r->n_fell_back, "from_bytes",
                  (json_int_t)r->from_bytes, "tensor_bytes", (json_int_t)r->to_bytes, "type_bytes", types,
                  "threads", r->n_threads, "elapsed_ns", (json_int_t)r->elapsed_ns);
    if (root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    json_decref(root);
}

static void print_result(const arguments *a, const ssw_type_mix *mix, const ssw_quantize_result *r)
{
    printf("%s: %s, %" PRIu64 " of %" PRIu64 " tensors converted, %.3f GB -> %.3f GB in %.1f s, %d threads\n",
           a->words[1], mix->name, r->n_converted, r->n_tensors, (double)r->from_bytes * 1e-9,
           (double)r->to_bytes * 1e-9, (double)r->elapsed_ns * 1e-9, r->n_threads);
    for (uint32_t i = 0; i < SSW_QUANTIZE_TYPES_MAX; i++) {
        if (r->type_bytes[i])
            printf("  %-7s %10.6f GB\n", ssw_dtype_find(i)->name, (double)r->type_bytes[i] * 1e-9);
    }
    if (r->n_fell_back)
        printf("%" PRIu64 " tensors fell back to another type: their rows are no multiple of its block\n",
               r->n_fell_back);
    if (r->n_requantized)
        printf("%" PRIu64 " tensors were quantised before: their first loss stays\n", r->n_requantized);
}

int ssw_cmd_quantize(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "IN.gguf OUT.gguf TYPE",
        .doc = "Write a model again in another type: F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, "
               "Q5_1, Q2_K, Q3_K_M, Q4_K_M, Q5_K_M, Q6_K, IQ4_NL, IQ4_XS or MXFP4 "
               "(experts only, the rest Q8_0). IN may be the first part of a split set."};
    arguments a = {0};
    ssw_error err = {0};
    ssw_gguf *from = NULL;
    ssw_quantize_result result;
    if (argp_parse(&argp, argc, argv, 0, NULL, &a))
        return SSW_EXIT_USAGE;
    const ssw_type_mix *mix = ssw_type_mix_find(a.words[2]);
    if (!mix)
        return refuse_type(a.words[2]);
    if (!a.force && access(a.words[1], F_OK) == 0) {
        fprintf(stderr, "seesaw quantize: %s exists; --force overwrites it\n", a.words[1]);
        return SSW_EXIT_FAILED;
    }
    ssw_file_meter meter;
    ssw_file_meter_begin(&meter);
    ssw_quantize_run run = {.n_threads = a.n_threads,
                            .progress = ssw_file_meter_show,
                            .context = &meter,
                            .cancel = ssw_cli_catch_interrupts()};
    ssw_status status = ssw_gguf_open(a.words[0], &from, &err);
    if (status == SSW_OK)
        status = ssw_quantize_file(from, a.words[1], mix, &run, &result, &err);
    ssw_gguf_close(from);
    if (status != SSW_OK) {
        ssw_file_meter_erase(&meter);
        fprintf(stderr, "seesaw quantize: %s\n", err.message);
        return err.status == SSW_ERR_USAGE ? SSW_EXIT_USAGE : SSW_EXIT_FAILED;
    }
    if (a.json)
        print_json(&a, mix, &result);
    else
        print_result(&a, mix, &result);
    return SSW_EXIT_OK;
}
