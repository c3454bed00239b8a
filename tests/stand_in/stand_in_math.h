/* The CPU's plain-C operations for the stand-in's: one worker without a team, and views of the device's
 * operands. */
#ifndef SSW_TESTS_STAND_IN_MATH_H
#define SSW_TESTS_STAND_IN_MATH_H

#include "cpu/kernels.h"
#include "cuda/cuda_ops.h"

/* For operations of cpu/ops.h with few rows, or `alone`: one without barriers. */
ssw_cpu_worker *stand_in_worker(void);

/* n floats as the device keeps activations: whichever of out's parts are there, from element `at` on (a
 * multiple of 32 where out.q is). */
void stand_in_store_acts(const float *x, int64_t n, ssw_cuda_acts out, int64_t at);

/* Row i of out (+)= one of w's matrices times row rows[i] of x; rows NULL: i. False when the matrix is
 * absent. */
bool stand_in_multiply(const ssw_cuda_product_args *args, const int32_t *rows);
/* The matrix with this number, or NULL. */
const uint8_t *stand_in_matrix_at(const ssw_cuda_matrix *w, int64_t index);
/* Ends the program if the operands are not the device's. */
void stand_in_require_acts(ssw_cuda_acts x, int64_t n, int64_t cols, const char *what);

#endif
