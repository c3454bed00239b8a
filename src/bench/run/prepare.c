/* Fills in a manifest before the first server starts. */
#include "bench/run/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file_hash.h"
#include "bench/evidence/token_count.h"
#include "bench/run/machine.h"
#include "bench/run/prepare_internal.h"
#include "gguf/gguf.h"
#include "gguf/tensor_class.h"

static const char *keep(ssw_manifest *manifest, const char *text)
{
    return ssw_arena_copy_text(&manifest->arena, text, strlen(text));
}

static ssw_status no_memory(ssw_error *err)
{
    return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the manifest");
}

/* The file's name without folder, ".gguf" and "-00001-of-0000N". */
static const char *name_model(ssw_manifest *manifest, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t n = strlen(base);
    if (n > 5 && strcasecmp(base + n - 5, ".gguf") == 0)
        n -= 5;
    unsigned first, count;
    if (n > 15 && base[n - 15] == '-' && sscanf(base + n - 15, "-%5u-of-%5u", &first, &count) == 2)
        n -= 15;
    return ssw_arena_copy_text(&manifest->arena, base, n);
}

/* ---- the model ---- */

static void count_experts(const ssw_gguf *gguf, ssw_manifest_model *model, ssw_expert_layers *layers)
{
    char key[128];
    uint64_t n_used = 0, n_all = 0;
    model->parameters = model->expert_bytes = 0;
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(gguf, i);
        uint64_t elements = 1;
        for (int d = 0; d < tensor->n_dims; d++)
            elements *= tensor->dims[d];
        model->parameters += (int64_t)elements;
        ssw_tensor_role role = ssw_tensor_role_of(tensor->name);
        if (role.kind != SSW_TENSOR_EXPERT)
            continue;
        model->expert_bytes += (int64_t)tensor->n_bytes;
        if (role.layer >= 0 && role.layer < SSW_OFFLOAD_LAYERS_MAX)
            layers->layer_bytes[role.layer] += (int64_t)tensor->n_bytes;
    }
    layers->known = true;
    if (!model->architecture)
        return;
    snprintf(key, sizeof key, "%.64s.expert_used_count", model->architecture);
    ssw_gguf_read_u64(ssw_gguf_find_key(gguf, key), &n_used);
    snprintf(key, sizeof key, "%.64s.expert_count", model->architecture);
    if (ssw_gguf_read_u64(ssw_gguf_find_key(gguf, key), &n_all) && n_used && n_used <= n_all)
        model->expert_bytes_per_token =
            (int64_t)((double)model->expert_bytes * (double)n_used / (double)n_all + 0.5);
}

ssw_status ssw_prepare_hash(ssw_manifest *manifest, const char *path, const char *cache_dir,
                            ssw_manifest_file *out, ssw_error *err)
{
    ssw_sha256_text sum;
    ssw_status status = ssw_file_hash(path, cache_dir, sum, &out->bytes, err);
    if (status)
        return status;
    out->path = keep(manifest, path);
    out->sha256 = keep(manifest, sum);
    return out->path && out->sha256 ? SSW_OK : no_memory(err);
}

static ssw_status describe_gguf(ssw_manifest *manifest, const char *path, const char *cache_dir,
                                ssw_expert_layers *layers, ssw_error *err)
{
    ssw_gguf *gguf = NULL;
    ssw_gguf_text architecture, general_name;
    ssw_manifest_model *model = &manifest->model;
    ssw_status status = ssw_gguf_open(path, &gguf, err);
    if (status)
        return status;
    if (ssw_gguf_read_text(ssw_gguf_find_key(gguf, "general.architecture"), &architecture))
        model->architecture = ssw_arena_copy_text(&manifest->arena, architecture.bytes, architecture.n_bytes);
    if (ssw_gguf_read_text(ssw_gguf_find_key(gguf, "general.name"), &general_name))
        model->general_name = ssw_arena_copy_text(&manifest->arena, general_name.bytes, general_name.n_bytes);
    count_experts(gguf, model, layers);
    size_t n = ssw_gguf_count_files(gguf);
    model->files = ssw_arena_alloc(&manifest->arena, n + 1, sizeof *model->files);
    if (!model->files)
        status = no_memory(err);
    for (size_t i = 0; !status && i < n; i++) {
        status = ssw_prepare_hash(manifest, ssw_gguf_file_path(gguf, i), cache_dir, &model->files[i], err);
        model->n_files += !status;
    }
    ssw_gguf_close(gguf);
    return status;
}

/* A GGUF begins with its magic; any other file is only hashed, and a name that is no file is left to the
 * server. */
static ssw_status describe_model(ssw_manifest *manifest, const char *given, const char *cache_dir,
                                 ssw_expert_layers *layers, ssw_error *err)
{
    struct stat info;
    char magic[4] = "";
    manifest->model.name = name_model(manifest, given);
    manifest->model.path = keep(manifest, given);
    if (!manifest->model.name || !manifest->model.path)
        return no_memory(err);
    if (stat(given, &info) || !S_ISREG(info.st_mode)) {
        size_t n = strlen(given);
        if (n > 5 && strcasecmp(given + n - 5, ".gguf") == 0)
            return ssw_error_set(err, SSW_ERR_USAGE, "%s: no such file", given);
        return SSW_OK;
    }
    FILE *file = fopen(given, "rbe");
    size_t got = file ? fread(magic, 1, sizeof magic, file) : 0;
    if (file)
        fclose(file);
    if (got == sizeof magic && memcmp(magic, "GGUF", 4) == 0)
        return describe_gguf(manifest, given, cache_dir, layers, err);
    manifest->model.files = ssw_arena_alloc(&manifest->arena, 1, sizeof *manifest->model.files);
    if (!manifest->model.files)
        return no_memory(err);
    manifest->model.n_files = 1;
    return ssw_prepare_hash(manifest, given, cache_dir, &manifest->model.files[0], err);
}

static ssw_status count_prompts(ssw_manifest *manifest, ssw_error *err)
{
    ssw_token_counter *counter = NULL;
    if (!manifest->model.architecture)
        return SSW_OK;
    ssw_status status = ssw_token_counter_open(manifest->model.path, &counter, err);
    if (status == SSW_ERR_UNSUPPORTED) /* a tokenizer we do not know: counts stay unknown */
        return SSW_OK;
    for (size_t i = 0; !status && i < manifest->plan.n_prompts; i++) {
        ssw_text_count count;
        status = ssw_token_counter_count(counter, manifest->plan.prompts[i].text, NULL, NULL, &count, err);
        if (!status)
            manifest->plan.prompts[i].tokens = count.tokens;
    }
    ssw_token_counter_close(counter);
    return status;
}

static ssw_status keep_schedule(ssw_manifest *manifest, const ssw_schedule *schedule, ssw_error *err)
{
    manifest->schedule = ssw_arena_alloc(&manifest->arena, schedule->n_starts, sizeof *manifest->schedule);
    if (!manifest->schedule)
        return no_memory(err);
    for (size_t i = 0; i < schedule->n_starts; i++) {
        const ssw_schedule_start *start = &schedule->starts[i];
        manifest->schedule[manifest->n_schedule++] = (ssw_manifest_start){
            .block = start->block, .position = start->position, .arm = manifest->plan.arms[start->arm].name};
    }
    return SSW_OK;
}

static ssw_status keep_tool(const ssw_prepare_options *options, ssw_manifest *manifest, ssw_error *err)
{
    char now[SSW_CLOCK_TEXT_MAX];
    ssw_clock_format_utc(ssw_clock_wall_ns(), now);
    manifest->tool_version = keep(manifest, options->tool_version);
    manifest->tool_commit = options->tool_commit ? keep(manifest, options->tool_commit) : NULL;
    manifest->created_utc = keep(manifest, now);
    manifest->argv.words =
        ssw_arena_alloc(&manifest->arena, (size_t)options->argc + 1, sizeof *manifest->argv.words);
    if (!manifest->tool_version || !manifest->created_utc || !manifest->argv.words)
        return no_memory(err);
    for (int i = 0; i < options->argc; i++) {
        manifest->argv.words[i] = keep(manifest, options->argv[i]);
        if (!manifest->argv.words[i])
            return no_memory(err);
        manifest->argv.n++;
    }
    return SSW_OK;
}

ssw_status ssw_prepare_manifest(const ssw_prepare_options *options, ssw_manifest *manifest,
                                ssw_schedule *schedule, ssw_error *err)
{
    ssw_expert_layers layers = {0};
    ssw_status status = keep_tool(options, manifest, err);
    if (!status)
        status = describe_model(manifest, options->model, options->cache_dir, &layers, err);
    if (!status)
        status = count_prompts(manifest, err);
    if (!status)
        status = ssw_prepare_arms(options, manifest, &layers, err);
    if (!status)
        status = ssw_machine_describe(manifest, options->nvml, options->nvml_reason, err);
    if (!status && options->rapl)
        manifest->machine.rapl = keep(manifest, ssw_rapl_describe(options->rapl));
    else if (!status && options->rapl_reason)
        manifest->machine.rapl_reason = keep(manifest, options->rapl_reason);
    if (!status)
        status = ssw_schedule_init(schedule, &manifest->plan, err);
    return status ? status : keep_schedule(manifest, schedule, err);
}

static ssw_status check_file(const ssw_manifest_file *file, const char *cache_dir, ssw_error *err)
{
    ssw_sha256_text sum;
    int64_t n_bytes;
    ssw_status status = ssw_file_hash(file->path, cache_dir, sum, &n_bytes, err);
    if (!status && (!file->sha256 || strcmp(sum, file->sha256) != 0))
        status = ssw_error_set(err, SSW_ERR_USAGE,
                               "%s is not the file that the run began with (SHA-256 %.12s, then %.12s)",
                               file->path, sum, file->sha256 ? file->sha256 : "?");
    return status;
}

ssw_status ssw_prepare_check(const ssw_manifest *manifest, const char *cache_dir, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < manifest->model.n_files; i++)
        status = check_file(&manifest->model.files[i], cache_dir, err);
    for (size_t i = 0; !status && i < manifest->n_arms; i++) {
        if (manifest->arms[i].server.path)
            status = check_file(&manifest->arms[i].server, cache_dir, err);
    }
    return status;
}
