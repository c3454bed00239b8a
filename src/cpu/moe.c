/* The fused expert job.
 *
 * First half: gate, up and the activation for all chosen experts as one flat range of 32-row blocks; a
 * block's results are quantised where they were made, since 32 rows are just one block of the next product's
 * input. A barrier. Second half: down, and the weighted sum over each token's experts. Where the caller
 * allows it, groups of many tokens go to moe_bf16.c. With few tokens a worker sums a band of output rows over
 * all experts at once; with many it writes each (token, expert) row and the sums follow after one more
 * barrier. Both ways add in the same order.
 *
 * "Pair" is one of the n * n_used (token, slot) pairs, numbered token by token. */
#include <assert.h>
#include <string.h>

#include "cpu/kernels_amx.h"
#include "cpu/moe_parts.h"

enum {
    ROWS = SSW_TILE_ROWS,
    TOKENS = SSW_TILE_TOKENS,
    BANDS = SSW_TILE_BANDS,
    UNIT_ROWS = SSW_QUANT_BLOCK,
    FEW_PAIRS_MAX = 64,
    SUM_ROWS = 64, /* of a token's row at once */
    ALIGN_BYTES = 64
};

_Static_assert(BANDS *ROWS == UNIT_ROWS, "a unit of the hidden layer is one tile of rows");

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

uint64_t ssw_cpu_moe_scratch_bytes(int64_t n_tokens, int32_t n_used, int64_t n_ff, int64_t n_embd)
{
    uint64_t n_pairs = (uint64_t)n_tokens * (uint64_t)n_used;
    uint64_t blocks = (uint64_t)(n_ff + SSW_QUANT_BLOCK - 1) / SSW_QUANT_BLOCK;
    return round_up(n_pairs * (uint64_t)n_ff * sizeof(float)) +
           round_up(n_pairs * blocks * sizeof(ssw_q8_block)) +
           round_up(n_pairs * (uint64_t)n_embd * sizeof(float));
}

static void place_scratch(ssw_moe_job *j)
{
    uint64_t n_pairs = (uint64_t)j->n_pairs;
    uint64_t blocks = (uint64_t)(j->args->gate->rows + SSW_QUANT_BLOCK - 1) / SSW_QUANT_BLOCK;
    uint8_t *at = j->args->scratch;
    j->hidden = (float *)(void *)at;
    at += round_up(n_pairs * (uint64_t)j->args->gate->rows * sizeof(float));
    j->hidden_blocks = (ssw_q8_block *)(void *)at;
    at += round_up(n_pairs * blocks * sizeof(ssw_q8_block));
    j->rows = (float *)(void *)at;
}

/* Every worker sorts for itself: it is quick, and saves a barrier. Somebody else's pairs are expert -1's,
 * which comes last: choices are too irregular to branch on. */
static void group_pairs(ssw_moe_job *j)
{
    int32_t own[1 + SSW_CPU_EXPERTS_MAX], *counts = own + 1;
    int64_t n_experts = j->args->gate->n_matrices;
    memset(own, 0, (size_t)(1 + n_experts) * sizeof *own);
    for (int64_t p = 0; p < j->n_pairs; p++) {
        int32_t e = j->args->chosen[p];
        assert(e < n_experts);
        counts[e < 0 ? -1 : e]++;
    }
    int32_t next = 0;
    j->n_groups = 0;
    for (int32_t e = 0; e < n_experts; e++) {
        if (counts[e] > 0)
            j->worker->groups[j->n_groups++] = (ssw_moe_group){e, next, counts[e]};
        int32_t n = counts[e];
        counts[e] = next;
        next += n;
    }
    counts[-1] = next;
    for (int64_t p = 0; p < j->n_pairs; p++) {
        int32_t e = j->args->chosen[p];
        j->worker->pairs[counts[e < 0 ? -1 : e]++] = (int32_t)p;
    }
}

/* One or two bands of rows for the pairs of one tile: n and x set up by the caller, bias added. */
static void multiply_bands(const ssw_moe_job *j, const ssw_cpu_matrix *w, const float *bias, int32_t expert,
                           int64_t band, ssw_tile *tile)
{
    int64_t first = band * ROWS, n_bands = ssw_matrix_bands(w) - band;
    tile->band = ssw_matrix_band(w, expert, band);
    tile->band_bytes = w->band_bytes;
    tile->n_bands = n_bands < tile->n_bands ? (int)n_bands : tile->n_bands;
    tile->cols = w->cols;
    ssw_kernels_tile(j->worker->kernels, w->dtype)(tile);
    for (int i = 0; bias && i < tile->n_bands; i++, first += ROWS) {
        int n_rows = w->rows - first < ROWS ? (int)(w->rows - first) : ROWS;
        for (int t = 0; t < tile->n; t++) {
            for (int r = 0; r < n_rows; r++)
                tile->out[i * TOKENS + t][r] += bias[expert * w->rows + first + r];
        }
    }
}

/* ---- units ---- */

/* Units of work as runs, handed out in order: long ones at first, so that a worker stays with an expert whose
 * activations it has in its cache, and single ones at last, so that all end together. */
typedef struct unit_runs {
    ssw_cpu_queue *queue;
    int64_t n_units, n_workers;
    int64_t n_passed;   /* runs up to and with this one */
    int64_t begin, end; /* of this one */
} unit_runs;

static unit_runs begin_runs(const ssw_moe_job *j, int64_t n_units)
{
    return (unit_runs){ssw_cpu_queue_begin(j->worker), n_units, j->worker->n_workers, 0, 0, 0};
}

/* False at the end. The n-th run is the same whoever takes it. */
static bool take_run(unit_runs *runs)
{
    int64_t taken = ssw_cpu_queue_take(runs->queue);
    while (runs->n_passed <= taken && runs->end < runs->n_units) {
        int64_t n = (runs->n_units - runs->end) / (2 * runs->n_workers);
        runs->n_passed++;
        runs->begin = runs->end;
        runs->end += n > 0 ? n : 1;
    }
    return runs->n_passed > taken;
}

/* ---- first half ---- */

static void store_hidden(const ssw_moe_job *j, int64_t place, int64_t first_row, int n_rows,
                         const float *values)
{
    int64_t n_ff = j->args->gate->rows;
    if (j->hidden_q8)
        j->worker->kernels->quantize(values, UNIT_ROWS,
                                     j->hidden_blocks + place * (n_ff / UNIT_ROWS) + first_row / UNIT_ROWS);
    else
        memcpy(j->hidden + place * n_ff + first_row, values, (size_t)n_rows * sizeof *values);
}

/* Rows [32 block, 32 block + 32) of the hidden layer, for all pairs of a group. */
static void make_hidden(const ssw_moe_job *j, const ssw_moe_group *group, int64_t block)
{
    const ssw_cpu_moe_args *args = j->args;
    int64_t n_ff = args->gate->rows, first_row = block * UNIT_ROWS;
    int n_rows = n_ff - first_row < UNIT_ROWS ? (int)(n_ff - first_row) : UNIT_ROWS;
    for (int32_t at = 0; at < group->n; at += TOKENS) {
        const int32_t *pairs = j->worker->pairs + group->first + at;
        int n = group->n - at < TOKENS ? group->n - at : TOKENS;
        _Alignas(64) float gate[BANDS * TOKENS][ROWS], up[BANDS * TOKENS][ROWS];
        ssw_tile tile = {.n = n, .n_bands = BANDS, .out = gate};
        for (int t = 0; t < n; t++)
            tile.x[t] = ssw_acts_row(&args->x, j->x_q8, args->gate->cols, pairs[t] / args->n_used);
        multiply_bands(j, args->gate, args->gate_bias, group->expert, block * BANDS, &tile);
        tile.out = up;
        multiply_bands(j, args->up, args->up_bias, group->expert, block * BANDS, &tile);
        for (int t = 0; t < n; t++) {
            float values[UNIT_ROWS];
            for (int band = 0; band < tile.n_bands; band++)
                j->worker->kernels->glu(args, gate[band * TOKENS + t], up[band * TOKENS + t], ROWS,
                                        values + band * ROWS);
            store_hidden(j, group->first + at + t, first_row, n_rows, values);
        }
    }
}

static void run_first_half(const ssw_moe_job *j)
{
    int64_t n_blocks = (j->args->gate->rows + UNIT_ROWS - 1) / UNIT_ROWS;
    int64_t n_units = j->n_groups * n_blocks;
    if (j->n_pairs <= FEW_PAIRS_MAX) {
        ssw_span span = ssw_span_of(n_units, j->worker->index, j->worker->n_workers);
        for (int64_t u = span.begin; u < span.end; u++)
            make_hidden(j, &j->worker->groups[u / n_blocks], u % n_blocks);
        return;
    }
    for (unit_runs runs = begin_runs(j, n_units); take_run(&runs);) {
        for (int64_t u = runs.begin; u < runs.end; u++) {
            const ssw_moe_group *group = &j->worker->groups[u / n_blocks];
            if (ssw_moe_is_bf16(j, group))
                ssw_moe_make_bf16_hidden(j, group, u % n_blocks);
            else
                make_hidden(j, group, u % n_blocks);
        }
    }
}

/* ---- second half ---- */

/* One or two bands of output rows for pairs at .. at + tile->n - 1 of a group. */
static void multiply_down(const ssw_moe_job *j, const ssw_moe_group *group, int64_t band, int32_t at,
                          ssw_tile *tile)
{
    const ssw_cpu_matrix *down = j->args->down;
    ssw_cpu_acts hidden = {j->hidden, down->cols, j->hidden_blocks};
    tile->n = group->n - at < TOKENS ? group->n - at : TOKENS;
    for (int t = 0; t < tile->n; t++)
        tile->x[t] = ssw_acts_row(&hidden, j->hidden_q8, down->cols, group->first + at + t);
    multiply_bands(j, down, j->args->down_bias, group->expert, band, tile);
}

static void add_weighted(float weight, const float *row, int64_t n, float *sums)
{
    if (n == SUM_ROWS) { /* a count that compilers know is one that they unroll */
        for (int r = 0; r < SUM_ROWS; r++)
            sums[r] += weight * row[r];
        return;
    }
    for (int64_t r = 0; r < n; r++)
        sums[r] += weight * row[r];
}

/* rows: [n_used][stride], this token's. */
static void sum_rows(const ssw_moe_job *j, int64_t token, const float *rows, int64_t stride,
                     int64_t first_row, int64_t n_rows)
{
    const float *weights = j->args->weights + token * j->args->n_used;
    const int32_t *chosen = j->args->chosen + token * j->args->n_used;
    float *out = j->args->out + token * j->args->out_stride + first_row;
    for (int64_t at = 0; at < n_rows; at += SUM_ROWS) {
        int64_t n = n_rows - at < SUM_ROWS ? n_rows - at : SUM_ROWS;
        float sums[SUM_ROWS] = {0};
        for (int s = 0; s < j->args->n_used; s++) {
            if (chosen[s] >= 0)
                add_weighted(weights[s], rows + s * stride + at, n, sums);
        }
        for (int64_t r = 0; r < n; r++)
            out[at + r] = j->args->accumulate ? out[at + r] + sums[r] : sums[r];
    }
}

static void run_second_half_few(const ssw_moe_job *j)
{
    const ssw_cpu_matrix *down = j->args->down;
    ssw_span bands = ssw_span_of(ssw_matrix_bands(down), j->worker->index, j->worker->n_workers);
    for (int64_t band = bands.begin; band < bands.end; band += BANDS) {
        _Alignas(64) float rows[FEW_PAIRS_MAX][BANDS * ROWS], out[BANDS * TOKENS][ROWS];
        int n_bands = bands.end - band < BANDS ? (int)(bands.end - band) : BANDS;
        for (int g = 0; g < j->n_groups; g++) {
            const ssw_moe_group *group = &j->worker->groups[g];
            for (int32_t at = 0; at < group->n; at += TOKENS) {
                ssw_tile tile = {.n_bands = n_bands, .out = out};
                multiply_down(j, group, band, at, &tile);
                for (int i = 0; i < n_bands * tile.n; i++) {
                    int t = i % tile.n, half = i / tile.n;
                    memcpy(rows[j->worker->pairs[group->first + at + t]] + half * ROWS,
                           out[half * TOKENS + t], sizeof out[0]);
                }
            }
        }
        int64_t rest = down->rows - band * ROWS;
        for (int64_t token = 0; token < j->args->n; token++)
            sum_rows(j, token, rows[token * j->args->n_used], BANDS * ROWS, band * ROWS,
                     rest < n_bands * ROWS ? rest : n_bands * ROWS);
    }
}

/* Two bands, all pairs of a group. */
static void make_rows(const ssw_moe_job *j, const ssw_moe_group *group, int64_t band)
{
    const ssw_cpu_matrix *down = j->args->down;
    for (int32_t at = 0; at < group->n; at += TOKENS) {
        _Alignas(64) float out[BANDS * TOKENS][ROWS];
        ssw_tile tile = {.n_bands = BANDS, .out = out};
        multiply_down(j, group, band, at, &tile);
        for (int i = 0; i < tile.n_bands * tile.n; i++) {
            int t = i % tile.n, half = i / tile.n;
            int64_t first = (band + half) * ROWS, rest = down->rows - first;
            memcpy(j->rows + j->worker->pairs[group->first + at + t] * down->rows + first,
                   out[half * TOKENS + t], (size_t)(rest < ROWS ? rest : ROWS) * sizeof(float));
        }
    }
}

static void run_second_half_many(const ssw_moe_job *j)
{
    const ssw_cpu_matrix *down = j->args->down;
    int64_t n_units = (ssw_matrix_bands(down) + BANDS - 1) / BANDS;
    for (unit_runs runs = begin_runs(j, j->n_groups * n_units); take_run(&runs);) {
        for (int64_t u = runs.begin; u < runs.end; u++) {
            const ssw_moe_group *group = &j->worker->groups[u / n_units];
            if (ssw_moe_is_bf16(j, group))
                ssw_moe_make_bf16_rows(j, group, u % n_units);
            else
                make_rows(j, group, u % n_units * BANDS);
        }
    }
    ssw_cpu_barrier(j->worker);
    ssw_span tokens = ssw_span_of(j->args->n, j->worker->index, j->worker->n_workers);
    for (int64_t token = tokens.begin; token < tokens.end; token++)
        sum_rows(j, token, j->rows + token * j->args->n_used * down->rows, down->rows, 0, down->rows);
}

void ssw_cpu_moe(ssw_cpu_worker *worker, const ssw_cpu_moe_args *args)
{
    ssw_moe_job j = {.args = args, .worker = worker, .n_pairs = args->n * args->n_used};
    assert(args->gate->rows == args->up->rows && args->gate->cols == args->up->cols);
    assert(args->gate->dtype == args->up->dtype && args->down->cols == args->gate->rows);
    assert(args->gate->n_matrices <= SSW_CPU_EXPERTS_MAX);
    j.x_q8 = worker->kernels->takes_q8 && !ssw_kernels_dtype_is_float(args->gate->dtype);
    j.hidden_q8 = worker->kernels->takes_q8 && !ssw_kernels_dtype_is_float(args->down->dtype);
    place_scratch(&j);
    group_pairs(&j);
    bool has_bf16 = false;
    for (int g = 0; g < j.n_groups && j.n_pairs > FEW_PAIRS_MAX; g++)
        has_bf16 = has_bf16 || ssw_moe_is_bf16(&j, &worker->groups[g]);
    if (has_bf16)
        ssw_moe_fill_tiles(&j);
    run_first_half(&j);
    ssw_cpu_barrier(worker);
    if (j.n_pairs <= FEW_PAIRS_MAX)
        run_second_half_few(&j);
    else
        run_second_half_many(&j);
}
