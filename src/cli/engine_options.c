/* See engine_options.h. */
#include "cli/engine_options.h"

#include <stdio.h>
#include <string.h>

#include "cli/option_number.h"

enum {
    KEY_CPU_MOE = 1000,
    KEY_N_CPU_MOE,
    KEY_CPU_MOE_SHARE,
    KEY_CPU_MOE_RATE,
    KEY_COPY_RATE,
    KEY_OVERRIDE_TENSOR,
    KEY_MOE_CACHE_MIB,
    KEY_CACHE_TYPE_K,
    KEY_CACHE_TYPE_V,
    KEY_N_GPU_LAYERS,
    KEY_VRAM_MIB,
    KEY_NO_PIN,
    KEY_COMPAT
};

static const struct argp_option arguments[] = {
    {"ctx-size", 'c', "N", 0,
     "tokens per sequence: serve: prompt and answer together (default: the model's own, at most 8192); eval: "
     "of a window (default: 512)",
     0},
    {"batch-size", 'b', "N", 0, "tokens evaluated in one step (default: 512)", 0},
    {"threads", 't', "N", 0,
     "worker threads (default: one per physical core; of four and more one is left free)", 0},
    {"cpu-moe", KEY_CPU_MOE, 0, 0, "keep all experts in host memory", 0},
    {"n-cpu-moe", KEY_N_CPU_MOE, "N", 0,
     "keep the experts of the first N layers in host memory; auto: of as many as must be for the rest to fit",
     0},
    {"cpu-moe-share", KEY_CPU_MOE_SHARE, "PERCENT", 0,
     "of each expert in host memory the CPU computes so much, the GPU reads the rest over the bus meanwhile "
     "(default: by the number of threads and the kind of bus)",
     0},
    {"cpu-moe-rate", KEY_CPU_MOE_RATE, "N[,M]", 0,
     "plan prompts with experts on the CPU at N billion multiply-adds per second and thread, M with AMX; "
     "auto, "
     "the default: measured at start and rounded to a coarse class. Numbers pin it, for the same bits on "
     "every start",
     0},
    {"copy-rate", KEY_COPY_RATE, "N", 0,
     "plan with copies to the GPU at N GB/s; auto, the default: measured at start and rounded to a coarse "
     "class. With --cpu-moe-rate, for the same bits on every start",
     0},
    {"moe-cache-mib", KEY_MOE_CACHE_MIB, "N", 0,
     "keep copies of the most used of those experts in N MiB of GPU memory (default: 0); the contents follow "
     "the tokens served",
     0},
    {"override-tensor", KEY_OVERRIDE_TENSOR, "PATTERN=DEVICE,...", 0,
     "tensors whose names the regular expression matches go to DEVICE (CPU, CUDA0 or GPU), whatever the "
     "other "
     "options say; the first that matches decides. Short: -ot. A layer's experts go together, and so does "
     "the "
     "rest of a layer",
     0},
    {"n-gpu-layers", KEY_N_GPU_LAYERS, "N", 0,
     "layers on the GPU, counted from the last, the output head as one more (default: all where there is a "
     "GPU)",
     0},
    {"gpu-layers", 0, 0, OPTION_ALIAS, 0, 0},
    {"cache-type-k", KEY_CACHE_TYPE_K, "TYPE", 0,
     "type of the keys in the KV cache of layers on the GPU: f16, or q8_0, which takes about half the memory "
     "(default: f16)",
     0},
    {"cache-type-v", KEY_CACHE_TYPE_V, "TYPE", 0, "type of the values there, likewise (default: f16)", 0},
    {"vram-mib", KEY_VRAM_MIB, "N", 0, "take at most N MiB of GPU memory (default: what is free)", 0},
    {"no-pin-threads", KEY_NO_PIN, 0, 0, "do not bind worker threads to cores", 0},
    {"compat", KEY_COMPAT, "ENGINE", 0,
     "where they differ compute what ENGINE does, not what the model's publisher does; ENGINE: llama.cpp", 0},
    {0},
};

static void add_override(struct argp_state *state, ssw_engine_options *options, const char *text)
{
    ssw_error err;
    if (ssw_engine_check_override(text, &err) != SSW_OK)
        argp_error(state, "--override-tensor: %s", err.message);
    if (options->n_override_tensors == SSW_ENGINE_OVERRIDES_MAX)
        argp_error(state, "--override-tensor is given more than %d times; join them with commas",
                   SSW_ENGINE_OVERRIDES_MAX);
    options->override_tensors[options->n_override_tensors++] = text;
}

static double parse_copy_rate(struct argp_state *state, const char *text)
{
    return strcmp(text, "auto") == 0 ? 0 : ssw_option_number(state, "copy-rate", text, 0.1, 1e4) * 1e9;
}

static ssw_engine_cpu_rates parse_rates(struct argp_state *state, const char *text)
{
    static const char name[] = "cpu-moe-rate";
    const char *comma = strchr(text, ',');
    size_t n = comma ? (size_t)(comma - text) : strlen(text);
    char first[32];
    if (strcmp(text, "auto") == 0)
        return (ssw_engine_cpu_rates){0};
    snprintf(first, sizeof first, "%.*s", n < sizeof first ? (int)n : (int)sizeof first - 1, text);
    double vectors = ssw_option_number(state, name, first, 0.1, 1e5);
    double tiles = comma ? ssw_option_number(state, name, comma + 1, 0.1, 1e5) : vectors;
    return (ssw_engine_cpu_rates){vectors * 1e9, tiles * 1e9};
}

ssw_dtype ssw_cli_parse_cache_type(struct argp_state *state, const char *option, const char *text)
{
    const ssw_dtype_traits *traits = ssw_dtype_find_name(text);
    if (!traits || (traits->dtype != SSW_DTYPE_F16 && traits->dtype != SSW_DTYPE_Q8_0))
        argp_error(state, "--%s takes f16 or q8_0, not '%s'", option, text);
    return traits ? traits->dtype : SSW_DTYPE_F16;
}

static error_t parse_argument(int key, char *text, struct argp_state *state)
{
    ssw_engine_options *options = state->input;
    switch (key) {
    case 'c':
        options->ctx_size = ssw_option_int(state, "ctx-size", text, 0, 1 << 20);
        return 0;
    case 'b':
        options->n_batch = ssw_option_int(state, "batch-size", text, 1, 1 << 16);
        return 0;
    case 't':
        options->n_threads = ssw_option_int(state, "threads", text, 1, 512);
        return 0;
    case KEY_CPU_MOE:
        options->n_cpu_moe = SSW_ENGINE_LAYERS_ALL;
        return 0;
    case KEY_N_CPU_MOE:
        options->n_cpu_moe = strcmp(text, "auto") == 0
                                 ? SSW_ENGINE_CPU_MOE_AUTO
                                 : ssw_option_int(state, "n-cpu-moe", text, 0, SSW_ENGINE_LAYERS_ALL);
        return 0;
    case KEY_CPU_MOE_SHARE:
        options->cpu_moe_share = ssw_option_int(state, "cpu-moe-share", text, 0, 100);
        return 0;
    case KEY_CPU_MOE_RATE:
        options->cpu_moe_rates = parse_rates(state, text);
        return 0;
    case KEY_COPY_RATE:
        options->copy_bytes_per_s = parse_copy_rate(state, text);
        return 0;
    case KEY_MOE_CACHE_MIB:
        options->moe_cache_bytes = (uint64_t)ssw_option_int(state, "moe-cache-mib", text, 0, 1 << 30) << 20;
        return 0;
    case KEY_OVERRIDE_TENSOR:
        add_override(state, options, text);
        return 0;
    case KEY_CACHE_TYPE_K:
        options->cache_type_k = ssw_cli_parse_cache_type(state, "cache-type-k", text);
        return 0;
    case KEY_CACHE_TYPE_V:
        options->cache_type_v = ssw_cli_parse_cache_type(state, "cache-type-v", text);
        return 0;
    case KEY_N_GPU_LAYERS:
        options->n_gpu_layers = ssw_option_int(state, "n-gpu-layers", text, 0, SSW_ENGINE_LAYERS_ALL);
        return 0;
    case KEY_VRAM_MIB:
        options->vram_bytes = (uint64_t)ssw_option_int(state, "vram-mib", text, 1, 1 << 30) << 20;
        return 0;
    case KEY_NO_PIN:
        options->pin_threads = false;
        return 0;
    case KEY_COMPAT:
        if (strcmp(text, "llama.cpp") != 0)
            argp_error(state, "--compat takes llama.cpp, not '%s'", text);
        options->compat = SSW_ENGINE_COMPAT_LLAMA_CPP;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ssw_cli_engine_argp = {.options = arguments, .parser = parse_argument};

void ssw_cli_engine_options_init(ssw_engine_options *options)
{
    ssw_engine_options_init(options);
    options->pin_threads = true;
    options->n_gpu_layers = SSW_ENGINE_LAYERS_ALL;
}

void ssw_cli_engine_spell_out(int argc, char **argv)
{
    static char long_names[][2][24] = {{"-ngl", "--n-gpu-layers"},
                                       {"-ot", "--override-tensor"},
                                       {"-ctk", "--cache-type-k"},
                                       {"-ctv", "--cache-type-v"}};
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < sizeof long_names / sizeof long_names[0]; k++) {
            if (strcmp(argv[i], long_names[k][0]) == 0)
                argv[i] = long_names[k][1];
        }
    }
}
