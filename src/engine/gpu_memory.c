/* The device's memory: weights, caches, buffers, and the pinned host memory beside them. */
#include <string.h>

#include "base/clock.h"
#include "engine/carver.h"
#include "engine/gpu_parts.h"
#include "engine/rope_setup.h"

enum { ALIGNMENT_BYTES = 256 };
#define PROGRESS_EVERY_NS (2 * SSW_NS_PER_S)

/* ---- weights ---- */

static ssw_gpu_weight *weight_at(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot)
{
    return &gpu->weights[(layer + 1) * SSW_MODEL_SLOT_COUNT + (int32_t)slot];
}

const ssw_cuda_matrix *ssw_gpu_matrix(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot)
{
    const ssw_gpu_weight *weight = weight_at(gpu, layer, slot);
    return weight->matrix.data ? &weight->matrix : NULL;
}

const float *ssw_gpu_floats(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot)
{
    return weight_at(gpu, layer, slot)->floats;
}

/* Gives every tensor on the device its place; with no memory it only counts. */
static uint64_t carve_weights(ssw_gpu *gpu, uint8_t *base)
{
    ssw_carver c = {base, 0, ALIGNMENT_BYTES};
    for (int32_t i = 0; i < gpu->setup.weights->n_entries; i++) {
        const ssw_weights_entry *entry = &gpu->setup.weights->entries[i];
        if (!entry->on_gpu)
            continue;
        void *at = ssw_carve(&c, 1, ssw_weights_predict_bytes(entry));
        if (entry->form == SSW_WEIGHTS_MATRIX)
            gpu->weights[i].matrix.data = at;
        else
            gpu->weights[i].floats = at;
    }
    return c.at;
}

uint64_t ssw_gpu_weight_bytes(const ssw_gpu *gpu, int32_t entry)
{
    const ssw_gpu_weight *weight = &gpu->weights[entry];
    if (weight->matrix.data)
        return (uint64_t)weight->matrix.n_matrices * weight->matrix.matrix_bytes;
    return weight->floats ? ssw_weights_predict_bytes(&gpu->setup.weights->entries[entry]) : 0;
}

static ssw_status load_matrix(ssw_gpu *gpu, const ssw_gguf_tensor *t, ssw_gpu_weight *weight,
                              uint8_t *staging, ssw_error *err)
{
    ssw_cpu_matrix m;
    ssw_status status =
        ssw_cpu_matrix_plan(&m, t->dtype, (int64_t)t->dims[1], (int64_t)t->dims[0], (int64_t)t->dims[2], err);
    if (status != SSW_OK)
        return ssw_error_prefix(err, "tensor '%s'", t->name);
    m.data = staging;
    memset(staging + m.n_bytes - m.band_bytes, 0, m.band_bytes); /* the last band's missing rows */
    ssw_weights_fill(gpu->setup.pool, &m, &(ssw_cpu_matrix_part){t->data, m.rows, m.cols, 0, 0});
    weight->matrix.dtype = m.dtype;
    weight->matrix.rows = m.rows;
    weight->matrix.cols = m.cols;
    weight->matrix.n_matrices = (int32_t)m.n_matrices;
    weight->matrix.band_bytes = m.band_bytes;
    weight->matrix.matrix_bytes = m.matrix_bytes;
    return ssw_cuda_copy_to_device((void *)(uintptr_t)weight->matrix.data, staging, m.n_bytes, err);
}

static uint64_t largest_matrix_bytes(const ssw_gpu *gpu)
{
    uint64_t largest = 0;
    for (int32_t i = 0; i < gpu->setup.weights->n_entries; i++) {
        const ssw_weights_entry *entry = &gpu->setup.weights->entries[i];
        if (entry->on_gpu && ssw_weights_predict_bytes(entry) > largest)
            largest = ssw_weights_predict_bytes(entry);
    }
    return largest;
}

static ssw_status copy_all(ssw_gpu *gpu, uint8_t *staging, ssw_error *err)
{
    uint64_t done_bytes = 0;
    int64_t said_ns = ssw_clock_now_ns();
    for (int32_t i = 0; i < gpu->setup.weights->n_entries; i++) {
        const ssw_weights_entry *entry = &gpu->setup.weights->entries[i];
        ssw_status status = SSW_OK;
        if (!entry->on_gpu)
            continue;
        if (entry->form == SSW_WEIGHTS_MATRIX)
            status = load_matrix(gpu, entry->tensor, &gpu->weights[i], staging, err);
        else
            status = ssw_cuda_copy_to_device(gpu->weights[i].floats, entry->tensor->data,
                                             entry->tensor->n_bytes, err);
        if (status != SSW_OK)
            return status;
        ssw_weights_drop_pages(entry->tensor);
        done_bytes += ssw_weights_predict_bytes(entry);
        if (ssw_clock_now_ns() - said_ns >= PROGRESS_EVERY_NS) {
            said_ns = ssw_clock_now_ns();
            ssw_log_write(&gpu->setup.log, SSW_LOG_INFO, "copied %.1f of %.1f GiB to the GPU",
                          (double)done_bytes / (1 << 30), (double)gpu->bytes.weights / (1 << 30));
        }
    }
    return SSW_OK;
}

/* Whether the entry's matrix is multiplied on the device: it lies there, or may be copied there. */
static bool is_multiplied(const ssw_gpu_setup *setup, int32_t i)
{
    const ssw_weights_entry *entry = &setup->weights->entries[i];
    return entry->form == SSW_WEIGHTS_MATRIX &&
           (entry->on_gpu || i / SSW_MODEL_SLOT_COUNT > setup->first_layer);
}

ssw_status ssw_gpu_load_weights(ssw_gpu *gpu, ssw_error *err)
{
    void *memory = NULL, *staging = NULL;
    gpu->bytes.weights = carve_weights(gpu, NULL);
    ssw_status status = ssw_cuda_alloc(&memory, gpu->bytes.weights, err);
    if (status != SSW_OK)
        return status;
    gpu->weight_memory = memory;
    carve_weights(gpu, memory);
    status = ssw_cuda_alloc_host(&staging, largest_matrix_bytes(gpu), err);
    if (status != SSW_OK)
        return status;
    status = copy_all(gpu, staging, err);
    ssw_cuda_free_host(staging);
    return status;
}

/* ---- caches ---- */

/* Elements of one layer's keys, or of its values. */
static uint64_t cache_elements(const ssw_gpu_setup *setup, int32_t layer)
{
    const ssw_model_hparams *h = &setup->model->hparams;
    return (uint64_t)h->n_heads_kv * (uint64_t)setup->cache->layers[layer].n_rows * (uint64_t)h->head_dim *
           (uint64_t)setup->n_sequences;
}

uint64_t ssw_gpu_predict_cache_bytes(const ssw_gpu_setup *setup, int32_t layer)
{
    uint64_t n = cache_elements(setup, layer);
    return ssw_dtype_row_bytes(setup->cache_type_k, n) + ssw_dtype_row_bytes(setup->cache_type_v, n);
}

/* Values, and after them the scales that Q8_0 has. Returns where the next begin. */
static uint8_t *place_cache(uint8_t *at, ssw_dtype type, uint64_t n, void **values, uint16_t **scales)
{
    *values = at;
    *scales = type == SSW_DTYPE_Q8_0 ? (uint16_t *)(void *)(at + n) : NULL;
    return at + ssw_dtype_row_bytes(type, n);
}

static ssw_status open_caches(ssw_gpu *gpu, ssw_error *err)
{
    const ssw_gpu_setup *setup = &gpu->setup;
    for (int32_t layer = setup->first_layer; layer < gpu->h->n_layers; layer++)
        gpu->bytes.cache += ssw_gpu_predict_cache_bytes(setup, layer);
    void *memory = NULL;
    ssw_status status = ssw_cuda_alloc(&memory, gpu->bytes.cache, err);
    if (status != SSW_OK)
        return ssw_error_prefix(err, "KV cache (try a smaller --ctx-size%s)",
                                setup->cache_type_k == SSW_DTYPE_F16 && setup->cache_type_v == SSW_DTYPE_F16
                                    ? ", or -ctk q8_0 -ctv q8_0"
                                    : "");
    gpu->cache_memory = memory;
    uint8_t *at = memory;
    for (int32_t layer = setup->first_layer; layer < gpu->h->n_layers; layer++) {
        ssw_cuda_kv *kv = &gpu->kv[layer];
        uint64_t n = cache_elements(setup, layer);
        kv->n_rows = setup->cache->layers[layer].n_rows;
        kv->sequence_stride = (int64_t)(n / (uint64_t)setup->n_sequences);
        at = place_cache(at, setup->cache_type_k, n, &kv->k, &kv->k_scales);
        at = place_cache(at, setup->cache_type_v, n, &kv->v, &kv->v_scales);
    }
    ssw_log_write(&setup->log, SSW_LOG_DEBUG, "KV cache on the GPU: keys %s, values %s, %.1f MiB",
                  ssw_dtype_find((uint32_t)setup->cache_type_k)->name,
                  ssw_dtype_find((uint32_t)setup->cache_type_v)->name, (double)gpu->bytes.cache / (1 << 20));
    return SSW_OK;
}

/* ---- buffers ----
 *
 * Three groups of buffers take turns with one region: nothing of one is needed when the next begins. All work
 * on them is in the compute stream's order.
 *
 *             | what                                           | from              | to
 *   lasting   | step, x, normed, choices, constants, counters, | opening           | closing
 *             | of experts in host memory: pieces and biases   |                   |
 *   attention | q, k, v, attended, attention's scratch         | a layer's q, k, v | its sum in x
 *   experts   | hidden, shared_hidden, pair_rows               | a layer's choices | their sum in x
 *   head      | outputs, logits, scratch of the largest        | the last layer    | the next pass
 */

static ssw_cuda_acts carve_acts(ssw_carver *c, const ssw_gpu *gpu, uint64_t rows, uint64_t cols)
{
    ssw_cuda_acts acts = {0};
    if (gpu->takes_f32)
        acts.f32 = ssw_carve(c, rows * cols, sizeof(float));
    if (gpu->takes_q8) {
        acts.q = ssw_carve(c, rows * cols, 1);
        acts.q_scales = ssw_carve(c, rows * (cols / SSW_CUDA_BLOCK), 2 * sizeof(float));
    }
    return acts;
}

static void carve_lasting(ssw_gpu *gpu, ssw_carver *c)
{
    const ssw_model_hparams *h = gpu->h;
    uint64_t n = (uint64_t)gpu->setup.n_batch, pairs = n * (uint64_t)h->n_experts_used;
    uint64_t embd = (uint64_t)h->n_embd;
    gpu->step_bytes = sizeof *gpu->step + n * sizeof gpu->step->rows[0];
    gpu->step = ssw_carve(c, 1, gpu->step_bytes);
    gpu->x = ssw_carve(c, n * embd, sizeof(float));
    gpu->normed = carve_acts(c, gpu, n, embd);
    if (!gpu->normed.f32) /* routers are float */
        gpu->normed.f32 = ssw_carve(c, n * embd, sizeof(float));
    gpu->attention_counters = ssw_carve(c, SSW_CUDA_ATTENTION_COUNTERS, sizeof(uint32_t));
    gpu->routed = ssw_carve(c, n * (uint64_t)h->n_experts, sizeof(float));
    gpu->router_scratch = ssw_carve(c, ssw_cuda_router_scratch_floats(h->n_experts), sizeof(float));
    gpu->chosen = ssw_carve(c, pairs, sizeof(int32_t));
    gpu->expert_weights = ssw_carve(c, pairs, sizeof(float));
    gpu->zeros = ssw_carve(c, n, sizeof(int32_t));
    gpu->ones = ssw_carve(c, n, sizeof(float));
    gpu->first = ssw_carve(c, (uint64_t)h->n_experts + 1, sizeof(int32_t));
    gpu->pairs = ssw_carve(c, pairs, sizeof(int32_t));
    gpu->all_rows = ssw_carve(c, n, sizeof(int32_t));
    gpu->inv_freq = ssw_carve(c, SSW_CPU_ROPE_PAIRS_MAX, sizeof(float));
    ssw_gpu_carve_share(gpu, c);
}

static void carve_attention(ssw_gpu *gpu, ssw_carver *c)
{
    const ssw_model_hparams *h = gpu->h;
    uint64_t n = (uint64_t)gpu->setup.n_batch, q = (uint64_t)h->n_heads * (uint64_t)h->head_dim;
    uint64_t kv = (uint64_t)h->n_heads_kv * (uint64_t)h->head_dim;
    gpu->q = ssw_carve(c, n * q, sizeof(float));
    gpu->k = ssw_carve(c, n * kv, sizeof(float));
    gpu->v = ssw_carve(c, n * kv, sizeof(float));
    gpu->attended = carve_acts(c, gpu, n, q);
    if (!gpu->attended.f32 && h->head_dim % SSW_CUDA_BLOCK != 0) /* quantised apart */
        gpu->attended.f32 = ssw_carve(c, n * q, sizeof(float));
    uint64_t scratch =
        ssw_cuda_attention_scratch_floats(gpu->setup.n_batch, h->n_heads, h->head_dim, gpu->setup.ctx_size);
    gpu->attention_scratch = ssw_carve(c, scratch, sizeof(float));
}

static uint64_t hidden_elements(const ssw_gpu_setup *setup)
{
    const ssw_model_hparams *h = &setup->model->hparams;
    int64_t routed = (int64_t)h->n_experts_used * h->n_ff_expert;
    int64_t widest = routed > h->n_ff_dense ? routed : h->n_ff_dense;
    widest = widest > h->n_ff_shared ? widest : h->n_ff_shared;
    return (uint64_t)widest * (uint64_t)setup->n_batch;
}

static void carve_experts(ssw_gpu *gpu, ssw_carver *c)
{
    uint64_t pairs = (uint64_t)gpu->setup.n_batch * (uint64_t)gpu->h->n_experts_used;
    gpu->hidden = carve_acts(c, gpu, 1, hidden_elements(&gpu->setup));
    gpu->shared_hidden = carve_acts(c, gpu, SSW_CUDA_GEMV_TOKENS_MAX, (uint64_t)gpu->h->n_ff_shared);
    gpu->pair_rows = ssw_carve(c, pairs * (uint64_t)gpu->h->n_embd, sizeof(float));
}

static void carve_head(ssw_gpu *gpu, ssw_carver *c)
{
    int32_t n_sequences = gpu->setup.n_sequences;
    gpu->logits_rows = n_sequences > SSW_GPU_LOGITS_ROWS ? n_sequences : SSW_GPU_LOGITS_ROWS;
    gpu->outputs = ssw_carve(c, (uint64_t)gpu->setup.n_batch * (uint64_t)gpu->h->n_embd, sizeof(float));
    gpu->logits = ssw_carve(c, (uint64_t)gpu->logits_rows * (uint64_t)gpu->h->n_vocab, sizeof(float));
    gpu->top_scratch = ssw_carve(c, ssw_cuda_top_scratch_words(gpu->logits_rows), sizeof *gpu->top_scratch);
}

static uint64_t carve_buffers(ssw_gpu *gpu, uint8_t *base)
{
    static void (*const groups[])(ssw_gpu *, ssw_carver *) = {carve_attention, carve_experts, carve_head};
    ssw_carver c = {base, 0, ALIGNMENT_BYTES};
    carve_lasting(gpu, &c);
    uint64_t begin = c.at, end = begin;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        c.at = begin;
        groups[i](gpu, &c);
        end = c.at > end ? c.at : end;
    }
    return end;
}

/* Whether any tensor placed on the device multiplies floats, or 8-bit activations. */
static void find_forms(const ssw_gpu_setup *setup, bool *takes_f32, bool *takes_q8)
{
    *takes_f32 = *takes_q8 = false;
    for (int32_t i = 0; i < setup->weights->n_entries; i++) {
        if (!is_multiplied(setup, i))
            continue;
        bool is_router = i % SSW_MODEL_SLOT_COUNT == SSW_MODEL_ROUTER;
        if (ssw_dtype_find((uint32_t)setup->weights->entries[i].tensor->dtype)->block_elements > 1)
            *takes_q8 = true;
        else if (!is_router)
            *takes_f32 = true;
    }
}

uint64_t ssw_gpu_predict_buffer_bytes(const ssw_gpu_setup *setup)
{
    ssw_gpu counted = {.setup = *setup, .h = &setup->model->hparams};
    find_forms(setup, &counted.takes_f32, &counted.takes_q8);
    return carve_buffers(&counted, NULL);
}

/* The constants among the buffers. */
static ssw_status fill_buffers(ssw_gpu *gpu, ssw_error *err)
{
    ssw_cpu_rope rope;
    ssw_status status = ssw_rope_setup(gpu->setup.model, gpu->setup.ctx_size, &rope, err);
    if (status != SSW_OK)
        return status;
    gpu->rope_magnitude = rope.scale;
    status = ssw_cuda_copy_to_device(gpu->inv_freq, rope.inv_freq, sizeof rope.inv_freq, err);
    size_t n = (size_t)gpu->setup.n_batch;
    for (size_t i = 0; i < n; i++) /* x_host is free to use: no pass has begun */
        gpu->x_host[i] = 1;
    if (status == SSW_OK)
        status = ssw_cuda_copy_to_device(gpu->ones, gpu->x_host, n * sizeof(float), err);
    int32_t *numbers = (int32_t *)(void *)gpu->hidden_host;
    for (size_t i = 0; i < n; i++)
        numbers[i] = (int32_t)i;
    if (status == SSW_OK)
        status = ssw_cuda_copy_to_device(gpu->all_rows, numbers, n * sizeof(int32_t), err);
    return status;
}

static ssw_status open_pinned(ssw_gpu *gpu, ssw_error *err)
{
    uint64_t rows_bytes = (uint64_t)gpu->setup.n_batch * (uint64_t)gpu->h->n_embd * sizeof(float);
    uint64_t logits_bytes = (uint64_t)gpu->logits_rows * (uint64_t)gpu->h->n_vocab * sizeof(float);
    uint64_t top_bytes = (uint64_t)gpu->logits_rows * SSW_CUDA_TOP_LOGITS * sizeof *gpu->top_host;
    void *step = NULL, *x = NULL, *hidden = NULL, *logits = NULL, *top = NULL;
    ssw_status status = ssw_cuda_alloc_host(&step, gpu->step_bytes, err);
    if (status == SSW_OK)
        status = ssw_cuda_alloc_host(&x, rows_bytes, err);
    if (status == SSW_OK)
        status = ssw_cuda_alloc_host(&hidden, rows_bytes, err);
    if (status == SSW_OK)
        status = ssw_cuda_alloc_host(&logits, logits_bytes, err);
    if (status == SSW_OK)
        status = ssw_cuda_alloc_host(&top, top_bytes, err);
    gpu->step_host = step;
    gpu->x_host = x;
    gpu->hidden_host = hidden;
    gpu->logits_host = logits;
    gpu->top_host = top;
    gpu->bytes.pinned += gpu->step_bytes + 2 * rows_bytes + logits_bytes + top_bytes;
    return status;
}

ssw_status ssw_gpu_open_buffers(ssw_gpu *gpu, ssw_error *err)
{
    void *memory = NULL;
    find_forms(&gpu->setup, &gpu->takes_f32, &gpu->takes_q8);
    gpu->bytes.buffers = carve_buffers(gpu, NULL);
    ssw_status status = ssw_cuda_alloc(&memory, gpu->bytes.buffers, err);
    if (status != SSW_OK)
        return ssw_error_prefix(err, "compute buffers (try a smaller --batch-size)");
    gpu->buffer_memory = memory;
    carve_buffers(gpu, memory);
    status = open_pinned(gpu, err);
    if (status == SSW_OK)
        status = fill_buffers(gpu, err);
    if (status == SSW_OK)
        status = open_caches(gpu, err);
    return status;
}

void ssw_gpu_close_memory(ssw_gpu *gpu)
{
    ssw_cuda_free(gpu->weight_memory);
    ssw_cuda_free(gpu->cache_memory);
    ssw_cuda_free(gpu->buffer_memory);
    ssw_cuda_free_host(gpu->step_host);
    ssw_cuda_free_host(gpu->x_host);
    ssw_cuda_free_host(gpu->hidden_host);
    ssw_cuda_free_host(gpu->logits_host);
    ssw_cuda_free_host(gpu->top_host);
}
