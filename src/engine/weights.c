/* See the header. */
#include "engine/weights.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

enum { FLOATS_ALIGNMENT = 64 };
#define PROGRESS_EVERY_NS (2 * SSW_NS_PER_S)

/* An older file's joint tensor becomes the two entries that the layer code asks for. */
static void split_joint(ssw_weights *weights, const ssw_model *model)
{
    static const ssw_model_slot slots[] = {SSW_MODEL_ATTN_K_B, SSW_MODEL_ATTN_V_B};
    for (int32_t layer = 0; layer < model->hparams.n_layers; layer++) {
        ssw_weights_entry *of_layer = &weights->entries[(layer + 1) * SSW_MODEL_SLOT_COUNT];
        ssw_weights_entry *joint = &of_layer[SSW_MODEL_ATTN_KV_B];
        for (int i = 0; joint->tensor && i < 2; i++)
            of_layer[slots[i]] = (ssw_weights_entry){
                .tensor = joint->tensor, .form = SSW_WEIGHTS_MATRIX, .part = {&model->hparams, i == 1}};
        *joint = (ssw_weights_entry){0};
    }
}

ssw_status ssw_weights_plan(ssw_weights *weights, const ssw_model *model, ssw_error *err)
{
    memset(weights, 0, sizeof *weights);
    int32_t n = (model->hparams.n_layers + 1) * SSW_MODEL_SLOT_COUNT;
    weights->entries = calloc((size_t)n, sizeof *weights->entries);
    if (!weights->entries)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the table of weights");
    weights->n_entries = n;
    for (int32_t i = 0; i < n; i++) {
        ssw_weights_entry *entry = &weights->entries[i];
        ssw_model_slot slot = (ssw_model_slot)(i % SSW_MODEL_SLOT_COUNT);
        entry->tensor = model->tensors[i];
        if (!entry->tensor)
            entry->form = SSW_WEIGHTS_ABSENT;
        else if (slot == SSW_MODEL_TOKEN_EMBD)
            entry->form = SSW_WEIGHTS_MAPPED;
        else
            entry->form = ssw_model_is_vector(model, slot) ? SSW_WEIGHTS_FLOATS : SSW_WEIGHTS_MATRIX;
    }
    split_joint(weights, model);
    return SSW_OK;
}

static uint64_t predict_columns(const ssw_gguf_tensor *t, int64_t n)
{
    return ssw_cpu_matrix_predict_bytes(t->dtype, (int64_t)t->dims[1], n, (int64_t)t->dims[2]);
}

uint64_t ssw_weights_predict_bytes(const ssw_weights_entry *entry)
{
    const ssw_gguf_tensor *t = entry->tensor;
    switch (entry->form) {
    case SSW_WEIGHTS_ABSENT:
        return 0;
    case SSW_WEIGHTS_MAPPED:
        return t->n_bytes;
    case SSW_WEIGHTS_MATRIX:
        if (entry->part.hparams)
            return ssw_cpu_matrix_predict_bytes(ssw_latent_part_dtype(t), ssw_latent_part_rows(&entry->part),
                                                ssw_latent_part_cols(&entry->part),
                                                entry->part.hparams->n_heads);
        return predict_columns(t, entry->split > 0 ? entry->split : (int64_t)t->dims[0]) +
               (entry->split > 0 ? predict_columns(t, (int64_t)t->dims[0] - entry->split) : 0);
    case SSW_WEIGHTS_FLOATS:
        return (t->n_bytes + FLOATS_ALIGNMENT - 1) / FLOATS_ALIGNMENT * FLOATS_ALIGNMENT;
    }
    return 0;
}

uint64_t ssw_weights_actual_bytes(const ssw_weights_entry *entry)
{
    bool is_own = entry->form == SSW_WEIGHTS_MATRIX && !entry->on_gpu;
    return is_own ? entry->matrix.n_bytes + entry->rest.n_bytes : ssw_weights_predict_bytes(entry);
}

const char *ssw_weights_form_name(ssw_weights_form form)
{
    static const char *const names[] = {"absent", "mapped file", "repacked", "copied"};
    return names[form];
}

void ssw_weights_drop_pages(const ssw_gguf_tensor *tensor)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)tensor->data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)tensor->data + tensor->n_bytes) / page * page;
    if (end > begin)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

typedef struct fill_job {
    ssw_cpu_matrix *matrix;
    ssw_cpu_matrix_part part;
} fill_job;

static void fill(void *context, int worker, int n_workers)
{
    fill_job *job = context;
    ssw_cpu_matrix_fill_part(job->matrix, &job->part, worker, n_workers);
}

void ssw_weights_fill(ssw_pool *pool, ssw_cpu_matrix *matrix, const ssw_cpu_matrix_part *part)
{
    ssw_pool_run(pool, fill, &(fill_job){matrix, *part});
}

/* Columns [first, first + n) of a tensor's matrices. */
static ssw_status load_columns(const ssw_gguf_tensor *t, int64_t first, int64_t n, ssw_cpu_matrix *matrix,
                               ssw_pool *pool, ssw_error *err)
{
    ssw_status status =
        ssw_cpu_matrix_init(matrix, t->dtype, (int64_t)t->dims[1], n, (int64_t)t->dims[2], err);
    if (status != SSW_OK)
        return ssw_error_prefix(err, "tensor '%s'", t->name);
    ssw_weights_fill(pool, matrix,
                     &(ssw_cpu_matrix_part){t->data, (int64_t)t->dims[1], (int64_t)t->dims[0], 0, first});
    return SSW_OK;
}

static ssw_status load_matrix(ssw_weights_entry *entry, ssw_pool *pool, ssw_error *err)
{
    const ssw_gguf_tensor *t = entry->tensor;
    int64_t cols = (int64_t)t->dims[0], n = entry->split > 0 ? entry->split : cols;
    ssw_status status = load_columns(t, 0, n, &entry->matrix, pool, err);
    if (status == SSW_OK && n < cols)
        status = load_columns(t, n, cols - n, &entry->rest, pool, err);
    ssw_weights_drop_pages(t);
    return status;
}

static ssw_status load_part(ssw_weights_entry *entry, ssw_pool *pool, ssw_error *err)
{
    const ssw_gguf_tensor *t = entry->tensor;
    const ssw_latent_part *part = &entry->part;
    void *made = ssw_latent_part_make(part, t);
    ssw_status status = SSW_ERR_NOMEM;
    if (made)
        status = ssw_cpu_matrix_init(&entry->matrix, ssw_latent_part_dtype(t), ssw_latent_part_rows(part),
                                     ssw_latent_part_cols(part), part->hparams->n_heads, err);
    else
        ssw_error_set(err, SSW_ERR_NOMEM, "no memory to split it");
    if (status != SSW_OK) {
        free(made);
        return ssw_error_prefix(err, "tensor '%s'", t->name);
    }
    ssw_weights_fill(pool, &entry->matrix,
                     &(ssw_cpu_matrix_part){made, entry->matrix.rows, entry->matrix.cols, 0, 0});
    free(made);
    if (part->is_value) /* the last to read it */
        ssw_weights_drop_pages(t);
    return SSW_OK;
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (double)(UINT64_C(1) << 30);
}

ssw_status ssw_weights_load(ssw_weights *weights, ssw_pool *pool, const ssw_log *log, ssw_error *err)
{
    uint64_t total_bytes = 0, done_bytes = 0, floats_at = 0;
    for (int32_t i = 0; i < weights->n_entries; i++) {
        const ssw_weights_entry *entry = &weights->entries[i];
        uint64_t n_bytes = entry->on_gpu ? 0 : ssw_weights_predict_bytes(entry);
        total_bytes += n_bytes;
        weights->floats_bytes += entry->form == SSW_WEIGHTS_FLOATS ? n_bytes : 0;
    }
    if (weights->floats_bytes > 0)
        weights->floats = ssw_cpu_memory_alloc(weights->floats_bytes);
    if (weights->floats_bytes > 0 && !weights->floats)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for %llu bytes of norms and biases",
                             (unsigned long long)weights->floats_bytes);
    int64_t said_ns = ssw_clock_now_ns();
    for (int32_t i = 0; i < weights->n_entries; i++) {
        ssw_weights_entry *entry = &weights->entries[i];
        if (entry->on_gpu)
            continue;
        if (entry->form == SSW_WEIGHTS_MATRIX) {
            ssw_status status =
                entry->part.hparams ? load_part(entry, pool, err) : load_matrix(entry, pool, err);
            if (status != SSW_OK)
                return status;
        } else if (entry->form == SSW_WEIGHTS_FLOATS) {
            entry->floats = weights->floats + floats_at / sizeof(float);
            memcpy(entry->floats, entry->tensor->data, entry->tensor->n_bytes);
            floats_at += ssw_weights_predict_bytes(entry);
        }
        done_bytes += ssw_weights_predict_bytes(entry);
        if (ssw_clock_now_ns() - said_ns >= PROGRESS_EVERY_NS) {
            said_ns = ssw_clock_now_ns();
            ssw_log_write(log, SSW_LOG_INFO, "prepared %.1f of %.1f GiB of weights", gib(done_bytes),
                          gib(total_bytes));
        }
    }
    return SSW_OK;
}

void ssw_weights_deinit(ssw_weights *weights)
{
    for (int32_t i = 0; i < weights->n_entries; i++) {
        ssw_cpu_matrix_deinit(&weights->entries[i].matrix);
        ssw_cpu_matrix_deinit(&weights->entries[i].rest);
    }
    ssw_cpu_memory_free(weights->floats, weights->floats_bytes);
    free(weights->entries);
    memset(weights, 0, sizeof *weights);
}

static const ssw_weights_entry *entry_of(const ssw_weights *weights, int32_t layer, ssw_model_slot slot)
{
    return &weights->entries[(layer + 1) * SSW_MODEL_SLOT_COUNT + (int32_t)slot];
}

const ssw_cpu_matrix *ssw_weights_matrix(const ssw_weights *weights, int32_t layer, ssw_model_slot slot)
{
    const ssw_weights_entry *entry = entry_of(weights, layer, slot);
    return entry->form == SSW_WEIGHTS_MATRIX && !entry->on_gpu ? &entry->matrix : NULL;
}

const ssw_cpu_matrix *ssw_weights_rest(const ssw_weights *weights, int32_t layer, ssw_model_slot slot)
{
    const ssw_weights_entry *entry = entry_of(weights, layer, slot);
    return entry->rest.data ? &entry->rest : NULL;
}

const float *ssw_weights_floats(const ssw_weights *weights, int32_t layer, ssw_model_slot slot)
{
    return entry_of(weights, layer, slot)->floats;
}

const ssw_gguf_tensor *ssw_weights_mapped(const ssw_weights *weights, int32_t layer, ssw_model_slot slot)
{
    const ssw_weights_entry *entry = entry_of(weights, layer, slot);
    return entry->form == SSW_WEIGHTS_MAPPED ? entry->tensor : NULL;
}
