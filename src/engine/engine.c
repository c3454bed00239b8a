/* Opening and closing an engine, and what it says about itself.
 *
 * open runs on the caller's thread and uses the pool to prepare weights. Whatever fails half-way is undone by
 * close. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cores.h"
#include "engine/engine_parts.h"
#include "engine/engine_plan.h"

enum { DEFAULT_BATCH = 512, DEFAULT_CTX_MAX = 8192, BATCH_MAX = 8192 };

void ssw_engine_options_init(ssw_engine_options *options)
{
    memset(options, 0, sizeof *options);
    options->pin_threads = true;
    options->cpu_moe_share = -1;
    options->cache_type_k = options->cache_type_v = SSW_DTYPE_F16;
}

static ssw_status check_range(const char *name, int64_t value, int64_t min, int64_t max, ssw_error *err)
{
    if (value >= min && value <= max)
        return SSW_OK;
    return ssw_error_set(err, SSW_ERR_USAGE, "%s is %lld, expected %lld to %lld", name, (long long)value,
                         (long long)min, (long long)max);
}

static ssw_status check_cache_type(const char *option, ssw_dtype type, int32_t head_dim, ssw_error *err)
{
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)type);
    if (type != SSW_DTYPE_F16 && type != SSW_DTYPE_Q8_0)
        return ssw_error_set(err, SSW_ERR_USAGE, "%s is %s, expected f16 or q8_0", option,
                             traits ? traits->name : "no type");
    if ((uint32_t)head_dim % traits->block_elements != 0)
        return ssw_error_set(
            err, SSW_ERR_UNSUPPORTED,
            "%s q8_0: this model's heads have %d dimensions, which are no whole blocks of %u; "
            "use f16",
            option, head_dim, traits->block_elements);
    return SSW_OK;
}

/* A model with long RoPE factors uses them for every token of a longer context: no longer than is needed. */
static int32_t default_context(const ssw_model *model)
{
    int32_t ctx = model->hparams.ctx_train, original = model->hparams.rope.original_context;
    if (ssw_model_tensor(model, -1, SSW_MODEL_ROPE_LONG) && ctx > original)
        ctx = original;
    return ctx < DEFAULT_CTX_MAX ? ctx : DEFAULT_CTX_MAX;
}

/* Sizes as asked for, or their defaults. */
static ssw_status settle_sizes(ssw_engine *engine, const ssw_engine_options *o, ssw_error *err)
{
    ssw_engine_info *info = &engine->info;
    int32_t ctx_train = engine->model.hparams.ctx_train;
    info->ctx_train = ctx_train;
    info->ctx_size = o->ctx_size != 0 ? o->ctx_size : default_context(&engine->model);
    info->n_parallel = o->n_parallel != 0 ? o->n_parallel : 1;
    info->n_batch = o->n_batch != 0 ? o->n_batch : DEFAULT_BATCH;
    ssw_status status = check_range("ctx_size", info->ctx_size, 1, SSW_MODEL_CTX_MAX, err);
    if (status == SSW_OK)
        status = check_range("n_parallel", info->n_parallel, 1, SSW_ENGINE_PARALLEL_MAX, err);
    if (status == SSW_OK)
        status = check_range("n_batch", info->n_batch, 1, BATCH_MAX, err);
    if (status == SSW_OK)
        status = check_range("n_threads", o->n_threads, 0, SSW_POOL_THREADS_MAX, err);
    if (status == SSW_OK)
        status = check_range("n_cpu_moe", o->n_cpu_moe, SSW_ENGINE_CPU_MOE_AUTO, SSW_ENGINE_LAYERS_ALL, err);
    if (status == SSW_OK)
        status = check_range("cpu_moe_share", o->cpu_moe_share, -1, 100, err);
    if (status == SSW_OK && !(o->cpu_moe_rates.vectors >= 0 && o->cpu_moe_rates.tiles >= 0))
        status = ssw_error_set(err, SSW_ERR_USAGE, "cpu_moe_rates are %g and %g, expected 0 and more",
                               o->cpu_moe_rates.vectors, o->cpu_moe_rates.tiles);
    if (status == SSW_OK && !(o->copy_bytes_per_s >= 0))
        status = ssw_error_set(err, SSW_ERR_USAGE, "copy_bytes_per_s is %g, expected 0 and more",
                               o->copy_bytes_per_s);
    if (status == SSW_OK)
        status = check_cache_type("cache_type_k", o->cache_type_k, engine->model.hparams.head_dim, err);
    if (status == SSW_OK)
        status = check_cache_type("cache_type_v", o->cache_type_v, engine->model.hparams.head_dim, err);
    if (status == SSW_OK)
        status = check_range("n_gpu_layers", o->n_gpu_layers, 0, SSW_ENGINE_LAYERS_ALL, err);
    if (status == SSW_OK)
        status = check_range("n_override_tensors", o->n_override_tensors, 0, SSW_ENGINE_OVERRIDES_MAX, err);
    if (status != SSW_OK)
        return status;
    if (info->ctx_size > ctx_train)
        ssw_log_write(&engine->log, SSW_LOG_WARN,
                      "the context of %d tokens is longer than the %d of its training", info->ctx_size,
                      ctx_train);
    if (info->n_batch > info->ctx_size && info->n_parallel == 1)
        info->n_batch = info->ctx_size;
    return SSW_OK;
}

/* llama.cpp's name for a model without one is "none" or, in older files, "no_vocab". */
static bool has_tokenizer(const ssw_gguf *gguf)
{
    ssw_gguf_text kind;
    if (!ssw_gguf_read_text(ssw_gguf_find_key(gguf, "tokenizer.ggml.model"), &kind))
        return ssw_gguf_find_key(gguf, "tokenizer.ggml.model") != NULL;
    return !ssw_gguf_text_is(&kind, "none") && !ssw_gguf_text_is(&kind, "no_vocab");
}

static ssw_status open_file(ssw_engine *engine, const ssw_engine_options *options, ssw_error *err)
{
    const char *path = options->model_path;
    ssw_status status = ssw_gguf_open(path, &engine->gguf, err);
    if (status != SSW_OK)
        return status;
    status = ssw_model_open(engine->gguf, &engine->model, err);
    if (status != SSW_OK)
        return status;
    if (options->compat == SSW_ENGINE_COMPAT_LLAMA_CPP && ssw_model_follow_llama_cpp(&engine->model))
        ssw_log_write(&engine->log, SSW_LOG_INFO,
                      "computing what llama.cpp computes for %s, not what the publisher's code does",
                      engine->model.arch_name);
    if (!has_tokenizer(engine->gguf)) {
        ssw_log_write(&engine->log, SSW_LOG_WARN, "%s has no tokenizer: only token ids can be evaluated",
                      path);
        return SSW_OK;
    }
    status = ssw_tokenizer_open(engine->gguf, &engine->tokenizer, err);
    if (status != SSW_OK)
        return status;
    int32_t n_vocab = engine->model.hparams.n_vocab;
    if (ssw_tokenizer_vocab_size(engine->tokenizer) > n_vocab)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "%s: the tokenizer has %d tokens, the embedding only %d rows", path,
                             ssw_tokenizer_vocab_size(engine->tokenizer), n_vocab);
    if (options->chat_format) {
        status = ssw_chat_open_named(options->chat_format, engine->tokenizer, &engine->chat, err);
        return status == SSW_OK ? status : ssw_error_prefix(err, "%s", path);
    }
    ssw_error chat_error;
    if (ssw_chat_open(engine->gguf, engine->tokenizer, &engine->chat, &chat_error) != SSW_OK) {
        engine->chat = NULL;
        ssw_log_write(&engine->log, SSW_LOG_WARN, "no chat format: %s", chat_error.message);
    }
    return SSW_OK;
}

/* One core of many is left to whoever sends the tokens: workers spin, and one that loses its core to another
 * thread makes all of them wait (docs/GPU.md has the measurement). */
static int default_threads(void)
{
    enum { MANY_CORES = 4 };
    int cpus[SSW_POOL_THREADS_MAX];
    int n = ssw_cores_list(cpus, SSW_POOL_THREADS_MAX), limit = ssw_cores_read_cgroup_limit();
    if (limit > 0 && limit < n)
        n = limit;
    return n >= MANY_CORES ? n - 1 : 0;
}

static ssw_status open_pool(ssw_engine *engine, const ssw_engine_options *options, ssw_error *err)
{
    ssw_pool_options pool_options = {.n_threads = options->n_threads, .pin = options->pin_threads};
    if (options->n_threads == 0)
        pool_options.n_threads = default_threads();
    ssw_status status = ssw_pool_open(&pool_options, &engine->pool, err);
    if (status != SSW_OK)
        return status;
    engine->info.n_threads = ssw_pool_threads(engine->pool);
    engine->info.n_threads_pinned = ssw_pool_pinned(engine->pool);
    return SSW_OK;
}

static ssw_status open_pass(ssw_engine *engine, ssw_error *err)
{
    size_t n = (size_t)engine->info.n_batch;
    engine->pass.tokens = calloc(n, sizeof *engine->pass.tokens);
    engine->pass.logits = calloc(n, sizeof *engine->pass.logits);
    if (!engine->pass.tokens || !engine->pass.logits)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for a pass of %d tokens", engine->info.n_batch);
    return SSW_OK;
}

static void describe_model(ssw_engine *engine, const char *path)
{
    ssw_engine_info *info = &engine->info;
    const ssw_model_hparams *h = &engine->model.hparams;
    ssw_gguf_text name;
    const char *slash = strrchr(path, '/');
    snprintf(engine->name, sizeof engine->name, "%s", slash ? slash + 1 : path);
    if (ssw_gguf_read_text(ssw_gguf_find_key(engine->gguf, "general.name"), &name) && name.n_bytes > 0)
        snprintf(engine->name, sizeof engine->name, "%.*s",
                 (int)(name.n_bytes < SSW_ENGINE_NAME_MAX ? name.n_bytes : SSW_ENGINE_NAME_MAX - 1),
                 name.bytes);
    info->name = engine->name;
    info->architecture = engine->model.arch_name;
    info->n_layers = h->n_layers;
    info->n_experts = h->n_experts;
    info->n_experts_used = h->n_experts_used;
    info->n_embd = h->n_embd;
    info->n_vocab = h->n_vocab;
    info->n_parameters = engine->model.n_parameters;
    for (size_t i = 0; i < ssw_gguf_count_tensors(engine->gguf); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(engine->gguf, i);
        info->model_bytes += tensor->n_bytes;
        if (ssw_tensor_role_of(tensor->name).kind == SSW_TENSOR_EXPERT)
            info->expert_bytes += tensor->n_bytes;
    }
    info->expert_bytes_per_token = info->expert_bytes / (uint64_t)h->n_experts * (uint64_t)h->n_experts_used;
}

/* Only the GPU has a Q8_0 cache. */
static void say_cache_types(const ssw_engine *engine, const ssw_engine_options *options)
{
    if (options->cache_type_k == SSW_DTYPE_F16 && options->cache_type_v == SSW_DTYPE_F16)
        return;
    if (!engine->gpu)
        ssw_log_write(
            &engine->log, SSW_LOG_WARN,
            "no layer is on a GPU: --cache-type-k and --cache-type-v change nothing, the KV cache in "
            "host memory is F16");
    else if (engine->forward)
        ssw_log_write(&engine->log, SSW_LOG_WARN,
                      "--cache-type-k and --cache-type-v are for the layers on the GPU: the KV cache of the "
                      "others, in host memory, is F16");
}

static ssw_status open_all(ssw_engine *engine, const ssw_engine_options *options, ssw_error *err)
{
    ssw_status status = open_file(engine, options, err);
    if (status == SSW_OK)
        status = settle_sizes(engine, options, err);
    if (status == SSW_OK)
        status = open_pool(engine, options, err);
    if (status != SSW_OK)
        return status;
    describe_model(engine, options->model_path);
    status = ssw_engine_plan_and_load(engine, options, err);
    if (status == SSW_OK) {
        say_cache_types(engine, options);
        status = open_pass(engine, err);
    }
    if (status == SSW_OK) {
        status = ssw_scheduler_slot_init(&engine->scheduler_slot, err);
        engine->has_scheduler_slot = status == SSW_OK;
    }
    return status;
}

ssw_status ssw_engine_open(const ssw_engine_options *options, ssw_engine **out, ssw_error *err)
{
    *out = NULL;
    if (!options->model_path)
        return ssw_error_set(err, SSW_ERR_USAGE, "no model path was given");
    int64_t start_ns = ssw_clock_now_ns();
    ssw_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for an engine");
    engine->log = options->log;
    ssw_status status = open_all(engine, options, err);
    if (status != SSW_OK) {
        ssw_engine_close(engine);
        return status;
    }
    engine->info.load_ns = ssw_clock_now_ns() - start_ns;
    *out = engine;
    return SSW_OK;
}

void ssw_engine_close(ssw_engine *engine)
{
    if (!engine)
        return;
    if (engine->has_scheduler_slot)
        ssw_scheduler_slot_deinit(&engine->scheduler_slot);
    ssw_gpu_close(engine->gpu);
    ssw_forward_close(engine->forward);
    ssw_kvcache_close(&engine->cache);
    ssw_weights_deinit(&engine->weights);
    ssw_pool_close(engine->pool);
    ssw_chat_close(engine->chat);
    ssw_tokenizer_close(engine->tokenizer);
    ssw_model_deinit(&engine->model);
    ssw_gguf_close(engine->gguf);
    free(engine->pass.tokens);
    free(engine->pass.logits);
    free(engine);
}

const ssw_engine_info *ssw_engine_describe(const ssw_engine *engine)
{
    return &engine->info;
}

void ssw_engine_read_expert_cache(ssw_engine *engine, ssw_engine_expert_cache *out)
{
    *out = (ssw_engine_expert_cache){.n_slots = engine->n_expert_slots};
    if (!engine->gpu)
        return;
    ssw_gpu_expert_uses uses = ssw_gpu_read_uses(engine->gpu);
    out->hits_total = uses.hits;
    out->misses_total = uses.misses;
    out->uploads_total = uses.uploads;
}

const struct ssw_tokenizer *ssw_engine_tokenizer(const ssw_engine *engine)
{
    return engine->tokenizer;
}

const struct ssw_chat *ssw_engine_chat(const ssw_engine *engine)
{
    return engine->chat;
}

void ssw_engine_read_layer_times(const ssw_engine *engine, int32_t layer, ssw_engine_layer_times *out)
{
    ssw_gpu_layer_times times = {0};
    if (engine->gpu)
        ssw_gpu_read_layer_times(engine->gpu, layer, &times);
    *out = (ssw_engine_layer_times){times.n_steps, times.wait_ns, times.work_ns};
}

const char *ssw_engine_bound_name(ssw_engine_bound bound)
{
    static const char *const names[SSW_ENGINE_BOUNDS] = {"bytes", "vectors", "tiles"};
    return names[bound];
}

void ssw_engine_read_prompt_times(const ssw_engine *engine, ssw_engine_bound bound,
                                  ssw_engine_prompt_times *out)
{
    *out = (ssw_engine_prompt_times){0};
    if (engine->gpu)
        ssw_gpu_read_prompt_times(engine->gpu, bound, out);
}

ssw_scheduler_slot *ssw_engine_scheduler_slot(ssw_engine *engine)
{
    return &engine->scheduler_slot;
}
