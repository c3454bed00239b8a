/* Experts in host memory on their way to the device, for a prompt's products.
 *
 * The copy stream fills buffers in turn with rows of experts, one expert after the other: of gate and up
 * first, then of down. A buffer holds rows of several small experts, or some of a large one's; all its
 * products are two launches, and while they run the next buffers fill. The last layer's products done, the
 * buffers fill with the next layer's first experts, so that the bus does not wait for attention and
 * routing. */
#include "engine/gpu_parts.h"

#ifndef SSW_GPU_PIECE_BYTES_MIN /* tests have small ones, so that small experts are cut */
#define SSW_GPU_PIECE_BYTES_MIN (7 << 20)
#endif

/* Large experts' layers take long, and so does what comes before their routing: more is to be copied then. */
enum {
    PIECE_BYTES_MIN = SSW_GPU_PIECE_BYTES_MIN,
    PIECE_BYTES_MAX = 2 * PIECE_BYTES_MIN,
    ALIGNMENT_BYTES = 256
};

static uint64_t align(uint64_t n_bytes)
{
    return (n_bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
}

static uint64_t bands_of(int64_t rows)
{
    return (uint64_t)(rows + SSW_CUDA_BAND_ROWS - 1) / SSW_CUDA_BAND_ROWS;
}

static uint64_t band_bytes(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot, int64_t cols)
{
    const ssw_weights_entry *entry = ssw_gpu_weights_entry(gpu, layer, slot);
    return ssw_cpu_matrix_predict_bytes(entry->tensor->dtype, SSW_CUDA_BAND_ROWS, cols, 1);
}

uint64_t ssw_gpu_find_piece_bytes(const ssw_gpu *gpu, int32_t layer)
{
    uint64_t up = band_bytes(gpu, layer, SSW_MODEL_GATE_EXPS, gpu->h->n_embd) +
                  band_bytes(gpu, layer, SSW_MODEL_UP_EXPS, gpu->h->n_embd);
    uint64_t down = 2 * band_bytes(gpu, layer, SSW_MODEL_DOWN_EXPS, gpu->h->n_ff_expert); /* cut in two */
    uint64_t least = align(bands_of(SSW_CUDA_EXPERT_TILE_ROWS) * (up > down ? up : down)) + ALIGNMENT_BYTES;
    uint64_t expert = bands_of(gpu->h->n_ff_expert) * up + bands_of(gpu->h->n_embd) * down / 2;
    uint64_t bytes = align(expert * 2 / 3);
    bytes = bytes < PIECE_BYTES_MAX ? bytes : PIECE_BYTES_MAX;
    bytes = bytes > PIECE_BYTES_MIN ? bytes : PIECE_BYTES_MIN;
    return bytes > least ? bytes : least;
}

static double part_bytes(const ssw_cuda_experts *part)
{
    return (double)(bands_of(part->gate.rows) * (part->gate.band_bytes + part->up.band_bytes) +
                    part->down.matrix_bytes);
}

void ssw_gpu_find_part_bytes(const ssw_gpu *gpu, int32_t layer, double *own, double *rest)
{
    *own = part_bytes(&gpu->share.layers[layer].own);
    *rest = gpu->share.has_rest ? part_bytes(&gpu->share.layers[layer].rest) : 0;
}

/* ---- copies ---- */

/* So many of n_rows as there is room for, cut where no tile is left half empty. bytes: a band's in both
 * matrices. */
static int32_t rows_that_fit(const ssw_gpu *gpu, const ssw_gpu_piece *piece, int32_t n_rows, uint64_t bytes)
{
    uint64_t used = piece->n_bytes + ALIGNMENT_BYTES, all = gpu->share.piece_bytes; /* one for each matrix */
    if (used + bands_of(n_rows) * bytes <= all)
        return n_rows;
    if (used >= all)
        return 0;
    return (int32_t)((all - used) / (bands_of(SSW_CUDA_EXPERT_TILE_ROWS) * bytes)) *
           SSW_CUDA_EXPERT_TILE_ROWS;
}

/* n rows of a matrix from `first` on, a whole number of bands, to the piece. */
static const uint8_t *copy_rows(ssw_gpu_piece *piece, const ssw_cuda_matrix *m, int32_t expert, int32_t first,
                                int32_t n)
{
    uint8_t *to = piece->memory + piece->n_bytes;
    const uint8_t *from = m->data + (uint64_t)expert * m->matrix_bytes + bands_of(first) * m->band_bytes;
    piece->to[piece->n_copies] = to;
    piece->from[piece->n_copies] = from;
    piece->copy_bytes[piece->n_copies++] = bands_of(n) * m->band_bytes;
    piece->n_bytes += align(bands_of(n) * m->band_bytes);
    return to;
}

/* Both return how many rows they took. */
static int32_t add_up(const ssw_gpu *gpu, ssw_gpu_piece *piece, int32_t expert, int32_t first)
{
    const ssw_cuda_experts *own = &gpu->share.layers[gpu->share.copied.layer].own;
    int32_t n =
        rows_that_fit(gpu, piece, gpu->h->n_ff_expert - first, own->gate.band_bytes + own->up.band_bytes);
    if (n == 0 || piece->n_up == SSW_CUDA_EXPERT_ROWS_MAX)
        return 0;
    ssw_cuda_expert_rows *rows = &piece->up[piece->n_up++];
    *rows = (ssw_cuda_expert_rows){.expert = expert, .first_row = first, .n_rows = n};
    rows->at[0] = copy_rows(piece, &own->gate, expert, first, n);
    rows->at[1] = copy_rows(piece, &own->up, expert, first, n);
    return n;
}

static int32_t add_down(const ssw_gpu *gpu, ssw_gpu_piece *piece, int32_t expert, int32_t first,
                        bool is_whole)
{
    const ssw_gpu_host_layer *host = &gpu->share.layers[gpu->share.copied.layer];
    const ssw_cuda_matrix *own = &host->own.down, *rest = &host->rest.down;
    uint64_t bytes = (is_whole ? own->band_bytes : 0) + (gpu->share.has_rest ? rest->band_bytes : 0);
    int32_t n = rows_that_fit(gpu, piece, gpu->h->n_embd - first, bytes);
    if (n == 0 || piece->n_down == SSW_CUDA_EXPERT_ROWS_MAX)
        return 0;
    ssw_cuda_expert_rows *rows = &piece->down[piece->n_down++];
    *rows = (ssw_cuda_expert_rows){.expert = expert, .first_row = first, .n_rows = n};
    if (is_whole)
        rows->at[0] = copy_rows(piece, own, expert, first, n);
    if (gpu->share.has_rest)
        rows->at[1] = copy_rows(piece, rest, expert, first, n);
    return n;
}

/* The next rows in order; false when there is no room for them. */
static bool add_rows(ssw_gpu *gpu, ssw_gpu_piece *piece, const int32_t *order, int32_t n_whole)
{
    ssw_gpu_copied *copied = &gpu->share.copied;
    int32_t expert = order[copied->n_experts];
    bool is_whole = copied->n_experts < n_whole;
    int32_t begin = copied->is_down || is_whole ? 0 : gpu->share.split, at = begin + copied->n_rows;
    int32_t end = copied->is_down ? gpu->h->n_embd : gpu->h->n_ff_expert;
    int32_t n = copied->is_down ? add_down(gpu, piece, expert, at, is_whole) : add_up(gpu, piece, expert, at);
    copied->n_rows += n;
    if (at + n < end)
        return n > 0;
    copied->n_rows = 0;
    copied->n_experts += copied->is_down;
    copied->is_down = !copied->is_down;
    return true;
}

/* One more piece of the first n experts of the order, the first n_whole of them whole. */
static ssw_gpu_piece *fill_piece(ssw_gpu *gpu, const int32_t *order, int32_t n, int32_t n_whole)
{
    ssw_gpu_piece *piece = &gpu->share.pieces[gpu->share.n_pieces++ % SSW_GPU_PIECES];
    piece->n_bytes = 0;
    piece->n_up = piece->n_down = piece->n_copies = 0;
    while (gpu->share.copied.n_experts < n && add_rows(gpu, piece, order, n_whole))
        ;
    ssw_cuda_stream_wait(gpu->copy, piece->free);
    if (gpu->share.layers[gpu->share.copied.layer].is_pinned) {
        ssw_cuda_copies copies = {piece->to, piece->from, piece->copy_bytes, piece->n_copies};
        ssw_cuda_copy_many(gpu->copy, &copies);
    } else {
        for (int32_t i = 0; i < piece->n_copies; i++)
            ssw_cuda_copy_async(gpu->copy, piece->to[i], piece->from[i], piece->copy_bytes[i]);
    }
    ssw_cuda_event_record(piece->filled, gpu->copy);
    return piece;
}

void ssw_gpu_copy_ahead(ssw_gpu *gpu, int32_t layer, const int32_t *order, int32_t n)
{
    ssw_gpu_copied *copied = &gpu->share.copied;
    *copied = (ssw_gpu_copied){.layer = layer};
    for (; copied->n_experts < n && copied->n_waiting < SSW_GPU_PIECES; copied->n_waiting++)
        fill_piece(gpu, order, n, n);
}

int32_t ssw_gpu_count_ahead(const ssw_gpu *gpu)
{
    const ssw_gpu_copied *copied = &gpu->share.copied;
    return copied->n_experts + (copied->n_rows > 0 || copied->is_down);
}

/* ---- products ---- */

/* Leaves out rows of experts that no token chose. */
static int32_t count_pairs(const ssw_gpu *gpu, ssw_cuda_expert_rows *rows, int32_t n)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++) {
        rows[i].n_pairs = gpu->share.plan.counts[rows[i].expert];
        if (rows[i].n_pairs > 0)
            rows[kept++] = rows[i];
    }
    return kept;
}

static void multiply(const ssw_gpu *gpu, ssw_gpu_piece *piece)
{
    const ssw_gpu_host_layer *host = &gpu->share.layers[gpu->share.copied.layer];
    ssw_cuda_experts experts = host->own;
    experts.gate.rows = experts.up.rows = gpu->h->n_ff_expert;
    ssw_cuda_expert_gemm_args args = {.experts = &experts,
                                      .pairs = {.first = gpu->first,
                                                .pair = gpu->pairs,
                                                .n_pairs = gpu->share.plan.n_pairs,
                                                .n_used = gpu->h->n_experts_used,
                                                .n_experts = gpu->h->n_experts},
                                      .x = gpu->normed,
                                      .hidden = gpu->hidden,
                                      .out = gpu->pair_rows};
    if (gpu->share.has_rest)
        args.down_after = host->rest.down;
    ssw_cuda_stream_wait(gpu->compute, piece->filled);
    args.listed = piece->up;
    args.n_listed = count_pairs(gpu, piece->up, piece->n_up);
    if (args.n_listed > 0)
        ssw_cuda_expert_gemm_up(gpu->compute, &args);
    args.listed = piece->down;
    args.n_listed = count_pairs(gpu, piece->down, piece->n_down);
    if (args.n_listed > 0)
        ssw_cuda_expert_gemm_down(gpu->compute, &args);
    ssw_cuda_event_record(piece->free, gpu->compute);
}

/* What no token chose of those copied ahead needs no more of its rows. */
static void skip_unused(ssw_gpu *gpu)
{
    ssw_gpu_copied *copied = &gpu->share.copied;
    const ssw_gpu_stream_plan *plan = &gpu->share.plan;
    if (copied->n_experts >= plan->n_active || plan->counts[plan->order[copied->n_experts]] > 0)
        return;
    copied->n_experts++;
    copied->n_rows = 0;
    copied->is_down = false;
}

void ssw_gpu_enqueue_pieces(ssw_gpu *gpu)
{
    ssw_gpu_copied *copied = &gpu->share.copied;
    const ssw_gpu_stream_plan *plan = &gpu->share.plan;
    int32_t n = gpu->share.has_rest ? plan->n_active : plan->n_device;
    for (; copied->n_waiting > 0; copied->n_waiting--)
        multiply(gpu,
                 &gpu->share.pieces[(gpu->share.n_pieces - (uint64_t)copied->n_waiting) % SSW_GPU_PIECES]);
    skip_unused(gpu);
    while (copied->n_experts < n)
        multiply(gpu, fill_piece(gpu, plan->order, n, plan->n_device));
}
