/* The published shapes with every width made small, so that a whole file takes a blink. */
#ifndef SSW_TESTS_TINY_SHAPE_H
#define SSW_TESTS_TINY_SHAPE_H

#include "synth/shape.h"

static inline ssw_shape tiny_shape(const ssw_shape *published)
{
    ssw_shape shape = *published;
    shape.n_layers = 3;
    shape.n_embd = 256;
    shape.n_heads = 2;
    shape.n_heads_kv = 1;
    shape.head_dim = 128;
    shape.n_experts = 8;
    shape.n_experts_used = 2;
    shape.n_ff_expert = 64;
    if (shape.n_ff_dense > 0)
        shape.n_ff_dense = 192;
    if (shape.kv_lora_rank > 0) {
        shape.kv_lora_rank = 64;
        shape.nope_dim = 32;
        shape.rope_dim = 32;
    }
    return shape;
}

#endif
