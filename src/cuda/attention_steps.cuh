/* What a lane of the decode kernel loads of 16 positions of a KV cache, F16 or Q8_0, and hands out as
 * operands of tensor core products. Included by attention_decode.cu only.
 *
 * g = lane / 4, t = lane % 4. L = LANE_DIMS neighbouring dimensions of a key, from L (4c + t) on, are columns
 * of L / 4 products, four each; L dimensions of a value, from L (8e + g) on, are a column each of L products.
 */
#ifndef SSW_CUDA_ATTENTION_STEPS_CUH
#define SSW_CUDA_ATTENTION_STEPS_CUH

#include "cuda/attention_parts.cuh"
#include "cuda/attention_q8.cuh"

/* The second operand of a product: rows 2t, 2t + 1 and 8 + 2t, 9 + 2t of column g. */
struct operand {
    uint32_t low, high;
};

/* Positions start .. start + 15 of one head, those from `end` on being zeros. */
struct step_rows {
    int64_t head;  /* the first of this head's rows */
    int first_row; /* of the ring: position `start` */
    int n_there;   /* positions before `end` */
    __device__ __forceinline__ step_rows(const ssw_cuda_attention_args &args, int64_t head, int start,
                                         int end)
        : head(head), first_row(start % args.kv.n_rows), n_there(end - start)
    {
    }
    __device__ __forceinline__ bool is_there(const ssw_cuda_attention_args &args, int i, int d) const
    {
        return i < n_there && d < args.head_dim;
    }
    __device__ __forceinline__ int64_t at(const ssw_cuda_attention_args &args, int i, int d) const
    {
        return (int64_t)wrap_row(first_row, i, args.kv.n_rows) * args.head_dim + d;
    }
};

static __device__ __forceinline__ uint4 load_eight(const ssw_cuda_attention_args &args, const uint16_t *from,
                                                   const step_rows &rows, int i, int d)
{
    return rows.is_there(args, i, d) ? *(const uint4 *)(from + rows.at(args, i, d)) : make_uint4(0, 0, 0, 0);
}

template <int DIM> struct f16_keys {
    static constexpr int LANE_DIMS = 8;
    uint4 words[2][DIM / 32]; /* positions g and 8 + g */

    __device__ __forceinline__ void load(const ssw_cuda_attention_args &args, const step_rows &rows)
    {
        int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
        const uint16_t *from = (const uint16_t *)args.kv.k + rows.head * args.head_dim;
#pragma unroll
        for (int i = 0; i < 2 * (DIM / 32); i++)
            words[i % 2][i / 2] = load_eight(args, from, rows, i % 2 * 8 + g, i / 2 * 32 + 8 * t);
    }

    /* Product i of the columns c, positions 8 tile .. + 7. */
    __device__ __forceinline__ operand get(int tile, int c, int i) const
    {
        const uint4 &eight = words[tile][c];
        return i == 0 ? operand{eight.x, eight.y} : operand{eight.z, eight.w};
    }
};

template <int DIM> struct f16_values {
    static constexpr int LANE_DIMS = 8;
    uint4 words[DIM / 64][4]; /* positions 2t, 2t + 1, 8 + 2t, 9 + 2t */

    __device__ __forceinline__ void load(const ssw_cuda_attention_args &args, const step_rows &rows)
    {
        int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
        const uint16_t *from = (const uint16_t *)args.kv.v + rows.head * args.head_dim;
#pragma unroll
        for (int i = 0; i < DIM / 64 * 4; i++)
            words[i / 4][i % 4] =
                load_eight(args, from, rows, i % 4 / 2 * 8 + 2 * t + i % 2, i / 4 * 64 + 8 * g);
    }

    /* Product j of the columns e. */
    __device__ __forceinline__ operand get(int e, int j) const
    {
        const uint32_t pick = j % 2 ? 0x7632 : 0x5410; /* the same half of two words */
        const uint32_t *w[4] = {&words[e][0].x, &words[e][1].x, &words[e][2].x, &words[e][3].x};
        return {__byte_perm(w[0][j / 2], w[1][j / 2], pick), __byte_perm(w[2][j / 2], w[3][j / 2], pick)};
    }
};

template <int DIM> struct q8_keys {
    static constexpr int LANE_DIMS = 16;
    uint4 words[2][DIM / 64];
    uint16_t scales[2][DIM / 64];

    __device__ __forceinline__ void load(const ssw_cuda_attention_args &args, const step_rows &rows)
    {
        int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
        const uint8_t *from = (const uint8_t *)args.kv.k + rows.head * args.head_dim;
        const uint16_t *from_scales = args.kv.k_scales + rows.head * (args.head_dim / SSW_CUDA_BLOCK);
#pragma unroll
        for (int i = 0; i < 2 * (DIM / 64); i++) {
            int row = i % 2 * 8 + g, d = i / 2 * 64 + LANE_DIMS * t;
            bool is_there = rows.is_there(args, row, d);
            int64_t at = rows.at(args, row, d);
            words[i % 2][i / 2] = is_there ? *(const uint4 *)(from + at) : make_uint4(0, 0, 0, 0);
            scales[i % 2][i / 2] = is_there ? from_scales[at / SSW_CUDA_BLOCK] : 0;
        }
    }

    __device__ __forceinline__ operand get(int tile, int c, int i) const
    {
        __half2 scale = scale_pair(scales[tile][c], scales[tile][c]);
        uint32_t word = (&words[tile][c].x)[i];
        return {dequantize_two(word, Q8_FIRST_TWO, scale), dequantize_two(word, Q8_LAST_TWO, scale)};
    }
};

template <int DIM> struct q8_values {
    static constexpr int LANE_DIMS = DIM >= 128 ? 16 : 8, WORDS = LANE_DIMS / 4;
    uint32_t words[DIM / (8 * LANE_DIMS)][4][WORDS];
    uint16_t scales[DIM / (8 * LANE_DIMS)][4];

    __device__ __forceinline__ void load(const ssw_cuda_attention_args &args, const step_rows &rows)
    {
        int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
        const uint8_t *from = (const uint8_t *)args.kv.v + rows.head * args.head_dim;
        const uint16_t *from_scales = args.kv.v_scales + rows.head * (args.head_dim / SSW_CUDA_BLOCK);
#pragma unroll
        for (int i = 0; i < DIM / (8 * LANE_DIMS) * 4; i++) {
            int row = i % 4 / 2 * 8 + 2 * t + i % 2, d = (i / 4 * 8 + g) * LANE_DIMS;
            bool is_there = rows.is_there(args, row, d);
            int64_t at = rows.at(args, row, d);
            load_words(from + at, is_there, words[i / 4][i % 4]);
            scales[i / 4][i % 4] = is_there ? from_scales[at / SSW_CUDA_BLOCK] : 0;
        }
    }

    static __device__ __forceinline__ void load_words(const uint8_t *from, bool is_there,
                                                      uint32_t (&out)[WORDS])
    {
        uint4 four = make_uint4(0, 0, 0, 0);
        if (WORDS == 4 && is_there)
            four = *(const uint4 *)from;
        if (WORDS == 2 && is_there)
            *(uint2 *)&four = *(const uint2 *)from;
#pragma unroll
        for (int i = 0; i < WORDS; i++)
            out[i] = (&four.x)[i];
    }

    /* Byte j of four positions. */
    __device__ __forceinline__ operand get(int e, int j) const
    {
        const uint32_t(&w)[4][WORDS] = words[e];
        const uint16_t(&s)[4] = scales[e];
        const uint32_t pick = j % 4 < 2 ? 0x5140 : 0x7362, which = j % 2 ? Q8_LAST_TWO : Q8_FIRST_TWO;
        return {dequantize_two(__byte_perm(w[0][j / 4], w[1][j / 4], pick), which, scale_pair(s[0], s[1])),
                dequantize_two(__byte_perm(w[2][j / 4], w[3][j / 4], pick), which, scale_pair(s[2], s[3]))};
    }
};

/* AT_ONCE: steps of a warp that are on their way; about 64 words a lane. */
template <int DIM_, class KEYS, class VALUES> struct decode_step {
    static constexpr int DIM = DIM_, KEY_DIMS = KEYS::LANE_DIMS, VALUE_DIMS = VALUES::LANE_DIMS;
    static constexpr int AT_ONCE = sizeof(KEYS) + sizeof(VALUES) <= 160 ? 2 : 1;
    static constexpr bool VALUES_LATE = DIM > 128; /* after the keys, for want of registers */
    KEYS keys;
    VALUES values;

    __device__ __forceinline__ void load(const ssw_cuda_attention_args &args, const step_rows &rows)
    {
        keys.load(args, rows);
        if (!VALUES_LATE)
            values.load(args, rows);
    }
};

#endif
