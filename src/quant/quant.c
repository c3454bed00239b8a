/* The doors: rows of any type, block by block. The blocks are in quant_legacy.c, quant_k.c and quant_iq4.c.
 */
#include "quant/quant.h"

#include <string.h>

#include "quant/half.h"
#include "quant/quant_block.h"

typedef struct format {
    ssw_dtype dtype;
    ssw_quant_read_block *read;
    ssw_quant_write_block *write;
    ssw_quant_split *split; /* or NULL */
} format;

static const format formats[] = {
    {SSW_DTYPE_Q4_0, ssw_quant_read_q4_0, ssw_quant_write_q4_0, NULL},
    {SSW_DTYPE_Q4_1, ssw_quant_read_q4_1, ssw_quant_write_q4_1, ssw_quant_split_q4_1},
    {SSW_DTYPE_Q5_0, ssw_quant_read_q5_0, ssw_quant_write_q5_0, ssw_quant_split_q5_0},
    {SSW_DTYPE_Q5_1, ssw_quant_read_q5_1, ssw_quant_write_q5_1, ssw_quant_split_q5_1},
    {SSW_DTYPE_Q8_0, ssw_quant_read_q8_0, ssw_quant_write_q8_0, NULL},
    {SSW_DTYPE_Q2_K, ssw_quant_read_q2_k, ssw_quant_write_q2_k, ssw_quant_split_q2_k},
    {SSW_DTYPE_Q3_K, ssw_quant_read_q3_k, ssw_quant_write_q3_k, ssw_quant_split_q3_k},
    {SSW_DTYPE_Q4_K, ssw_quant_read_q4_k, ssw_quant_write_q4_k, ssw_quant_split_q4_k},
    {SSW_DTYPE_Q5_K, ssw_quant_read_q5_k, ssw_quant_write_q5_k, ssw_quant_split_q5_k},
    {SSW_DTYPE_Q6_K, ssw_quant_read_q6_k, ssw_quant_write_q6_k, ssw_quant_split_q6_k},
    {SSW_DTYPE_IQ4_NL, ssw_quant_read_iq4_nl, ssw_quant_write_iq4_nl, ssw_quant_split_iq4_nl},
    {SSW_DTYPE_IQ4_XS, ssw_quant_read_iq4_xs, ssw_quant_write_iq4_xs, ssw_quant_split_iq4_xs},
    {SSW_DTYPE_MXFP4, ssw_quant_read_mxfp4, ssw_quant_write_mxfp4, NULL},
};

static bool is_float(ssw_dtype dtype)
{
    return dtype == SSW_DTYPE_F32 || dtype == SSW_DTYPE_F16 || dtype == SSW_DTYPE_BF16;
}

/* Whole rows, since there is a row of them for every token of a prompt. False for other types. */
static bool read_floats(ssw_dtype dtype, const uint8_t *row, uint64_t n, float *out)
{
    if (dtype == SSW_DTYPE_F32)
        memcpy(out, row, n * sizeof *out);
    for (uint64_t i = 0; dtype == SSW_DTYPE_F16 && i < n; i++)
        out[i] = ssw_half_from_f16(ssw_quant_load_u16(row + 2 * i));
    for (uint64_t i = 0; dtype == SSW_DTYPE_BF16 && i < n; i++)
        out[i] = ssw_half_from_bf16(ssw_quant_load_u16(row + 2 * i));
    return is_float(dtype);
}

static bool write_floats(ssw_dtype dtype, const float *values, uint64_t n, uint8_t *row)
{
    if (dtype == SSW_DTYPE_F32)
        memcpy(row, values, n * sizeof *values);
    for (uint64_t i = 0; dtype == SSW_DTYPE_F16 && i < n; i++)
        ssw_quant_store_u16(row + 2 * i, ssw_half_to_f16(values[i]));
    for (uint64_t i = 0; dtype == SSW_DTYPE_BF16 && i < n; i++)
        ssw_quant_store_u16(row + 2 * i, ssw_half_to_bf16(values[i]));
    return is_float(dtype);
}

static const format *find_format(ssw_dtype dtype)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (formats[i].dtype == dtype)
            return &formats[i];
    }
    return NULL;
}

bool ssw_quant_supports(ssw_dtype dtype)
{
    return is_float(dtype) || find_format(dtype);
}

bool ssw_quant_dequantize_row(ssw_dtype dtype, const void *row, uint64_t n, float *out)
{
    if (read_floats(dtype, row, n, out))
        return true;
    const format *f = find_format(dtype);
    if (!f || (n > 0 && ssw_dtype_row_bytes(dtype, n) == 0))
        return false;
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)dtype);
    const uint8_t *block = row;
    for (uint64_t at = 0; at < n; at += traits->block_elements, block += traits->block_bytes)
        f->read(block, out + at);
    return true;
}

bool ssw_quant_quantize_row(ssw_dtype dtype, const float *values, uint64_t n, void *row)
{
    if (write_floats(dtype, values, n, row))
        return true;
    const format *f = find_format(dtype);
    if (!f || (n > 0 && ssw_dtype_row_bytes(dtype, n) == 0))
        return false;
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)dtype);
    uint8_t *block = row;
    for (uint64_t at = 0; at < n; at += traits->block_elements, block += traits->block_bytes)
        f->write(values + at, block);
    return true;
}

bool ssw_quant_split_block(ssw_dtype dtype, const void *block, ssw_quant_parts *parts)
{
    const format *f = find_format(dtype);
    if (!f || !f->split)
        return false;
    f->split(block, parts);
    return true;
}
