/* The expert job's groups of many tokens, in bf16 on AMX tiles.
 *
 * A group's activations are gathered once, as tiles, into the memory of its output rows; its hidden layer is
 * written as tiles too, into the memory that its float rows would take. Both hold 4 bytes a number and pair,
 * and tiles take 2 for 16 tokens at a time: enough from 8 pairs on. */
#include "cpu/kernels_amx.h"
#include "cpu/moe_parts.h"

enum {
    BLOCK = SSW_QUANT_BLOCK,
    TOKENS = SSW_AMX_TOKENS,
    PAIRS_MIN = SSW_CPU_BF16_PAIRS_MIN, /* fewer are quicker in integers, see bench/kernels/README.md */
    PASS_PAIRS = 256,                   /* at once; what they sum to stays in the second-level cache */
    FILL_BLOCKS = 32                    /* of a tile of activations, filled at once */
};

_Static_assert(PAIRS_MIN * sizeof(float) >= TOKENS * sizeof(uint16_t), "a tile fits into the pairs' rows");

/* This worker's scratch: attention's, which has nothing to do meanwhile. */
typedef struct scratch {
    _Alignas(64) uint16_t weights[SSW_AMX_SCRATCH];
    float gate[PASS_PAIRS * SSW_AMX_BANDS][SSW_TILE_ROWS], up[PASS_PAIRS * SSW_AMX_BANDS][SSW_TILE_ROWS];
} scratch;

_Static_assert(sizeof(scratch) <= SSW_ATTENTION_SCRATCH_FLOATS * sizeof(float), "it fits");

bool ssw_moe_is_bf16(const ssw_moe_job *job, const ssw_moe_group *group)
{
    const ssw_cpu_moe_args *args = job->args;
    const ssw_amx *amx = job->worker->amx;
    if (!amx || !args->may_use_bf16 || group->n < PAIRS_MIN)
        return false;
    return amx->product[args->gate->dtype] && amx->product[args->down->dtype] &&
           args->gate->cols % BLOCK == 0 && args->gate->rows % BLOCK == 0 &&
           args->gate->cols <= args->down->rows;
}

static int64_t count_tiles(int64_t n)
{
    return (n + TOKENS - 1) / TOKENS;
}

static uint16_t *x_tiles(const ssw_moe_job *job, const ssw_moe_group *group)
{
    return (uint16_t *)(void *)(job->rows + group->first * job->args->gate->cols);
}

static uint16_t *hidden_tiles(const ssw_moe_job *job, const ssw_moe_group *group)
{
    return (uint16_t *)(void *)(job->hidden + group->first * job->args->gate->rows);
}

/* Where a pair's numbers of block b stand in tiles of n_blocks blocks. */
static uint16_t *tile_line(uint16_t *tiles, int64_t n_blocks, int64_t pair, int64_t b)
{
    return tiles + (pair / TOKENS * n_blocks + b) * SSW_AMX_NUMBERS + pair % TOKENS * BLOCK;
}

/* ---- activations ---- */

/* FILL_BLOCKS blocks of a tile, the last ones fewer. */
static void fill_tile(const ssw_moe_job *job, const ssw_moe_group *group, int64_t tile, int64_t part)
{
    const ssw_cpu_moe_args *args = job->args;
    int64_t n_blocks = args->gate->cols / BLOCK, first = part * FILL_BLOCKS,
            n_left = group->n - tile * TOKENS;
    int n = n_left < TOKENS ? (int)n_left : TOKENS;
    uint16_t *out = tile_line(x_tiles(job, group), n_blocks, tile * TOKENS, first);
    const ssw_q8_block *q8[TOKENS];
    const float *f32[TOKENS];
    for (int t = 0; t < n; t++) {
        int64_t token = job->worker->pairs[group->first + tile * TOKENS + t] / args->n_used;
        const void *x = ssw_acts_row(&args->x, job->x_q8, args->gate->cols, token);
        if (job->x_q8)
            q8[t] = (const ssw_q8_block *)x + first;
        else
            f32[t] = (const float *)x + first * BLOCK;
    }
    n_blocks = n_blocks - first < FILL_BLOCKS ? n_blocks - first : FILL_BLOCKS;
    if (job->x_q8)
        job->worker->amx->fill_q8(q8, n, n_blocks, out);
    else
        job->worker->amx->fill_f32(f32, n, n_blocks, out);
}

void ssw_moe_fill_tiles(const ssw_moe_job *job)
{
    ssw_cpu_queue *parts = ssw_cpu_queue_begin(job->worker), *filled = ssw_cpu_queue_begin(job->worker);
    int64_t next = ssw_cpu_queue_take(parts), at = 0, n_own = 0; /* at: parts of the groups before */
    int64_t n_parts = (job->args->gate->cols / BLOCK + FILL_BLOCKS - 1) / FILL_BLOCKS; /* of a tile */
    for (int g = 0; g < job->n_groups; g++) {
        const ssw_moe_group *group = &job->worker->groups[g];
        if (!ssw_moe_is_bf16(job, group))
            continue;
        for (; next < at + count_tiles(group->n) * n_parts; next = ssw_cpu_queue_take(parts), n_own++)
            fill_tile(job, group, (next - at) / n_parts, (next - at) % n_parts);
        at += count_tiles(group->n) * n_parts;
    }
    ssw_cpu_queue_count(filled, n_own);
    ssw_cpu_queue_await(filled, at);
}

/* ---- products ---- */

/* 32 rows of a matrix and a group's pairs from `first` on. */
typedef struct operands {
    const ssw_cpu_matrix *w;
    const ssw_moe_group *group;
    int64_t block, first;
    const uint8_t *next; /* what is multiplied then, or where that may be */
} operands;

static const uint8_t *rows_of(const ssw_cpu_matrix *w, const ssw_moe_group *group, int64_t block)
{
    return ssw_matrix_band(w, group->expert, block * SSW_AMX_BANDS);
}

static float multiply(const ssw_moe_job *job, operands o, const uint16_t *tiles, float (*sums)[SSW_TILE_ROWS])
{
    const ssw_cpu_matrix *w = o.w;
    int64_t n_bands = ssw_matrix_bands(w) - o.block * SSW_AMX_BANDS, n_left = o.group->n - o.first;
    int64_t n = n_left < PASS_PAIRS ? n_left : PASS_PAIRS;
    ssw_amx_product p = {.band = rows_of(w, o.group, o.block),
                         .band_bytes = w->band_bytes,
                         .next = o.next,
                         .n_bands = n_bands < SSW_AMX_BANDS ? (int)n_bands : SSW_AMX_BANDS,
                         .n_tiles = (int)count_tiles(n),
                         .cols = w->cols,
                         .x = tiles + o.first / TOKENS * (w->cols / BLOCK) * SSW_AMX_NUMBERS,
                         .scratch = ((scratch *)(void *)job->worker->attention)->weights,
                         .sums = sums};
    return job->worker->amx->product[w->dtype](&p);
}

/* Where the sums of the i-th pair of a pass begin. */
static const float (*pair_sums(float (*sums)[SSW_TILE_ROWS], int64_t i))[SSW_TILE_ROWS]
{
    return (const float(*)[SSW_TILE_ROWS])(sums + i / TOKENS * SSW_AMX_BANDS * TOKENS + i % TOKENS);
}

static const float *biases_of(const float *bias, const ssw_cpu_matrix *w, int32_t expert, int64_t first_row)
{
    return bias ? bias + expert * w->rows + first_row : NULL;
}

void ssw_moe_make_bf16_hidden(const ssw_moe_job *job, const ssw_moe_group *group, int64_t block)
{
    const ssw_cpu_moe_args *args = job->args;
    scratch *own = (scratch *)(void *)job->worker->attention;
    int64_t n_blocks = args->gate->rows / BLOCK;
    for (int64_t first = 0; first < group->n; first += PASS_PAIRS) {
        ssw_amx_hidden hidden = {.args = args,
                                 .gate = (const float(*)[SSW_TILE_ROWS])own->gate,
                                 .up = (const float(*)[SSW_TILE_ROWS])own->up,
                                 .gate_bias =
                                     biases_of(args->gate_bias, args->gate, group->expert, block * BLOCK),
                                 .up_bias = biases_of(args->up_bias, args->up, group->expert, block * BLOCK),
                                 .n = (int)(group->n - first < PASS_PAIRS ? group->n - first : PASS_PAIRS),
                                 .out = tile_line(hidden_tiles(job, group), n_blocks, first, block),
                                 .tile_numbers = n_blocks * SSW_AMX_NUMBERS};
        operands gate = {args->gate, group, block, first, rows_of(args->up, group, block)};
        operands up = {args->up, group, block, first, rows_of(args->gate, group, block + 1)};
        hidden.gate_factor = multiply(job, gate, x_tiles(job, group), own->gate);
        hidden.up_factor = multiply(job, up, x_tiles(job, group), own->up);
        job->worker->amx->make_hidden(&hidden);
    }
}

void ssw_moe_make_bf16_rows(const ssw_moe_job *job, const ssw_moe_group *group, int64_t block)
{
    const ssw_cpu_matrix *down = job->args->down;
    scratch *own = (scratch *)(void *)job->worker->attention;
    int64_t row = block * BLOCK, n_rows = down->rows - row < BLOCK ? down->rows - row : BLOCK;
    const float *bias = biases_of(job->args->down_bias, down, group->expert, row);
    for (int64_t first = 0; first < group->n; first += PASS_PAIRS) {
        operands rows = {down, group, block, first, rows_of(down, group, block + 1)};
        float factor = multiply(job, rows, hidden_tiles(job, group), own->gate);
        for (int64_t i = 0; i < PASS_PAIRS && first + i < group->n; i++) {
            int32_t pair = job->worker->pairs[group->first + first + i];
            job->worker->amx->finish(pair_sums(own->gate, i), factor, bias, (int)n_rows,
                                     job->rows + pair * down->rows + row);
        }
    }
}
