/* Shared by the tests of src/cpu: a team per instruction set, random operands, weights with their dequantised
 * truth. */
#ifndef SSW_TESTS_CPU_CASE_H
#define SSW_TESTS_CPU_CASE_H

#include "../cmocka_all.h"

#include <stdbool.h>
#include <stdint.h>

#include "cpu/ops.h"

enum { CASE_THREADS = 3, CASE_TOKENS_MAX = 300, CASE_USED_MAX = 8 };

/* Every type that a matrix can have, the float ones first. */
enum { CASE_TYPES = 16, CASE_FLOAT_TYPES = 3 };
extern const ssw_dtype cpu_case_types[CASE_TYPES];

/* A width of at least cols that the type can have: as many blocks of 256 columns as there are blocks of 32 in
 * cols, for types that have those. */
int64_t cpu_case_width(ssw_dtype dtype, int64_t cols);

typedef struct cpu_case {
    ssw_cpu_isa isa;
    ssw_pool *pool;
    ssw_cpu_team *team;
} cpu_case;

/* A group setup for cmocka: says which instruction sets this processor has, and so which were tested. */
int cpu_case_say_isas(void **state);

/* False when this processor lacks the instruction set. */
bool cpu_case_open(cpu_case *c, ssw_cpu_isa isa, int n_threads);
void cpu_case_close(cpu_case *c);

/* bf16 products for may_use_bf16 from here on: NONE, this processor's AMX, or the same kernels over tiles in
 * plain C. False when the processor lacks what that takes. */
typedef enum cpu_case_bf16 {
    CASE_BF16_NONE,
    CASE_BF16_AMX,
    CASE_BF16_EMULATED,
    CASE_BF16_COUNT
} cpu_case_bf16;
const struct ssw_amx *cpu_case_find_bf16(cpu_case_bf16 which);
bool cpu_case_take_bf16(cpu_case *c, cpu_case_bf16 which);

/* Runs op(worker, args) on all workers, a few times between barriers. */
typedef void cpu_case_op(ssw_cpu_worker *worker, const void *args);
void cpu_case_run(cpu_case *c, cpu_case_op *op, const void *args);

uint32_t cpu_case_random(uint32_t *state);
float cpu_case_uniform(uint32_t *state); /* -1 .. 1 */

/* Uniform values; some blocks of 32 larger, some all zero, as real activations are uneven. */
float *cpu_case_floats(int64_t n, uint32_t seed);

/* Random rows of a type, in a prepared matrix and as floats [n_matrices][rows][cols]. */
typedef struct cpu_weights {
    ssw_cpu_matrix m;
    float *truth;
} cpu_weights;

cpu_weights cpu_weights_make(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n_matrices, uint32_t seed);
/* The same from bytes of a file. */
cpu_weights cpu_weights_from_file(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n_matrices,
                                  const uint8_t *file);
void cpu_weights_free(cpu_weights *w);

/* What one product may differ from the truth: the activations' rounding (half a step of each block's scale,
 * if the kernels quantise them) and the rounding of float sums. */
double cpu_case_bound(const float *w, const float *x, int64_t cols, bool q8);
/* The same of a bf16 product: what rounding both factors to 8 bits adds. */
double cpu_case_bf16_bound(const float *w, const float *x, int64_t cols);
double cpu_case_dot(const float *w, const float *x, int64_t cols);

#endif
