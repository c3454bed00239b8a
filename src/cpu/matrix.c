/* Weight matrices in bands of 16 rows: sizes, repacking from the file's rows, and reading back. */
#include <assert.h>
#include <string.h>

#include "cpu/codes.h"

enum { ROWS = SSW_TILE_ROWS, BLOCK = SSW_QUANT_BLOCK, ALIGN_BYTES = 64, BLOCK_BYTES_MAX = 34 };

/* How a type's block lies in the file: scale_bytes, then quant_bytes. Float types have blocks of one element.
 */
typedef struct geometry {
    int scale_bytes, quant_bytes, n_columns;
} geometry;

static geometry geometry_of(ssw_dtype dtype)
{
    switch (dtype) {
    case SSW_DTYPE_F32:
        return (geometry){0, 4, 1};
    case SSW_DTYPE_F16:
    case SSW_DTYPE_BF16:
        return (geometry){0, 2, 1};
    case SSW_DTYPE_Q8_0:
        return (geometry){2, 32, BLOCK};
    case SSW_DTYPE_Q4_0:
        return (geometry){2, 16, BLOCK};
    case SSW_DTYPE_MXFP4:
        return (geometry){1, 16, BLOCK};
    default:
        return (geometry){0, 0, 0};
    }
}

/* Of one band, before it is rounded up; 0 for types and widths that are not multiplied. */
static uint64_t count_band_bytes(ssw_dtype dtype, uint64_t cols)
{
    geometry g = geometry_of(dtype);
    const ssw_codes *codes = ssw_codes_find(dtype);
    if (ssw_dtype_row_bytes(dtype, cols) == 0)
        return 0;
    if (codes)
        return ssw_codes_band_bytes(*codes, (int64_t)cols / BLOCK);
    return g.n_columns == 0 ? 0
                            : cols / (uint64_t)g.n_columns * ROWS * (uint64_t)(g.scale_bytes + g.quant_bytes);
}

static bool measure(ssw_cpu_matrix *m)
{
    const int64_t sane = INT64_C(1) << 40;
    if (m->rows < 1 || m->cols < 1 || m->n_matrices < 1)
        return false;
    if (m->rows > sane || m->cols > sane || m->n_matrices > sane)
        return false;
    uint64_t n_bands = (uint64_t)(m->rows + ROWS - 1) / ROWS;
    uint64_t bytes = count_band_bytes(m->dtype, (uint64_t)m->cols);
    if (bytes == 0)
        return false;
    m->band_bytes = (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    return !__builtin_mul_overflow(m->band_bytes, n_bands, &m->matrix_bytes) &&
           !__builtin_mul_overflow(m->matrix_bytes, (uint64_t)m->n_matrices, &m->n_bytes);
}

uint64_t ssw_cpu_matrix_predict_bytes(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n_matrices)
{
    ssw_cpu_matrix m = {.dtype = dtype, .rows = rows, .cols = cols, .n_matrices = n_matrices};
    return measure(&m) ? m.n_bytes : 0;
}

ssw_status ssw_cpu_matrix_plan(ssw_cpu_matrix *matrix, ssw_dtype dtype, int64_t rows, int64_t cols,
                               int64_t n_matrices, ssw_error *err)
{
    *matrix = (ssw_cpu_matrix){.dtype = dtype, .rows = rows, .cols = cols, .n_matrices = n_matrices};
    if (!measure(matrix)) {
        const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)dtype);
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "no CPU operations for %lld matrices of %lld x %lld %s", (long long)n_matrices,
                             (long long)rows, (long long)cols,
                             traits ? traits->name : "elements of an unknown type");
    }
    return SSW_OK;
}

ssw_status ssw_cpu_matrix_init(ssw_cpu_matrix *matrix, ssw_dtype dtype, int64_t rows, int64_t cols,
                               int64_t n_matrices, ssw_error *err)
{
    ssw_status status = ssw_cpu_matrix_plan(matrix, dtype, rows, cols, n_matrices, err);
    if (status != SSW_OK)
        return status;
    matrix->data = ssw_cpu_memory_alloc(matrix->n_bytes);
    if (!matrix->data)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for %llu bytes of weights",
                             (unsigned long long)matrix->n_bytes);
    return SSW_OK;
}

void ssw_cpu_matrix_deinit(ssw_cpu_matrix *matrix)
{
    ssw_cpu_memory_free(matrix->data, matrix->n_bytes);
    *matrix = (ssw_cpu_matrix){0};
}

/* Row r's part of a band: element or four-byte group i of block b, and the scale of block b. */
static uint64_t quant_offset(const geometry *g, int64_t b, int r, int unit_bytes, int i)
{
    return (uint64_t)b * ROWS * (uint64_t)g->quant_bytes + (uint64_t)(i * ROWS + r) * (uint64_t)unit_bytes;
}

static uint64_t scale_offset(const geometry *g, int64_t n_blocks, int64_t b, int r)
{
    return (uint64_t)n_blocks * ROWS * (uint64_t)g->quant_bytes +
           (uint64_t)(b * ROWS + r) * (uint64_t)g->scale_bytes;
}

/* The four-byte groups of one row's block, 16 groups apart. */
static void copy_groups(uint8_t *out, const uint8_t *quants, int n_groups)
{
    for (int i = 0; i < n_groups; i++)
        memcpy(out + i * ROWS * 4, quants + i * 4, 4);
}

static void fill_quantised(const geometry *g, int64_t n_blocks, uint8_t *band, int r, const uint8_t *row)
{
    uint8_t *quants = band + quant_offset(g, 0, r, 4, 0), *scales = band + scale_offset(g, n_blocks, 0, r);
    for (int64_t b = 0; b < n_blocks; b++) {
        if (g->scale_bytes == 1) /* sizes known to the compiler: loading waits for this loop */
            memcpy(scales, row, 1);
        else
            memcpy(scales, row, 2);
        if (g->quant_bytes == 16)
            copy_groups(quants, row + g->scale_bytes, 4);
        else
            copy_groups(quants, row + g->scale_bytes, 8);
        quants += ROWS * g->quant_bytes;
        scales += ROWS * g->scale_bytes;
        row += g->scale_bytes + g->quant_bytes;
    }
}

static void fill_floats(const geometry *g, int64_t cols, uint8_t *band, int r, const uint8_t *row)
{
    for (int64_t c = 0; c < cols; c++) {
        if (g->quant_bytes == 4)
            memcpy(band + (c * ROWS + r) * 4, row + c * 4, 4);
        else
            memcpy(band + (c * ROWS + r) * 2, row + c * 2, 2);
    }
}

static void fill_row(const ssw_cpu_matrix *m, uint8_t *band, int r, const uint8_t *file_row)
{
    geometry g = geometry_of(m->dtype);
    if (ssw_codes_find(m->dtype))
        ssw_codes_fill_row(m->dtype, m->cols / BLOCK, band, r, file_row);
    else if (g.n_columns == 1)
        fill_floats(&g, m->cols, band, r, file_row);
    else
        fill_quantised(&g, m->cols / g.n_columns, band, r, file_row);
}

void ssw_cpu_matrix_fill_part(ssw_cpu_matrix *matrix, const ssw_cpu_matrix_part *part, int worker,
                              int n_workers)
{
    uint64_t row_bytes = ssw_dtype_row_bytes(matrix->dtype, (uint64_t)part->cols);
    uint64_t skipped_bytes = ssw_dtype_row_bytes(matrix->dtype, (uint64_t)part->first_col);
    int64_t n_bands = ssw_matrix_bands(matrix);
    ssw_span span = ssw_span_of(n_bands * matrix->n_matrices, worker, n_workers);
    for (int64_t i = span.begin; i < span.end; i++) {
        int64_t index = i / n_bands, band = i % n_bands;
        uint8_t *out =
            matrix->data + (uint64_t)index * matrix->matrix_bytes + (uint64_t)band * matrix->band_bytes;
        for (int r = 0; r < ROWS && band * ROWS + r < matrix->rows; r++) {
            uint64_t row = (uint64_t)(index * part->rows + part->first_row + band * ROWS + r);
            fill_row(matrix, out, r, (const uint8_t *)part->file_data + row * row_bytes + skipped_bytes);
        }
    }
}

void ssw_cpu_matrix_fill(ssw_cpu_matrix *matrix, const void *file_data, int worker, int n_workers)
{
    ssw_cpu_matrix_part whole = {.file_data = file_data, .rows = matrix->rows, .cols = matrix->cols};
    ssw_cpu_matrix_fill_part(matrix, &whole, worker, n_workers);
}

void ssw_cpu_matrix_read_row(const ssw_cpu_matrix *m, int64_t index, int64_t row, float *out)
{
    assert(index >= 0 && index < m->n_matrices && row >= 0 && row < m->rows);
    geometry g = geometry_of(m->dtype);
    const uint8_t *band = ssw_matrix_band(m, index, row / ROWS);
    int r = (int)(row % ROWS);
    const ssw_codes *codes = ssw_codes_find(m->dtype);
    for (int64_t b = 0; codes && b < m->cols / BLOCK; b++) {
        ssw_codes_block block;
        ssw_codes_read_block(*codes, band, m->cols / BLOCK, b, r, &block);
        ssw_codes_read_weights(&block, out + b * BLOCK);
    }
    if (codes)
        return;
    int64_t n_blocks = m->cols / g.n_columns;
    int unit_bytes = g.n_columns == 1 ? g.quant_bytes : 4;
    for (int64_t b = 0; b < n_blocks; b++) {
        uint8_t block[BLOCK_BYTES_MAX];
        if (g.scale_bytes > 0)
            memcpy(block, band + scale_offset(&g, n_blocks, b, r), (size_t)g.scale_bytes);
        for (int i = 0; i < g.quant_bytes / unit_bytes; i++)
            memcpy(block + g.scale_bytes + i * unit_bytes, band + quant_offset(&g, b, r, unit_bytes, i),
                   (size_t)unit_bytes);
        ssw_quant_dequantize_row(m->dtype, block, (uint64_t)g.n_columns, out + b * g.n_columns);
    }
}
