/* The arms of a manifest: full command lines and environments. */
#include <stdio.h>
#include <string.h>

#include "bench/plan/plan_guard.h"
#include "bench/run/prepare_internal.h"
#include "bench/run/version_probe.h"

enum { VERSION_BYTES_MAX = 160, ADAPTER_WORDS_MAX = 16 };

static const char *keep(ssw_manifest *manifest, const char *text)
{
    return ssw_arena_copy_text(&manifest->arena, text, strlen(text));
}

static ssw_status no_memory(ssw_error *err)
{
    return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the arms");
}

static ssw_status add_pattern(ssw_manifest *manifest, const char *pattern, int port, ssw_manifest_words *out,
                              ssw_error *err)
{
    const char *word = ssw_adapter_fill(&manifest->arena, pattern, manifest->model.path, port);
    if (!word)
        return no_memory(err);
    out->words[out->n++] = word;
    return SSW_OK;
}

static ssw_status build_argv(const ssw_prepare_server *from, ssw_manifest *manifest, const ssw_plan_arm *arm,
                             ssw_manifest_words *out, ssw_error *err)
{
    ssw_status status = SSW_OK;
    out->words = ssw_arena_alloc(&manifest->arena, arm->n_args + ADAPTER_WORDS_MAX, sizeof *out->words);
    const char *server = keep(manifest, from->path);
    if (!out->words || !server)
        return no_memory(err);
    out->words[out->n++] = server;
    for (size_t i = 0; !status && from->adapter->argv[i]; i++)
        status = add_pattern(manifest, from->adapter->argv[i], arm->port, out, err);
    for (size_t i = 0; i < arm->n_args; i++)
        out->words[out->n++] = arm->args[i];
    return status; /* the words end in NULL: the arena's memory is zeroed */
}

/* Whether an inherited variable can change how a server runs, and so belongs into the evidence. Others may
 * hold secrets and stay out. */
static bool is_relevant(const char *variable)
{
    static const char *const prefixes[] = {"CUDA_",   "GGML_", "LLAMA_",        "OMP_",    "GOMP_",
                                           "KMP_",    "MKL_",  "OPENBLAS_",     "NVIDIA_", "HIP_",
                                           "ROCR_",   "LD_",   "MALLOC_",       "SEESAW_", "SHIMMY_",
                                           "OLLAMA_", "VLLM_", "GLIBC_TUNABLES"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

/* The adapter's variables come after the bench's own and before the arm's: the later one counts. */
static ssw_status build_env(const ssw_prepare_options *options, ssw_manifest *manifest, size_t index,
                            ssw_manifest_words *out, ssw_error *err)
{
    const ssw_plan_arm *arm = &manifest->plan.arms[index];
    const ssw_adapter *adapter = options->servers[index].adapter;
    size_t n = 0;
    ssw_status status = SSW_OK;
    while (options->environment[n])
        n++;
    out->words = ssw_arena_alloc(&manifest->arena, n + arm->n_env + ADAPTER_WORDS_MAX, sizeof *out->words);
    if (!out->words)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const char *variable = options->environment[i];
        if (strchr(variable, '=') && is_relevant(variable)) {
            out->words[out->n] = keep(manifest, variable);
            if (!out->words[out->n++])
                return no_memory(err);
        }
    }
    for (size_t i = 0; !status && adapter->env && adapter->env[i]; i++)
        status = add_pattern(manifest, adapter->env[i], arm->port, out, err);
    for (size_t i = 0; i < arm->n_env; i++)
        out->words[out->n++] = arm->env[i];
    return status;
}

/* Of variables given twice the last stays, since execve would hand both on. */
static void drop_overridden(ssw_manifest_words *env)
{
    size_t kept = 0;
    for (size_t i = 0; i < env->n; i++) {
        size_t n = strcspn(env->words[i], "=") + 1;
        bool again = false;
        for (size_t k = i + 1; k < env->n && !again; k++)
            again = strncmp(env->words[k], env->words[i], n) == 0;
        if (!again)
            env->words[kept++] = env->words[i];
    }
    env->n = kept;
}

/* A server without such a flag must not be given one: it would be refused, or worse, ignored. */
static ssw_status check_treatment(const ssw_adapter *adapter, const ssw_plan_arm *arm, ssw_error *err)
{
    for (size_t i = 0; i < arm->n_args && !adapter->has_cpu_moe; i++) {
        if (strncmp(arm->args[i], "--cpu-moe", 9) == 0 || strncmp(arm->args[i], "--n-cpu-moe", 11) == 0)
            return ssw_error_set(err, SSW_ERR_USAGE,
                                 "arm \"%s\": %s does not know %.40s; give its arms with --arm", arm->name,
                                 adapter->title, arm->args[i]);
    }
    return SSW_OK;
}

/* Path, hash and version of the executable; what an arm before has found is taken from there. */
static ssw_status describe_server(const ssw_prepare_options *options, ssw_manifest *manifest, size_t index,
                                  ssw_error *err)
{
    char version[VERSION_BYTES_MAX];
    const char *path = options->servers[index].path;
    ssw_manifest_arm *arm = &manifest->arms[index];
    for (size_t i = 0; i < index; i++) {
        const ssw_manifest_arm *other = &manifest->arms[i];
        if (!other->server.path || strcmp(other->server.path, path) != 0)
            continue;
        arm->server = other->server;
        arm->server_version = other->server_version;
        return SSW_OK;
    }
    if (ssw_version_probe(path, options->environment, version, sizeof version))
        arm->server_version = keep(manifest, version);
    return ssw_prepare_hash(manifest, path, options->cache_dir, &arm->server, err);
}

static ssw_status describe_arm(const ssw_prepare_options *options, ssw_manifest *manifest, size_t index,
                               ssw_error *err)
{
    const ssw_prepare_server *from = &options->servers[index];
    const ssw_plan_arm *planned = &manifest->plan.arms[index];
    ssw_manifest_arm *arm = &manifest->arms[index];
    ssw_status status = check_treatment(from->adapter, planned, err);
    if (!status)
        status = describe_server(options, manifest, index, err);
    if (!status)
        status = build_argv(from, manifest, planned, &arm->argv, err);
    if (!status)
        status = build_env(options, manifest, index, &arm->env, err);
    if (!status)
        drop_overridden(&arm->env);
    return status;
}

ssw_status ssw_prepare_arms(const ssw_prepare_options *options, ssw_manifest *manifest,
                            const ssw_expert_layers *layers, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < manifest->plan.n_arms; i++) {
        const ssw_plan_arm *planned = &manifest->plan.arms[i];
        const ssw_adapter *adapter = options->servers[i].adapter;
        manifest->arms[i] =
            (ssw_manifest_arm){.name = planned->name,
                               .port = planned->port,
                               .adapter = adapter->name,
                               .ask_path = ssw_adapter_ask_path(adapter, manifest->plan.ask),
                               .prompt_cache = adapter->prompt_cache,
                               .own_times = adapter->own_times,
                               .server = {.bytes = SSW_EVIDENCE_NONE},
                               .treatment = ssw_plan_describe_treatment(&manifest->plan, i, &manifest->arena),
                               .offload_bytes = ssw_offload_claim(planned, layers)};
        if (!planned->url)
            status = describe_arm(options, manifest, i, err);
    }
    manifest->n_arms = manifest->plan.n_arms;
    return status;
}
