/* The device's share of experts in host memory.
 *
 * Reading weights over the bus adds to what the processor's cores can read, so both read at once: of every
 * expert's hidden layer the CPU computes the first `split` rows, the device the others, straight out of
 * pinned host memory. Nothing is exchanged in between, since the two halves of the hidden layer meet only in
 * the output's sum. Where the split lies follows from the machine's kind, not from a measurement of this
 * start: two runs must add in the same order. */
#include <stdlib.h>
#include <string.h>

#include "engine/gpu_parts.h"

enum { N_EXPERT_SLOTS = 3, N_HOST_MATRICES = N_EXPERT_SLOTS + 1 };

static const ssw_model_slot expert_slots[N_EXPERT_SLOTS] = {SSW_MODEL_GATE_EXPS, SSW_MODEL_UP_EXPS,
                                                            SSW_MODEL_DOWN_EXPS};

const ssw_weights_entry *ssw_gpu_weights_entry(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot)
{
    return &gpu->setup.weights->entries[(layer + 1) * SSW_MODEL_SLOT_COUNT + (int32_t)slot];
}

static bool is_host_layer(const ssw_gpu *gpu, int32_t layer)
{
    const ssw_weights_entry *gate = ssw_gpu_weights_entry(gpu, layer, SSW_MODEL_GATE_EXPS);
    return gate->form == SSW_WEIGHTS_MATRIX && !gate->on_gpu;
}

/* ---- device memory ---- */

/* Floats of one layer's biases. */
static uint64_t bias_floats(const ssw_gpu *gpu)
{
    return (uint64_t)gpu->h->n_experts * (2 * (uint64_t)gpu->h->n_ff_expert + (uint64_t)gpu->h->n_embd);
}

void ssw_gpu_carve_share(ssw_gpu *gpu, ssw_carver *c)
{
    uint64_t n_host = 0, piece_bytes = 0;
    int32_t last = -1;
    for (int32_t layer = gpu->setup.first_layer; layer < gpu->h->n_layers; layer++) {
        if (!is_host_layer(gpu, layer))
            continue;
        uint64_t needed = ssw_gpu_find_piece_bytes(gpu, layer);
        piece_bytes = needed > piece_bytes ? needed : piece_bytes;
        last = layer;
        n_host++;
    }
    if (last < 0)
        return;
    gpu->share.piece_bytes = piece_bytes;
    for (int i = 0; i < SSW_GPU_PIECES; i++)
        gpu->share.pieces[i].memory = ssw_carve(c, 1, piece_bytes);
    if (ssw_model_tensor(gpu->setup.model, last, SSW_MODEL_GATE_EXPS_BIAS))
        gpu->share.bias_memory = ssw_carve(c, n_host * bias_floats(gpu), sizeof(float));
}

/* ---- views ---- */

static ssw_cuda_matrix view_of(const ssw_cpu_matrix *m)
{
    return (ssw_cuda_matrix){.dtype = m->dtype,
                             .rows = m->rows,
                             .cols = m->cols,
                             .n_matrices = (int32_t)m->n_matrices,
                             .band_bytes = m->band_bytes,
                             .matrix_bytes = m->matrix_bytes,
                             .data = m->data};
}

/* Rows [first, first + n) of every matrix; first is a whole number of bands. */
static ssw_cuda_matrix rows_of(const ssw_cpu_matrix *m, int64_t first, int64_t n)
{
    ssw_cuda_matrix view = view_of(m);
    view.data += (uint64_t)(first / SSW_CUDA_BAND_ROWS) * m->band_bytes;
    view.rows = n;
    return view;
}

/* ---- biases ---- */

/* Columns [first, first + n) of [n_experts][width], next to each other. */
static void slice(const float *from, int32_t n_experts, int64_t width, int64_t first, int64_t n, float *to)
{
    for (int32_t e = 0; e < n_experts; e++)
        memcpy(to + e * n, from + e * width + first, (size_t)n * sizeof *to);
}

/* A layer's biases to the device and, the CPU's part of them, to host memory. at: offset in both. */
static ssw_status place_biases(ssw_gpu *gpu, int32_t layer, uint64_t at, ssw_error *err)
{
    const ssw_weights *weights = gpu->setup.weights;
    const float *gate = ssw_weights_floats(weights, layer, SSW_MODEL_GATE_EXPS_BIAS);
    const float *up = ssw_weights_floats(weights, layer, SSW_MODEL_UP_EXPS_BIAS);
    const float *down = ssw_weights_floats(weights, layer, SSW_MODEL_DOWN_EXPS_BIAS);
    if (!gate || !up || !down)
        return SSW_OK;
    ssw_gpu_host_layer *own = &gpu->share.layers[layer];
    int32_t n_experts = gpu->h->n_experts;
    int64_t n_ff = gpu->h->n_ff_expert, n_hidden = n_experts * n_ff, split = gpu->share.split;
    float *host = gpu->share.host_biases + at, *device = gpu->share.bias_memory + at;
    slice(gate, n_experts, n_ff, 0, split, host);
    slice(up, n_experts, n_ff, 0, split, host + n_hidden);
    own->gate_bias = host;
    own->up_bias = host + n_hidden;
    own->own.gate_bias = device;
    own->own.up_bias = device + n_hidden;
    own->own.down_bias = device + 2 * n_hidden;
    own->rest.gate_bias = device + split;
    own->rest.up_bias = device + n_hidden + split;
    own->own.bias_stride = own->rest.bias_stride = n_ff;
    uint64_t hidden_bytes = (uint64_t)n_hidden * sizeof *gate;
    ssw_status status = ssw_cuda_copy_to_device(device, gate, hidden_bytes, err);
    if (status == SSW_OK)
        status = ssw_cuda_copy_to_device(device + n_hidden, up, hidden_bytes, err);
    if (status == SSW_OK)
        status = ssw_cuda_copy_to_device(device + 2 * n_hidden, down,
                                         (uint64_t)n_experts * (uint64_t)gpu->h->n_embd * sizeof *down, err);
    return status;
}

/* ---- opening ---- */

/* A layer's matrices in host memory; NULL where it has none. */
static const ssw_cpu_matrix *host_matrix(const ssw_gpu *gpu, int32_t layer, int i)
{
    return i < N_EXPERT_SLOTS ? ssw_weights_matrix(gpu->setup.weights, layer, expert_slots[i])
                              : ssw_weights_rest(gpu->setup.weights, layer, SSW_MODEL_DOWN_EXPS);
}

static void unpin(ssw_gpu *gpu, int32_t layer, int n)
{
    for (int i = 0; i < n; i++) {
        const ssw_cpu_matrix *m = host_matrix(gpu, layer, i);
        if (m)
            ssw_cuda_unpin(m->data);
        gpu->bytes.pinned -= m ? m->n_bytes : 0;
    }
}

/* All of a layer or nothing. */
static bool pin_layer(ssw_gpu *gpu, int32_t layer, ssw_error *why)
{
    if (!gpu->device.maps_registered_memory) {
        ssw_error_set(why, SSW_ERR_UNSUPPORTED, "this GPU maps pinned memory elsewhere");
        return false;
    }
    for (int i = 0; i < N_HOST_MATRICES; i++) {
        const ssw_cpu_matrix *m = host_matrix(gpu, layer, i);
        if (m && ssw_cuda_pin(m->data, m->n_bytes, why) != SSW_OK) {
            unpin(gpu, layer, i);
            return false;
        }
        gpu->bytes.pinned += m ? m->n_bytes : 0;
    }
    return true;
}

static void view_layer(ssw_gpu *gpu, int32_t layer)
{
    const ssw_weights *weights = gpu->setup.weights;
    const ssw_model_hparams *h = gpu->h;
    const ssw_cpu_matrix *gate = ssw_weights_matrix(weights, layer, SSW_MODEL_GATE_EXPS);
    const ssw_cpu_matrix *up = ssw_weights_matrix(weights, layer, SSW_MODEL_UP_EXPS);
    const ssw_cpu_matrix *rest = ssw_weights_rest(weights, layer, SSW_MODEL_DOWN_EXPS);
    ssw_gpu_host_layer *own = &gpu->share.layers[layer];
    int64_t split = gpu->share.split;
    own->own = ssw_gpu_experts_init(gpu);
    own->own.gate = rows_of(gate, 0, split);
    own->own.up = rows_of(up, 0, split);
    own->own.down = view_of(ssw_weights_matrix(weights, layer, SSW_MODEL_DOWN_EXPS));
    own->rest = own->own;
    if (!rest)
        return;
    own->rest.gate = rows_of(gate, split, h->n_ff_expert - split);
    own->rest.up = rows_of(up, split, h->n_ff_expert - split);
    own->rest.down = view_of(rest);
}

static ssw_status open_pieces(ssw_gpu *gpu, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (int i = 0; i < SSW_GPU_PIECES && status == SSW_OK; i++) {
        status = ssw_cuda_event_open(&gpu->share.pieces[i].filled, err);
        if (status == SSW_OK)
            status = ssw_cuda_event_open(&gpu->share.pieces[i].free, err);
    }
    return status;
}

static ssw_status open_layers(ssw_gpu *gpu, ssw_error *err)
{
    uint64_t at = 0, n_pinned = 0, n_host = 0;
    ssw_error why = {0};
    for (int32_t layer = gpu->setup.first_layer; layer < gpu->h->n_layers; layer++) {
        ssw_gpu_host_layer *own = &gpu->share.layers[layer];
        if (!is_host_layer(gpu, layer))
            continue;
        const ssw_weights_entry *down = ssw_gpu_weights_entry(gpu, layer, SSW_MODEL_DOWN_EXPS);
        gpu->share.has_rest = down->split > 0;
        gpu->share.split = down->split > 0 ? (int32_t)down->split : gpu->h->n_ff_expert;
        view_layer(gpu, layer);
        own->is_pinned = pin_layer(gpu, layer, &why);
        n_host++;
        n_pinned += own->is_pinned;
        ssw_status status = place_biases(gpu, layer, at, err);
        if (status == SSW_OK && n_host == 1)
            status = open_pieces(gpu, err);
        if (status != SSW_OK)
            return status;
        at += bias_floats(gpu);
    }
    if (n_pinned == n_host)
        return SSW_OK;
    unsigned long long n_refused = n_host - n_pinned, n_all = n_host;
    if (gpu->share.has_rest)
        return ssw_error_set(
            err, SSW_ERR_LIMIT,
            "experts of %llu of %llu layers could not be pinned (%s), so that the GPU cannot read "
            "its share: raise `ulimit -l', or use --cpu-moe-share 100",
            n_refused, n_all, why.message);
    ssw_log_write(&gpu->setup.log, SSW_LOG_WARN,
                  "experts of %llu of %llu layers could not be pinned (%s): prompts will be slower",
                  n_refused, n_all, why.message);
    return SSW_OK;
}

ssw_status ssw_gpu_open_share(ssw_gpu *gpu, ssw_error *err)
{
    size_t n_layers = (size_t)gpu->h->n_layers, n_experts = (size_t)gpu->h->n_experts;
    size_t n_pairs = (size_t)gpu->setup.n_batch * (size_t)gpu->h->n_experts_used;
    void *mask = NULL;
    gpu->share.layers = calloc(n_layers, sizeof *gpu->share.layers);
    gpu->share.own_chosen = calloc(n_pairs, sizeof *gpu->share.own_chosen);
    gpu->share.host_biases = calloc(gpu->share.bias_memory ? n_layers * bias_floats(gpu) : 1, sizeof(float));
    if (!gpu->share.layers || !gpu->share.own_chosen || !gpu->share.host_biases)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the experts' tables");
    ssw_status status = ssw_cuda_alloc_host(&mask, n_layers * n_experts, err);
    if (status != SSW_OK)
        return status;
    gpu->share.mask = mask;
    gpu->share.copy_bytes_per_s = gpu->setup.copy_bytes_per_s;
    return open_layers(gpu, err);
}

void ssw_gpu_close_share(ssw_gpu *gpu)
{
    for (int32_t layer = 0; gpu->share.layers && layer < gpu->h->n_layers; layer++) {
        if (gpu->share.layers[layer].is_pinned)
            unpin(gpu, layer, N_HOST_MATRICES);
    }
    for (int i = 0; i < SSW_GPU_PIECES; i++) {
        ssw_cuda_event_close(gpu->share.pieces[i].filled);
        ssw_cuda_event_close(gpu->share.pieces[i].free);
    }
    ssw_cuda_free_host(gpu->share.mask);
    free(gpu->share.layers);
    free(gpu->share.own_chosen);
    free(gpu->share.host_biases);
}
