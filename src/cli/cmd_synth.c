/* seesaw synth: options in, the shape's file out. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/file_meter.h"
#include "cli/nearest.h"
#include "synth/synth.h"

enum {
    OPTION_QUANT = 256,
    OPTION_DENSE,
    OPTION_LAYERS,
    OPTION_SEED,
    OPTION_SKEW,
    OPTION_VOCAB,
    OPTION_LIST,
    OPTION_JSON,
    OPTION_FORCE
};
enum { NAMES_MAX = 64, JSON_SCHEMA = 1 };

typedef struct arguments {
    const char *shape, *path, *quant, *dense;
    int32_t n_layers, n_vocab, n_threads;
    uint64_t seed;
    double skew;
    bool list, json, force;
} arguments;

static const struct argp_option options[] = {
    {"quant", OPTION_QUANT, "TYPE", 0,
     "types of all tensors, as llama-quantize chooses them (default: the shape's): F32, F16, BF16, Q8_0, "
     "Q4_0, "
     "Q4_1, Q5_0, Q5_1, Q2_K, Q3_K_M, Q4_K_M, Q5_K_M, Q6_K, IQ4_NL, IQ4_XS or MXFP4 (experts only, the rest "
     "Q8_0)",
     0},
    {"dense", OPTION_DENSE, "TYPE", 0,
     "everything but the experts as --quant TYPE would have it: any of those names", 0},
    {"layers", OPTION_LAYERS, "N", 0, "write only the first N layers", 0},
    {"vocab", OPTION_VOCAB, "N", 0, "vocabulary of N tokens instead of the published size", 0},
    {"seed", OPTION_SEED, "N", 0, "of all random numbers (default 1); the same seed gives the same file", 0},
    {"skew", OPTION_SKEW, "Z", 0, "experts are chosen as 1/rank^Z (Zipf) instead of evenly", 0},
    {"threads", 't', "N", 0, "threads that make weights (default: one a core)", 0},
    {"force", OPTION_FORCE, NULL, 0, "overwrite OUT.gguf", 0},
    {"list", OPTION_LIST, NULL, 0, "list the shapes", 0},
    {"json", OPTION_JSON, NULL, 0, "result or list as JSON on standard output", 0},
    {0}};

static bool read_integer(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max)
        return false;
    *out = value;
    return true;
}

static error_t parse_count(struct argp_state *state, const char *text, const char *what, int32_t *out)
{
    uint64_t value;
    if (!read_integer(text, INT32_MAX, &value) || value == 0)
        argp_error(state, "%s: '%s' is not a positive number", what, text);
    else
        *out = (int32_t)value;
    return 0;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    char *end;
    switch (key) {
    case OPTION_QUANT:
        a->quant = text;
        return 0;
    case OPTION_DENSE:
        a->dense = text;
        return 0;
    case OPTION_LAYERS:
        return parse_count(state, text, "--layers", &a->n_layers);
    case OPTION_VOCAB:
        return parse_count(state, text, "--vocab", &a->n_vocab);
    case 't':
        return parse_count(state, text, "--threads", &a->n_threads);
    case OPTION_SEED:
        if (!read_integer(text, UINT64_MAX, &a->seed))
            argp_error(state, "--seed: '%s' is not a number", text);
        return 0;
    case OPTION_SKEW:
        a->skew = strtod(text, &end);
        if (end == text || *end != '\0')
            argp_error(state, "--skew: '%s' is not a number", text);
        return 0;
    case OPTION_LIST:
        a->list = true;
        return 0;
    case OPTION_JSON:
        a->json = true;
        return 0;
    case OPTION_FORCE:
        a->force = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_usage(state);
        *(state->arg_num == 0 ? &a->shape : &a->path) = text;
        return 0;
    case ARGP_KEY_END:
        if (!a->list && !a->path)
            argp_error(state, "name a shape and the file to write (--list shows the shapes)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the list ---- */

static int print_list(bool as_json)
{
    json_t *array = json_array();
    if (!as_json)
        printf("%-17s %-10s %6s %9s %7s %9s %9s %9s  %s\n", "shape", "arch", "layers", "experts", "vocab",
               "params", "active", "size", "type");
    for (size_t i = 0; i < ssw_shape_count(); i++) {
        const ssw_shape *s = ssw_shape_at(i);
        ssw_synth_options o = {.shape = s};
        ssw_synth_plan plan;
        ssw_error err;
        if (ssw_synth_options_resolve(&o, &err) != SSW_OK || ssw_synth_plan_init(&plan, &o, &err) != SSW_OK) {
            fprintf(stderr, "seesaw synth: %s\n", err.message);
            json_decref(array);
            return SSW_EXIT_FAILED;
        }
        char experts[32];
        snprintf(experts, sizeof experts, "%d of %d", s->n_experts_used, s->n_experts);
        if (!as_json)
            printf("%-17s %-10s %6d %9s %7d %7.2f B %7.2f B %6.1f GB  %s\n", s->name, s->architecture,
                   s->n_layers, experts, s->n_vocab, (double)plan.n_parameters * 1e-9,
                   (double)plan.n_active * 1e-9, (double)plan.tensor_bytes * 1e-9, o.mix->name);
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:s}", "shape", s->name,
                             "architecture", s->architecture, "source", s->source, "layers", s->n_layers,
                             "experts", s->n_experts, "experts_used", s->n_experts_used, "vocab", s->n_vocab,
                             "parameters", (json_int_t)plan.n_parameters, "active_parameters",
                             (json_int_t)plan.n_active, "embedding_parameters", (json_int_t)plan.n_embedding,
                             "tensor_bytes", (json_int_t)plan.tensor_bytes, "quant", o.mix->name));
        ssw_synth_plan_deinit(&plan);
    }
    json_t *root = json_pack("{s:i, s:o}", "schema", JSON_SCHEMA, "shapes", array);
    if (as_json && json_dumpf(root, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    json_decref(root);
    return SSW_EXIT_OK;
}

/* ---- the file ---- */

static int refuse_name(const char *what, const char *typed, const char *const *names, size_t n,
                       const char *who_knows)
{
    const char *nearest = ssw_cli_find_nearest(typed, names, n);
    if (nearest)
        fprintf(stderr, "seesaw synth: unknown %s '%s'; did you mean '%s'?\n", what, typed, nearest);
    else
        fprintf(stderr, "seesaw synth: unknown %s '%s'; `seesaw synth %s' shows them\n", what, typed,
                who_knows);
    return SSW_EXIT_USAGE;
}

static int refuse_shape(const char *typed)
{
    const char *names[NAMES_MAX];
    size_t n = ssw_shape_count() < NAMES_MAX ? ssw_shape_count() : NAMES_MAX;
    for (size_t i = 0; i < n; i++)
        names[i] = ssw_shape_at(i)->name;
    return refuse_name("shape", typed, names, n, "--list");
}

static int refuse_type(const char *option, const char *typed)
{
    const char *names[NAMES_MAX] = {"F32"};
    char what[32];
    size_t n = 1;
    for (size_t i = 0; i < ssw_type_mix_count() && n < NAMES_MAX; i++)
        names[n++] = ssw_type_mix_at(i)->name;
    snprintf(what, sizeof what, "%s type", option);
    return refuse_name(what, typed, names, n, "--help");
}

static void print_result(const arguments *a, const ssw_synth_options *o, const ssw_synth_result *r)
{
    double seconds = (double)r->write_ns * 1e-9;
    if (a->json) {
        json_t *root = json_pack(
            "{s:i, s:s, s:s, s:s, s:s, s:s?, s:i, s:i, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:i, s:I}",
            "schema", JSON_SCHEMA, "path", a->path, "shape", o->shape->name, "architecture",
            o->shape->architecture, "quant", o->mix->name, "dense", o->dense_mix ? o->dense_mix->name : NULL,
            "layers", o->n_layers, "vocab", o->n_vocab, "seed", (json_int_t)o->seed, "skew", o->skew,
            "tensors", (json_int_t)r->n_tensors, "parameters", (json_int_t)r->n_parameters,
            "active_parameters", (json_int_t)r->n_active, "embedding_parameters", (json_int_t)r->n_embedding,
            "tensor_bytes", (json_int_t)r->tensor_bytes, "threads", r->n_threads, "write_ns",
            (json_int_t)r->write_ns);
        if (root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0)
            putchar('\n');
        json_decref(root);
        return;
    }
    char dense[64] = "";
    if (o->dense_mix)
        snprintf(dense, sizeof dense, " (all but the experts: %s)", o->dense_mix->name);
    printf("%s: %s, %d of %d layers, %s%s, vocabulary %d\n", a->path, o->shape->title, o->n_layers,
           o->shape->n_layers, o->mix->name, dense, o->n_vocab);
    printf("%" PRIu64
           " tensors, %.3f B parameters (%.3f B active), %.3f GB in %.2f s: %.2f GB/s, %d threads\n",
           r->n_tensors, (double)r->n_parameters * 1e-9, (double)r->n_active * 1e-9,
           (double)r->tensor_bytes * 1e-9, seconds, (double)r->tensor_bytes * 1e-9 / fmax(seconds, 1e-9),
           r->n_threads);
}

static int write_file(const arguments *a, const ssw_synth_options *o)
{
    ssw_error err;
    ssw_synth_result result;
    ssw_file_meter meter;
    ssw_file_meter_begin(&meter);
    ssw_synth_run run = {.n_threads = a->n_threads,
                         .progress = ssw_file_meter_show,
                         .context = &meter,
                         .cancel = ssw_cli_catch_interrupts()};
    if (ssw_synth_write(o, a->path, &run, &result, &err) != SSW_OK) {
        ssw_file_meter_erase(&meter);
        fprintf(stderr, "seesaw synth: %s\n", err.message);
        return err.status == SSW_ERR_USAGE ? SSW_EXIT_USAGE : SSW_EXIT_FAILED;
    }
    print_result(a, o, &result);
    return SSW_EXIT_OK;
}

int ssw_cmd_synth(int argc, char **argv)
{
    static const struct argp argp = {.options = options,
                                     .parser = parse_option,
                                     .args_doc = "SHAPE OUT.gguf\n--list",
                                     .doc = "Write a GGUF model of a published shape with random weights: "
                                            "for tests and benchmarks without a download. "
                                            "llama.cpp reads it too."};
    arguments a = {.seed = 1};
    if (argp_parse(&argp, argc, argv, 0, NULL, &a))
        return SSW_EXIT_USAGE;
    if (a.list)
        return print_list(a.json);
    ssw_error err;
    const ssw_shape *shape = ssw_shape_find(a.shape);
    if (!shape)
        return refuse_shape(a.shape);
    ssw_synth_options o = {.shape = shape,
                           .mix = a.quant ? ssw_synth_find_mix(a.quant) : NULL,
                           .dense_mix = a.dense ? ssw_synth_find_mix(a.dense) : NULL,
                           .n_layers = a.n_layers,
                           .n_vocab = a.n_vocab,
                           .seed = a.seed,
                           .skew = a.skew};
    if (a.quant && !o.mix)
        return refuse_type("--quant", a.quant);
    if (a.dense && !o.dense_mix)
        return refuse_type("--dense", a.dense);
    if (ssw_synth_options_resolve(&o, &err) != SSW_OK) {
        fprintf(stderr, "seesaw synth: %s\n", err.message);
        return SSW_EXIT_USAGE;
    }
    if (!a.force && access(a.path, F_OK) == 0) {
        fprintf(stderr, "seesaw synth: %s exists; --force overwrites it\n", a.path);
        return SSW_EXIT_FAILED;
    }
    return write_file(&a, &o);
}
