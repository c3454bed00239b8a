/* Types of small codes in groups with scales of their own: Q4_1, Q5_0, Q5_1, the K types, IQ4_NL and IQ4_XS.
 * One description per type, from which both kinds of kernels follow. The layout of their bands, and why, is
 * in cpu/codes.h, whose numbers these are. Included by kernels only. */
#ifndef SSW_CUDA_CODES_CUH
#define SSW_CUDA_CODES_CUH

#include "cuda/band_dot.cuh"

enum {
    CODES_LINE_BYTES = 4 * BAND_ROWS,
    CODES_SUPER_BLOCKS = 8, /* blocks of 32 columns with one d */
    CODES_HAS_MIN = 1,
    CODES_HAS_SUPER = 2,
    CODES_HAS_BOOK = 4,
    CODES_PACKS_MIN = 8 /* scale and min in one byte */
};

/* A weight is scale * value - min (+ min where there are no super-blocks). Value: the code less OFFSET, or an
 * entry of the book. Kernels handle values times 2^SHIFT: a code at the top of its byte needs no more than
 * its highest bit turned to be less by half of its range. */
template <int BITS_, int GROUPS_, int OFFSET_, int FLAGS> struct codes {
    static constexpr int BITS = BITS_;     /* of a code: the lines of 64 bytes of a block of 16 rows */
    static constexpr int GROUPS = GROUPS_; /* of 32 columns: 1 or 2 */
    static constexpr bool MIN = FLAGS & CODES_HAS_MIN, SUPER = FLAGS & CODES_HAS_SUPER,
                          BOOK = FLAGS & CODES_HAS_BOOK, PACKS_MIN = FLAGS & CODES_PACKS_MIN,
                          OFFSET = OFFSET_ != 0;
    static constexpr int SHIFT = OFFSET ? 8 - BITS : 0;
    static constexpr float UNIT = 1.0f / (1 << SHIFT);
    /* Of 16 rows: a block's codes, a super-block's d and dmin, a block's scales and minima. */
    static constexpr int CODE_BYTES = CODES_LINE_BYTES * BITS;
    static constexpr int HEAD_BYTES = SUPER ? 2 * BAND_ROWS * (1 + MIN) : 0;
    static constexpr int SCALE_BYTES =
        SUPER ? GROUPS * BAND_ROWS * (1 + (MIN && !PACKS_MIN)) : 2 * BAND_ROWS * (1 + MIN);
    static_assert(!OFFSET || OFFSET_ == 1 << (BITS - 1), "half of the range");
    static_assert(GROUPS == 1 || (SUPER && (!MIN || PACKS_MIN)), "what the loads know");
};

/* X(TYPE, name, bits, groups, offset, flags) */
#define SSW_CUDA_CODES_TYPES(X)                                                                              \
    X(Q4_1, q4_1, 4, 1, 0, CODES_HAS_MIN)                                                                    \
    X(Q5_0, q5_0, 5, 1, 16, 0)                                                                               \
    X(Q5_1, q5_1, 5, 1, 0, CODES_HAS_MIN)                                                                    \
    X(Q2_K, q2_k, 2, 2, 0, CODES_HAS_MIN | CODES_HAS_SUPER | CODES_PACKS_MIN)                                \
    X(Q3_K, q3_k, 3, 2, 4, CODES_HAS_SUPER)                                                                  \
    X(Q4_K, q4_k, 4, 1, 0, CODES_HAS_MIN | CODES_HAS_SUPER)                                                  \
    X(Q5_K, q5_k, 5, 1, 0, CODES_HAS_MIN | CODES_HAS_SUPER)                                                  \
    X(Q6_K, q6_k, 6, 2, 32, CODES_HAS_SUPER)                                                                 \
    X(IQ4_NL, iq4_nl, 4, 1, 0, CODES_HAS_BOOK)                                                               \
    X(IQ4_XS, iq4_xs, 4, 1, 0, CODES_HAS_BOOK | CODES_HAS_SUPER)

#define SSW_CUDA_CODES_DEFINE(TYPE, name, bits, groups, offset, flags)                                       \
    typedef codes<bits, groups, offset, flags> name##_codes;
SSW_CUDA_CODES_TYPES(SSW_CUDA_CODES_DEFINE)

struct iq4_table { /* the book of IQ4_NL and IQ4_XS */
    static constexpr uint32_t words[4] = {0xbfad9881, 0xf6eaddcf, 0x26190d01, 0x71594535};
};

/* Bits `from` and up of every byte to `to` and up: within a byte, so that what the rotation brings from
 * elsewhere is masked. */
__device__ __forceinline__ uint32_t move_bits(uint32_t word, int from, int to, uint32_t mask)
{
    return __funnelshift_l(word, word, (to - from) & 31) & (mask << to) * 0x01010101u;
}

/* Values of columns 4 k .. 4 k + 3 and 16 + 4 k .. of a row. nibbles: its word of line k of the 4 lower bits;
 * twos: both its words of the next 2; ones: its word of the next. Which of them count, the type says. */
template <typename CODES>
__device__ __forceinline__ void unpack_codes(uint32_t nibbles, const uint32_t (&twos)[2], uint32_t ones,
                                             int k, int &low, int &high)
{
    if constexpr (CODES::BOOK) {
        expand_nibbles<iq4_table>(nibbles, low, high);
    } else {
        constexpr int AT = CODES::SHIFT;
        uint32_t values[2] = {0, 0};
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (CODES::BITS & 4)
                values[half] |= move_bits(nibbles, 4 * half, AT, 15);
            if (CODES::BITS & 2)
                values[half] |= move_bits(twos[half], 2 * k, AT + (CODES::BITS & 4), 3);
            if (CODES::BITS & 1)
                values[half] |= move_bits(ones, 4 * half + k, AT + (CODES::BITS & 6), 1);
            if (CODES::OFFSET)
                values[half] ^= 0x80808080u;
        }
        low = (int)values[0];
        high = (int)values[1];
    }
}

__device__ __forceinline__ float widen_half(uint16_t bits)
{
    return __half2float(*(const __half *)&bits);
}

#endif
