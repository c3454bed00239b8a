/* Normalisation and quantisation of activations, row by row. */
#include <assert.h>

#include "cpu/kernels.h"

uint64_t ssw_cpu_q8_row_bytes(int64_t cols)
{
    return cols > 0 && cols % SSW_QUANT_BLOCK == 0 ? (uint64_t)(cols / SSW_QUANT_BLOCK) * sizeof(ssw_q8_block)
                                                   : 0;
}

void ssw_cpu_quantize(ssw_cpu_worker *worker, const ssw_cpu_quantize_args *args)
{
    assert(args->cols % SSW_QUANT_BLOCK == 0);
    int64_t row_blocks = args->cols / SSW_QUANT_BLOCK;
    ssw_span span = ssw_span_of(args->n * row_blocks, worker->index, worker->n_workers);
    for (int64_t b = span.begin; b < span.end;) {
        int64_t row = b / row_blocks, column = b % row_blocks;
        int64_t n = row_blocks - column < span.end - b ? row_blocks - column : span.end - b;
        worker->kernels->quantize(args->x + row * args->x_stride + column * SSW_QUANT_BLOCK,
                                  n * SSW_QUANT_BLOCK, (ssw_q8_block *)args->q8 + b);
        b += n;
    }
}

void ssw_cpu_norm(ssw_cpu_worker *worker, const ssw_cpu_norm_args *args)
{
    assert(!args->out_q8 || args->cols % SSW_QUANT_BLOCK == 0);
    ssw_span span =
        args->alone ? (ssw_span){0, args->n} : ssw_span_of(args->n, worker->index, worker->n_workers);
    for (int64_t row = span.begin; row < span.end; row++) {
        float *out = args->out + row * args->out_stride;
        worker->kernels->norm(args, args->x + row * args->x_stride, out);
        if (args->out_q8)
            worker->kernels->quantize(out, args->cols,
                                      (ssw_q8_block *)args->out_q8 + row * (args->cols / SSW_QUANT_BLOCK));
    }
}
