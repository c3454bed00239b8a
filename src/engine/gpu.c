/* Opening and closing the GPU's half of an engine, and the driving of a pass. */
#include "engine/gpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/gpu_parts.h"
#include "quant/quant.h"

_Static_assert((int)SSW_ENGINE_TOP_LOGITS == (int)SSW_CUDA_TOP_LOGITS, "the same list");

enum { SHORTEST_LENGTH = 512 }; /* of the classes that decode graphs are recorded for */
/* Longer than any step on any machine: only a device or a host that is gone takes it. */
#define PATIENCE_NS (30 * SSW_NS_PER_S)

ssw_status ssw_gpu_measure_copies(ssw_gpu_device *device, ssw_error *err)
{
    static const double classes[] = {3e9, 6e9, 12e9, 25e9, 50e9};
    double measured = 0;
    ssw_status status = ssw_cuda_measure_copies(&measured, err);
    if (status == SSW_OK)
        device->copy_bytes_per_s = ssw_rate_class(measured, classes, sizeof classes / sizeof classes[0]);
    return status;
}

ssw_status ssw_gpu_find(ssw_gpu_device *out, ssw_error *err)
{
    ssw_cuda_device device;
    memset(out, 0, sizeof *out);
    if (ssw_cuda_device_count(err) == 0)
        return SSW_ERR_UNAVAILABLE;
    ssw_status status = ssw_cuda_device_open(0, &device, err);
    if (status != SSW_OK)
        return status;
    memcpy(out->name, device.name, SSW_GPU_NAME_MAX);
    out->free_bytes = device.free_bytes;
    out->total_bytes = device.total_bytes;
    return SSW_OK;
}

/* Float rows are read 16 bytes at a time. */
static bool has_operations(const ssw_gguf_tensor *tensor)
{
    enum { FLOAT_COLUMNS = 8 };
    ssw_dtype dtype = tensor->dtype;
    bool is_matrix = tensor->dims[1] > 1;
    if (dtype == SSW_DTYPE_F32 || dtype == SSW_DTYPE_F16 || dtype == SSW_DTYPE_BF16)
        return !is_matrix || tensor->dims[0] % FLOAT_COLUMNS == 0;
    return ssw_cpu_matrix_predict_bytes(dtype, 1, (int64_t)tensor->dims[0], 1) > 0; /* all that the CPU has */
}

ssw_status ssw_gpu_check_model(const ssw_model *model, ssw_error *err)
{
    const ssw_model_hparams *h = &model->hparams;
    if (h->n_experts > SSW_CUDA_EXPERTS_MAX || h->n_experts_used > SSW_CUDA_EXPERTS_USED_MAX)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "no GPU operations for %d of %d experts",
                             h->n_experts_used, h->n_experts);
    if (h->latent.kv_rank > 0)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "no GPU operations for latent attention");
    if (h->n_embd > SSW_CUDA_NORM_COLS_MAX)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "no GPU operations for rows of %d", h->n_embd);
    if (h->head_dim % SSW_CUDA_BAND_ROWS != 0 || h->head_dim > SSW_CUDA_HEAD_DIM_MAX)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "no GPU operations for heads of %d", h->head_dim);
    for (int32_t i = 0; i < (h->n_layers + 1) * SSW_MODEL_SLOT_COUNT; i++) {
        const ssw_gguf_tensor *tensor = model->tensors[i];
        bool is_embedding = i % SSW_MODEL_SLOT_COUNT == SSW_MODEL_TOKEN_EMBD; /* stays in host memory */
        if (tensor && !is_embedding && !has_operations(tensor))
            return ssw_error_set(
                err, SSW_ERR_UNSUPPORTED, "no GPU operations for tensor '%s', rows of %llu %s", tensor->name,
                (unsigned long long)tensor->dims[0], ssw_dtype_find((uint32_t)tensor->dtype)->name);
    }
    return SSW_OK;
}

static ssw_status open_all(ssw_gpu *gpu, ssw_error *err)
{
    size_t n_weights = (size_t)gpu->setup.weights->n_entries;
    gpu->weights = calloc(n_weights, sizeof *gpu->weights);
    if (!gpu->weights)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the table of weights");
    ssw_status status = ssw_cuda_device_open(0, &gpu->device, err);
    if (status == SSW_OK)
        status = ssw_cuda_stream_open(&gpu->compute, err);
    if (status == SSW_OK)
        status = ssw_cuda_stream_open(&gpu->copy, err);
    if (status == SSW_OK)
        status = ssw_gpu_alloc_cache(gpu, err);
    if (status == SSW_OK)
        status = ssw_gpu_load_weights(gpu, err);
    if (status == SSW_OK)
        status = ssw_gpu_open_buffers(gpu, err);
    if (status == SSW_OK)
        status = ssw_gpu_open_handover(gpu, err);
    if (status == SSW_OK && gpu->has_host_experts)
        status = ssw_gpu_open_share(gpu, err);
    if (status == SSW_OK && gpu->has_host_experts)
        ssw_gpu_find_rates(gpu);
    if (status == SSW_OK)
        status = ssw_gpu_open_cache(gpu, err);
    return status;
}

ssw_status ssw_gpu_open(const ssw_gpu_setup *setup, ssw_gpu **out, ssw_error *err)
{
    *out = NULL;
    ssw_gpu *gpu = calloc(1, sizeof *gpu);
    if (!gpu)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the GPU's layers");
    gpu->setup = *setup;
    if (gpu->setup.patience_ns == 0)
        gpu->setup.patience_ns = PATIENCE_NS;
    gpu->h = &setup->model->hparams;
    ssw_status status = open_all(gpu, err);
    if (status != SSW_OK) {
        ssw_gpu_close(gpu);
        return status;
    }
    *out = gpu;
    return SSW_OK;
}

void ssw_gpu_close(ssw_gpu *gpu)
{
    if (!gpu)
        return;
    if (gpu->compute) /* what a failed pass left behind */
        (void)ssw_cuda_stream_sync(gpu->compute, NULL);
    if (gpu->copy)
        (void)ssw_cuda_stream_sync(gpu->copy, NULL);
    for (int n = 0; n <= SSW_GPU_GRAPH_ROWS_MAX; n++) {
        for (int i = 0; i < SSW_GPU_LENGTHS; i++) {
            ssw_cuda_graph_close(gpu->graphs[false][n][i]);
            ssw_cuda_graph_close(gpu->graphs[true][n][i]);
        }
    }
    ssw_gpu_close_cache(gpu);
    ssw_gpu_close_share(gpu);
    ssw_gpu_close_handover(gpu);
    ssw_gpu_close_memory(gpu);
    ssw_cuda_stream_close(gpu->copy);
    ssw_cuda_stream_close(gpu->compute);
    free(gpu->weights);
    free(gpu);
}

ssw_gpu_bytes ssw_gpu_count_bytes(const ssw_gpu *gpu)
{
    return gpu->bytes;
}

ssw_gpu_expert_uses ssw_gpu_read_uses(const ssw_gpu *gpu)
{
    const ssw_gpu_expert_cache *cache = &gpu->expert_cache;
    return (ssw_gpu_expert_uses){.hits = atomic_load(&cache->hits),
                                 .misses = atomic_load(&cache->misses),
                                 .uploads = atomic_load(&cache->uploads)};
}

/* ---- a pass ---- */

static void embed_row(const ssw_gpu *gpu, int32_t token, float *out)
{
    const ssw_gguf_tensor *embd = ssw_weights_mapped(gpu->setup.weights, -1, SSW_MODEL_TOKEN_EMBD);
    uint64_t row_bytes = ssw_dtype_row_bytes(embd->dtype, embd->dims[0]);
    ssw_quant_dequantize_row(embd->dtype, (const uint8_t *)embd->data + (uint64_t)token * row_bytes,
                             embd->dims[0], out);
}

/* What the device has to know of the pass, into pinned memory. */
static ssw_gpu_shape describe(ssw_gpu *gpu, const ssw_pass *pass, const float *x)
{
    ssw_gpu_step *step = gpu->step_host;
    ssw_gpu_shape shape = {.n_rows = pass->n_rows, .n_parts = pass->n_parts, .is_decode = true};
    size_t embd = (size_t)gpu->h->n_embd;
    step->number++;
    step->all_pairs[0] = 0;
    step->all_pairs[1] = pass->n_rows;
    for (int32_t p = 0; p < pass->n_parts; p++) {
        const ssw_pass_part *part = &pass->parts[p];
        step->parts[p] = (ssw_cuda_part){part->first_row, part->n_rows, part->sequence, part->position};
        for (int32_t i = 0; i < part->n_rows; i++) {
            int32_t row = part->first_row + i;
            step->rows[row] = (ssw_cuda_row){pass->tokens[row], part->sequence, part->position + i};
            if (!x)
                embed_row(gpu, pass->tokens[row], gpu->x_host + (size_t)row * embd);
        }
        if (part->position + part->n_rows > shape.max_length)
            shape.max_length = part->position + part->n_rows;
        shape.is_decode = shape.is_decode && part->n_rows == 1 && part->n_outputs == 1;
    }
    if (x)
        memcpy(gpu->x_host, x, (size_t)pass->n_rows * embd * sizeof(float));
    shape.is_streamed = gpu->has_host_experts && pass->n_rows > SSW_CUDA_GEMV_TOKENS_MAX;
    shape.is_decode =
        shape.is_decode && pass->n_rows <= SSW_GPU_GRAPH_ROWS_MAX && pass->n_logits == pass->n_rows;
    return shape;
}

static void enqueue_input(ssw_gpu *gpu, int32_t n_rows)
{
    ssw_cuda_copy_async(gpu->compute, gpu->step, gpu->step_host, gpu->step_bytes);
    ssw_cuda_copy_async(gpu->compute, gpu->x, gpu->x_host,
                        (uint64_t)n_rows * (uint64_t)gpu->h->n_embd * sizeof(float));
}

/* Final norm and logits of n rows of x: all of them or the largest, to host memory. All of them go straight
 * there: the writes cross the bus while the next rows of the matrix are read. */
static void enqueue_logits(ssw_gpu *gpu, const float *x, int32_t n, bool only_top)
{
    ssw_gpu_enqueue_head(gpu, x, n, only_top ? gpu->logits : gpu->logits_host);
    if (!only_top)
        return;
    ssw_cuda_top_args args = {.logits = gpu->logits,
                              .n = n,
                              .n_vocab = gpu->h->n_vocab,
                              .scratch = gpu->top_scratch,
                              .out = gpu->top_host};
    ssw_cuda_top(gpu->compute, &args);
}

/* The same for every entry of a pass. */
static bool wants_only_top(const ssw_pass *pass)
{
    return pass->n_logits > 0 && pass->logits[0].top;
}

/* A step in which every part is one row that wants logits: recorded once per number of rows, class of length
 * and kind of logits. */
static ssw_status start_decode(ssw_gpu *gpu, ssw_gpu_shape shape, ssw_error *err)
{
    int length_class = 0;
    int32_t longest = SHORTEST_LENGTH;
    while (longest < shape.max_length && length_class + 1 < SSW_GPU_LENGTHS) {
        longest *= 2;
        length_class++;
    }
    shape.max_length = longest < gpu->setup.ctx_size ? longest : gpu->setup.ctx_size;
    bool only_top = wants_only_top(gpu->pass);
    ssw_cuda_graph **graph = &gpu->graphs[only_top][shape.n_rows][length_class];
    if (!*graph) {
        ssw_status status = ssw_cuda_graph_begin(gpu->compute, err);
        if (status != SSW_OK)
            return status;
        enqueue_input(gpu, shape.n_rows);
        ssw_gpu_enqueue_layers(gpu, &shape);
        enqueue_logits(gpu, gpu->x, shape.n_rows, only_top);
        status = ssw_cuda_graph_end(gpu->compute, graph, err);
        if (status != SSW_OK)
            return status;
    }
    return ssw_cuda_graph_launch(*graph, gpu->compute, err);
}

/* The wanted rows of x, next to each other. */
static void gather_outputs(const ssw_gpu *gpu, const ssw_pass *pass)
{
    size_t embd = (size_t)gpu->h->n_embd;
    for (int32_t p = 0; p < pass->n_parts; p++) {
        const ssw_pass_part *part = &pass->parts[p];
        size_t from = (size_t)(part->first_row + part->n_rows - part->n_outputs);
        if (part->n_outputs > 0)
            ssw_cuda_copy_async(gpu->compute, gpu->outputs + (size_t)part->first_output * embd,
                                gpu->x + from * embd, (size_t)part->n_outputs * embd * sizeof(float));
    }
}

static void hand_out(const ssw_gpu *gpu, const ssw_pass *pass, int32_t first, int32_t n)
{
    size_t n_vocab = (size_t)gpu->h->n_vocab;
    for (int32_t i = 0; i < n; i++) {
        const ssw_pass_logits *to = &pass->logits[first + i];
        const ssw_cuda_top_logit *top = gpu->top_host + (size_t)i * SSW_CUDA_TOP_LOGITS;
        if (to->logits)
            memcpy(to->logits, gpu->logits_host + (size_t)i * n_vocab, n_vocab * sizeof(float));
        for (int k = 0; to->top && k < SSW_ENGINE_TOP_LOGITS; k++)
            to->top[k] = (ssw_top_logit){top[k].logit, top[k].token};
    }
}

/* Logits of consecutive outputs at once, as many as there is room for. */
static ssw_status make_logits(ssw_gpu *gpu, const ssw_pass *pass, ssw_error *err)
{
    for (int32_t i = 0, n = 0; i < pass->n_logits; i += n) {
        n = 1;
        while (i + n < pass->n_logits && n < gpu->logits_rows &&
               pass->logits[i + n].output == pass->logits[i].output + n)
            n++;
        enqueue_logits(gpu, gpu->outputs + (size_t)pass->logits[i].output * (size_t)gpu->h->n_embd, n,
                       wants_only_top(pass));
        ssw_status status = ssw_cuda_stream_sync(gpu->compute, err);
        if (status != SSW_OK)
            return status;
        hand_out(gpu, pass, i, n);
    }
    return SSW_OK;
}

static ssw_status run(ssw_gpu *gpu, const ssw_pass *pass, const float *x, ssw_error *err)
{
    ssw_status status = ssw_gpu_turn_cache(gpu, pass->n_rows, err);
    if (status != SSW_OK)
        return status;
    gpu->pass = pass;
    gpu->next_layer = gpu->setup.first_layer;
    ssw_gpu_shape shape = describe(gpu, pass, x);
    gpu->last_outputs = shape.is_decode ? gpu->x : gpu->outputs;
    if (shape.is_decode) {
        status = start_decode(gpu, shape, err);
    } else {
        enqueue_input(gpu, shape.n_rows);
        ssw_gpu_enqueue_layers(gpu, &shape);
        status = ssw_cuda_stream_check(gpu->compute, err);
    }
    if (status == SSW_OK && gpu->has_host_experts)
        status = ssw_gpu_serve_experts(gpu, &shape, err);
    if (status == SSW_OK && !shape.is_decode) {
        gather_outputs(gpu, pass);
        status = make_logits(gpu, pass, err);
    }
    if (status == SSW_OK)
        status = ssw_cuda_stream_sync(gpu->compute, err);
    if (status == SSW_OK && gpu->has_host_experts)
        status = ssw_gpu_check_answers(gpu, err);
    if (status == SSW_OK && shape.is_decode)
        hand_out(gpu, pass, 0, pass->n_logits);
    return status;
}

ssw_status ssw_gpu_run(ssw_gpu *gpu, const ssw_pass *pass, const float *x, ssw_error *err)
{
    ssw_status status = ssw_cuda_device_use(&gpu->device, err);
    if (status == SSW_OK && gpu->has_host_experts)
        status = ssw_gpu_check_answers(gpu, err);
    if (status != SSW_OK)
        return status;
    status = run(gpu, pass, x, err);
    if (status != SSW_OK && !atomic_load(&gpu->is_lost)) { /* the next pass must find the device idle */
        (void)ssw_cuda_stream_sync(gpu->compute, NULL);
        if (gpu->handover.gave_up)
            *gpu->handover.gave_up = 0;
    }
    return status;
}

ssw_status ssw_gpu_read_hidden(ssw_gpu *gpu, const float **hidden, ssw_error *err)
{
    int32_t n = gpu->pass->n_outputs;
    ssw_cuda_norm_args args = {.x = gpu->last_outputs,
                               .n = n,
                               .cols = gpu->h->n_embd,
                               .weight = ssw_gpu_floats(gpu, -1, SSW_MODEL_OUTPUT_NORM),
                               .bias = ssw_gpu_floats(gpu, -1, SSW_MODEL_OUTPUT_NORM_BIAS),
                               .eps = gpu->h->norm_eps,
                               .subtract_mean = gpu->h->norm == SSW_MODEL_NORM_LAYER,
                               .out = {.f32 = gpu->normed.f32}};
    ssw_cuda_norm(gpu->compute, &args);
    ssw_cuda_copy_async(gpu->compute, gpu->hidden_host, gpu->normed.f32,
                        (uint64_t)n * (uint64_t)gpu->h->n_embd * sizeof(float));
    *hidden = gpu->hidden_host;
    return ssw_cuda_stream_sync(gpu->compute, err);
}
