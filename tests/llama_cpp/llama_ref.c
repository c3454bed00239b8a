/* llama.cpp's libraries by dlopen; see llama_ref.h. The handle owns the libraries' model and context; the
 * libraries stay loaded, since they do not survive being closed and opened again. */
#include "llama_ref.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llama.h>

enum { PATH_BYTES_MAX = 4096, N_CTX_DEFAULT = 2048, N_BATCH_DEFAULT = 512 };

/* The functions used, by their names in llama.h. */
#define FUNCTIONS(X)                                                                                         \
    X(llama_log_set)                                                                                         \
    X(llama_backend_init)                                                                                    \
    X(ggml_backend_load_all_from_path)                                                                       \
    X(llama_model_default_params)                                                                            \
    X(llama_context_default_params)                                                                          \
    X(llama_model_load_from_file)                                                                            \
    X(llama_init_from_model)                                                                                 \
    X(llama_model_free)                                                                                      \
    X(llama_free)                                                                                            \
    X(llama_model_get_vocab)                                                                                 \
    X(llama_vocab_n_tokens)                                                                                  \
    X(llama_vocab_is_eog)                                                                                    \
    X(llama_tokenize)                                                                                        \
    X(llama_token_to_piece)                                                                                  \
    X(llama_batch_init)                                                                                      \
    X(llama_batch_free)                                                                                      \
    X(llama_decode)                                                                                          \
    X(llama_get_logits_ith)                                                                                  \
    X(llama_get_memory)                                                                                      \
    X(llama_attach_threadpool)                                                                               \
    X(ggml_threadpool_params_default)                                                                        \
    X(ggml_backend_dev_by_type)                                                                              \
    X(ggml_backend_dev_backend_reg)                                                                          \
    X(ggml_backend_reg_get_proc_address)                                                                     \
    X(llama_model_quantize_default_params)                                                                   \
    X(llama_model_quantize)                                                                                  \
    X(llama_memory_clear)

typedef struct functions {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
} functions;

struct ssw_llama {
    functions f;
    struct llama_model *model;
    struct llama_context *context; /* NULL with SSW_LLAMA_VOCAB_ONLY */
    const struct llama_vocab *vocab;
    struct llama_batch batch;
    bool has_batch;
    struct ggml_threadpool *threadpool; /* NULL with one thread */
    void (*free_threadpool)(struct ggml_threadpool *threadpool);
    int32_t n_batch;
    int32_t n_past; /* tokens in the sequence */
};

static void ignore_log(enum ggml_log_level level, const char *text, void *context) {}

/* The one library of that pattern in the folder. */
static void *open_library(const char *folder, const char *name, ssw_error *err)
{
    char pattern[PATH_BYTES_MAX];
    glob_t found;
    void *library = NULL;
    snprintf(pattern, sizeof pattern, "%s/%s", folder, name);
    if (glob(pattern, 0, NULL, &found) == 0) {
        library = dlopen(found.gl_pathv[0], RTLD_NOW | RTLD_LOCAL);
        if (!library)
            ssw_error_set(err, SSW_ERR_UNAVAILABLE, "%s", dlerror());
        globfree(&found);
    } else {
        ssw_error_set(err, SSW_ERR_UNAVAILABLE, "%s: no such library", pattern);
    }
    return library;
}

static ssw_status load_functions(ssw_llama *llama, const char *folder, ssw_error *err)
{
    void *library = open_library(folder, "libllama.v*.so", err); /* its dependencies are found beside it */
    if (!library)
        return SSW_ERR_UNAVAILABLE;
#define X(name)                                                                                              \
    {                                                                                                        \
        void *symbol = dlsym(library, #name);                                                                \
        if (!symbol)                                                                                         \
            return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "%s: no function %s", folder, #name);             \
        memcpy(&llama->f.name, &symbol, sizeof symbol);                                                      \
    }
    FUNCTIONS(X)
#undef X
    return SSW_OK;
}

static ssw_status start_library(ssw_llama *llama, const char *folder, bool verbose, ssw_error *err)
{
    ssw_status status = load_functions(llama, folder, err);
    if (status != SSW_OK)
        return status;
    llama->f.llama_log_set(verbose ? NULL : ignore_log, NULL);
    llama->f.ggml_backend_load_all_from_path(folder);
    llama->f.llama_backend_init();
    return SSW_OK;
}

/* As llama-bench and llama.cpp's other programs do: without it, every decode would start its threads anew. */
static ssw_status attach_threadpool(ssw_llama *llama, int32_t n_threads, ssw_error *err)
{
    struct ggml_threadpool *(*new_threadpool)(struct ggml_threadpool_params * params);
    ggml_backend_dev_t cpu = llama->f.ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_reg_t backend = cpu ? llama->f.ggml_backend_dev_backend_reg(cpu) : NULL;
    void *new_symbol =
        backend ? llama->f.ggml_backend_reg_get_proc_address(backend, "ggml_threadpool_new") : NULL;
    void *free_symbol =
        backend ? llama->f.ggml_backend_reg_get_proc_address(backend, "ggml_threadpool_free") : NULL;
    if (!new_symbol || !free_symbol)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "llama.cpp's CPU backend offers no thread pool");
    memcpy(&new_threadpool, &new_symbol, sizeof new_symbol);
    memcpy(&llama->free_threadpool, &free_symbol, sizeof free_symbol);
    struct ggml_threadpool_params params = llama->f.ggml_threadpool_params_default(n_threads);
    llama->threadpool = new_threadpool(&params);
    if (!llama->threadpool)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "llama.cpp made no pool of %d threads", n_threads);
    llama->f.llama_attach_threadpool(llama->context, llama->threadpool, NULL);
    return SSW_OK;
}

static ssw_status open_context(ssw_llama *llama, const ssw_llama_options *options, ssw_error *err)
{
    struct llama_context_params params = llama->f.llama_context_default_params();
    llama->n_batch = options->n_batch ? options->n_batch : N_BATCH_DEFAULT;
    params.n_ctx = (uint32_t)(options->n_ctx ? options->n_ctx : N_CTX_DEFAULT);
    params.n_batch = params.n_ubatch = (uint32_t)llama->n_batch;
    params.n_threads = params.n_threads_batch = options->n_threads ? options->n_threads : 1;
    if (options->flags & SSW_LLAMA_KV_F32)
        params.type_k = params.type_v = GGML_TYPE_F32;
    if (options->flags & SSW_LLAMA_NO_FLASH)
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    llama->context = llama->f.llama_init_from_model(llama->model, params);
    if (!llama->context)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "%s: llama.cpp made no context", options->model_path);
    llama->batch = llama->f.llama_batch_init(llama->n_batch, 0, 1);
    llama->has_batch = true;
    return options->n_threads > 1 ? attach_threadpool(llama, options->n_threads, err) : SSW_OK;
}

ssw_status ssw_llama_open(const ssw_llama_options *options, ssw_llama **out, ssw_error *err)
{
    const char *folder = options->libraries ? options->libraries : SSW_LLAMA_LIBRARIES;
    *out = NULL;
    ssw_llama *llama = calloc(1, sizeof *llama);
    if (!llama)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    ssw_status status = start_library(llama, folder, (options->flags & SSW_LLAMA_VERBOSE) != 0, err);
    if (status != SSW_OK)
        goto cleanup;
    struct llama_model_params params = llama->f.llama_model_default_params();
    params.n_gpu_layers = 0;
    params.vocab_only = (options->flags & SSW_LLAMA_VOCAB_ONLY) != 0;
    params.use_extra_bufts = !(options->flags & SSW_LLAMA_NO_REPACK);
    llama->model = llama->f.llama_model_load_from_file(options->model_path, params);
    if (!llama->model) {
        status = ssw_error_set(err, SSW_ERR_FORMAT, "%s: llama.cpp does not load it", options->model_path);
        goto cleanup;
    }
    llama->vocab = llama->f.llama_model_get_vocab(llama->model);
    if (!params.vocab_only)
        status = open_context(llama, options, err);

cleanup:
    if (status != SSW_OK)
        ssw_llama_close(llama);
    else
        *out = llama;
    return status;
}

void ssw_llama_close(ssw_llama *llama)
{
    if (!llama)
        return;
    if (llama->has_batch)
        llama->f.llama_batch_free(llama->batch);
    if (llama->context)
        llama->f.llama_free(llama->context);
    if (llama->threadpool)
        llama->free_threadpool(llama->threadpool);
    if (llama->model)
        llama->f.llama_model_free(llama->model);
    free(llama);
}

int32_t ssw_llama_vocab_size(const ssw_llama *llama)
{
    return llama->f.llama_vocab_n_tokens(llama->vocab);
}

bool ssw_llama_is_end(const ssw_llama *llama, int32_t id)
{
    return llama->f.llama_vocab_is_eog(llama->vocab, id);
}

ssw_status ssw_llama_tokenize(const ssw_llama *llama, const char *text, size_t n_bytes, bool parse_special,
                              int32_t *ids, size_t max, size_t *n, ssw_error *err)
{
    int32_t count = llama->f.llama_tokenize(llama->vocab, text, (int32_t)n_bytes, ids, (int32_t)max, false,
                                            parse_special);
    *n = 0;
    if (count < 0)
        return ssw_error_set(err, SSW_ERR_LIMIT, "llama.cpp makes %d tokens, there is room for %zu", -count,
                             max);
    *n = (size_t)count;
    return SSW_OK;
}

size_t ssw_llama_piece(const ssw_llama *llama, int32_t id, char *out, size_t max)
{
    int32_t n = llama->f.llama_token_to_piece(llama->vocab, id, out, (int32_t)max, 0, true);
    return n > 0 ? (size_t)n : 0;
}

ssw_status ssw_llama_eval(ssw_llama *llama, const int32_t *tokens, size_t n, bool all_logits, ssw_error *err)
{
    if (!llama->has_batch || n == 0 || (all_logits && n > (size_t)llama->n_batch))
        return ssw_error_set(err, SSW_ERR_USAGE, "llama.cpp cannot evaluate %zu tokens at once", n);
    for (size_t done = 0; done < n;) {
        struct llama_batch *batch = &llama->batch;
        batch->n_tokens = (int32_t)(n - done < (size_t)llama->n_batch ? n - done : (size_t)llama->n_batch);
        for (int32_t i = 0; i < batch->n_tokens; i++) {
            batch->token[i] = tokens[done + (size_t)i];
            batch->pos[i] = llama->n_past + i;
            batch->n_seq_id[i] = 1;
            batch->seq_id[i][0] = 0;
            batch->logits[i] = all_logits || done + (size_t)i + 1 == n;
        }
        int32_t code = llama->f.llama_decode(llama->context, *batch);
        if (code != 0)
            return ssw_error_set(err, SSW_ERR_INTERNAL, "llama.cpp's decode returned %d at token %d", code,
                                 llama->n_past);
        done += (size_t)batch->n_tokens;
        llama->n_past += batch->n_tokens;
    }
    return SSW_OK;
}

const float *ssw_llama_logits_at(const ssw_llama *llama, int32_t i)
{
    return llama->f.llama_get_logits_ith(llama->context, i);
}

const float *ssw_llama_logits(const ssw_llama *llama)
{
    return ssw_llama_logits_at(llama, -1);
}

int32_t ssw_llama_greedy(const ssw_llama *llama)
{
    const float *logits = ssw_llama_logits(llama);
    int32_t best = 0, n = ssw_llama_vocab_size(llama);
    for (int32_t i = 1; i < n; i++) {
        if (logits[i] > logits[best])
            best = i;
    }
    return best;
}

void ssw_llama_reset(ssw_llama *llama)
{
    if (llama->context)
        llama->f.llama_memory_clear(llama->f.llama_get_memory(llama->context), true);
    llama->n_past = 0;
}

ssw_status ssw_llama_quantize(const char *from, const char *to, uint32_t file_type, ssw_error *err)
{
    ssw_llama llama = {0};
    ssw_status status = start_library(&llama, SSW_LLAMA_LIBRARIES, false, err);
    if (status != SSW_OK)
        return status;
    struct llama_model_quantize_params params = llama.f.llama_model_quantize_default_params();
    params.ftype = (enum llama_ftype)file_type;
    params.allow_requantize = true;
    params.nthread = 2;
    return llama.f.llama_model_quantize(from, to, &params) == 0
               ? SSW_OK
               : ssw_error_set(err, SSW_ERR_FORMAT, "%s: llama.cpp does not quantise it", from);
}
