/* The table of tensor types. */
#include "base/dtype.h"

#include <strings.h>

static const ssw_dtype_traits table[] = {
    {SSW_DTYPE_F32, "F32", 1, 4},         {SSW_DTYPE_F16, "F16", 1, 2},
    {SSW_DTYPE_Q4_0, "Q4_0", 32, 18},     {SSW_DTYPE_Q4_1, "Q4_1", 32, 20},
    {SSW_DTYPE_Q5_0, "Q5_0", 32, 22},     {SSW_DTYPE_Q5_1, "Q5_1", 32, 24},
    {SSW_DTYPE_Q8_0, "Q8_0", 32, 34},     {SSW_DTYPE_Q2_K, "Q2_K", 256, 84},
    {SSW_DTYPE_Q3_K, "Q3_K", 256, 110},   {SSW_DTYPE_Q4_K, "Q4_K", 256, 144},
    {SSW_DTYPE_Q5_K, "Q5_K", 256, 176},   {SSW_DTYPE_Q6_K, "Q6_K", 256, 210},
    {SSW_DTYPE_IQ4_NL, "IQ4_NL", 32, 18}, {SSW_DTYPE_IQ4_XS, "IQ4_XS", 256, 136},
    {SSW_DTYPE_I8, "I8", 1, 1},           {SSW_DTYPE_I16, "I16", 1, 2},
    {SSW_DTYPE_I32, "I32", 1, 4},         {SSW_DTYPE_I64, "I64", 1, 8},
    {SSW_DTYPE_F64, "F64", 1, 8},         {SSW_DTYPE_BF16, "BF16", 1, 2},
    {SSW_DTYPE_MXFP4, "MXFP4", 32, 17},
};

enum { TABLE_LENGTH = sizeof table / sizeof table[0] };

const ssw_dtype_traits *ssw_dtype_find(uint32_t number)
{
    for (int i = 0; i < TABLE_LENGTH; i++) {
        if ((uint32_t)table[i].dtype == number)
            return &table[i];
    }
    return NULL;
}

const ssw_dtype_traits *ssw_dtype_find_name(const char *name)
{
    for (int i = 0; i < TABLE_LENGTH; i++) {
        if (strcasecmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

uint64_t ssw_dtype_row_bytes(ssw_dtype dtype, uint64_t n_elements)
{
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)dtype);
    uint64_t bytes;
    if (!traits || n_elements % traits->block_elements != 0)
        return 0;
    if (__builtin_mul_overflow(n_elements / traits->block_elements, (uint64_t)traits->block_bytes, &bytes))
        return 0;
    return bytes;
}
