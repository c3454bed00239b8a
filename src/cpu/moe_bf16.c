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
    PASS_TILES = 16,                    /* at once; what they sum to stays in the second-level cache */
    FILL_BLOCKS = 32                    /* of a tile of activations, filled at once */
};

_Static_assert(PAIRS_MIN * sizeof(float) >= TOKENS * sizeof(uint16_t), "a tile fits into the pairs' rows");

/* This worker's scratch: attention's, which has nothing to do meanwhile. */
typedef struct scratch {
    _Alignas(64) uint16_t weights[SSW_AMX_SCRATCH];
    float gate[PASS_TILES * SSW_AMX_BANDS * TOKENS][SSW_TILE_ROWS];
    float up[PASS_TILES * SSW_AMX_BANDS * TOKENS][SSW_TILE_ROWS];
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

static int64_t divide_up(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

/* Pairs of one of the group's tiles: evenly, in as few tiles as hold them. */
static int tile_pairs(const ssw_moe_group *group)
{
    return (int)divide_up(group->n, divide_up(group->n, TOKENS));
}

static int64_t count_tiles(const ssw_moe_group *group)
{
    return divide_up(group->n, tile_pairs(group));
}

static uint16_t *x_tiles(const ssw_moe_job *job, const ssw_moe_group *group)
{
    return (uint16_t *)(void *)(job->rows + group->first * job->args->gate->cols);
}

static uint16_t *hidden_tiles(const ssw_moe_job *job, const ssw_moe_group *group)
{
    return (uint16_t *)(void *)(job->hidden + group->first * job->args->gate->rows);
}

/* Block b of a tile, in tiles of n_blocks blocks. */
static uint16_t *tile_block(uint16_t *tiles, int64_t n_blocks, int64_t tile, int64_t b)
{
    return tiles + (tile * n_blocks + b) * SSW_AMX_NUMBERS;
}

/* ---- activations ---- */

/* FILL_BLOCKS blocks of a tile, the last ones fewer. */
static void fill_tile(const ssw_moe_job *job, const ssw_moe_group *group, int64_t tile, int64_t part)
{
    const ssw_cpu_moe_args *args = job->args;
    int n = tile_pairs(group);
    int64_t n_blocks = args->gate->cols / BLOCK, first = part * FILL_BLOCKS, first_pair = tile * n;
    uint16_t *out = tile_block(x_tiles(job, group), n_blocks, tile, first);
    const ssw_q8_block *q8[TOKENS];
    const float *f32[TOKENS];
    n = n < group->n - first_pair ? n : (int)(group->n - first_pair);
    for (int t = 0; t < n; t++) {
        int64_t token = job->worker->pairs[group->first + first_pair + t] / args->n_used;
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
        for (; next < at + count_tiles(group) * n_parts; next = ssw_cpu_queue_take(parts), n_own++)
            fill_tile(job, group, (next - at) / n_parts, (next - at) % n_parts);
        at += count_tiles(group) * n_parts;
    }
    ssw_cpu_queue_count(filled, n_own);
    ssw_cpu_queue_await(filled, at);
}

/* ---- products ---- */

/* 32 rows of a matrix and a group's tiles from `tile` on. */
typedef struct operands {
    const ssw_cpu_matrix *w;
    const ssw_moe_group *group;
    int64_t block, tile;
    const uint8_t *next; /* what is multiplied then, or where that may be */
} operands;

static const uint8_t *rows_of(const ssw_cpu_matrix *w, const ssw_moe_group *group, int64_t block)
{
    return ssw_matrix_band(w, group->expert, block * SSW_AMX_BANDS);
}

static float multiply(const ssw_moe_job *job, operands o, const uint16_t *tiles, float (*sums)[SSW_TILE_ROWS])
{
    const ssw_cpu_matrix *w = o.w;
    int64_t n_bands = ssw_matrix_bands(w) - o.block * SSW_AMX_BANDS, n_left = count_tiles(o.group) - o.tile;
    ssw_amx_product p = {.band = rows_of(w, o.group, o.block),
                         .band_bytes = w->band_bytes,
                         .next = o.next,
                         .n_bands = n_bands < SSW_AMX_BANDS ? (int)n_bands : SSW_AMX_BANDS,
                         .n_tiles = n_left < PASS_TILES ? (int)n_left : PASS_TILES,
                         .tile_tokens = tile_pairs(o.group),
                         .cols = w->cols,
                         .x = tiles + o.tile * (w->cols / BLOCK) * SSW_AMX_NUMBERS,
                         .scratch = ((scratch *)(void *)job->worker->attention)->weights,
                         .sums = sums};
    return job->worker->amx->product[w->dtype](&p);
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
    for (int64_t tile = 0; tile < count_tiles(group); tile += PASS_TILES) {
        int64_t n_pass = PASS_TILES * tile_pairs(group), n_left = group->n - tile * tile_pairs(group);
        ssw_amx_hidden hidden = {.args = args,
                                 .gate = (const float(*)[SSW_TILE_ROWS])own->gate,
                                 .up = (const float(*)[SSW_TILE_ROWS])own->up,
                                 .gate_bias =
                                     biases_of(args->gate_bias, args->gate, group->expert, block * BLOCK),
                                 .up_bias = biases_of(args->up_bias, args->up, group->expert, block * BLOCK),
                                 .n = (int)(n_left < n_pass ? n_left : n_pass),
                                 .tile_tokens = tile_pairs(group),
                                 .out = tile_block(hidden_tiles(job, group), n_blocks, tile, block),
                                 .tile_numbers = n_blocks * SSW_AMX_NUMBERS};
        operands gate = {args->gate, group, block, tile, rows_of(args->up, group, block)};
        operands up = {args->up, group, block, tile, rows_of(args->gate, group, block + 1)};
        hidden.gate_factor = multiply(job, gate, x_tiles(job, group), own->gate);
        hidden.up_factor = multiply(job, up, x_tiles(job, group), own->up);
        job->worker->amx->make_hidden(&hidden);
    }
}

/* The rows of a pass's i-th tile. */
static void finish_tile(const ssw_moe_job *job, const operands *o, int64_t i, float factor)
{
    const ssw_cpu_matrix *down = o->w;
    const scratch *own = (const scratch *)(const void *)job->worker->attention;
    const float(*sums)[SSW_TILE_ROWS] = own->gate + i * SSW_AMX_BANDS * TOKENS;
    int64_t row = o->block * BLOCK, n_rows = down->rows - row < BLOCK ? down->rows - row : BLOCK;
    const float *bias = biases_of(job->args->down_bias, down, o->group->expert, row);
    int64_t first = (o->tile + i) * tile_pairs(o->group);
    for (int64_t t = 0; t < tile_pairs(o->group) && first + t < o->group->n; t++) {
        int32_t pair = job->worker->pairs[o->group->first + first + t];
        job->worker->amx->finish(sums + t, factor, bias, (int)n_rows, job->rows + pair * down->rows + row);
    }
}

void ssw_moe_make_bf16_rows(const ssw_moe_job *job, const ssw_moe_group *group, int64_t block)
{
    const ssw_cpu_matrix *down = job->args->down;
    scratch *own = (scratch *)(void *)job->worker->attention;
    int64_t n_tiles = count_tiles(group);
    for (int64_t tile = 0; tile < n_tiles; tile += PASS_TILES) {
        operands rows = {down, group, block, tile, rows_of(down, group, block + 1)};
        float factor = multiply(job, rows, hidden_tiles(job, group), own->gate);
        for (int64_t i = 0; i < PASS_TILES && tile + i < n_tiles; i++)
            finish_tile(job, &rows, i, factor);
    }
}
