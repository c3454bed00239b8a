/* Writes tiny gpt-oss models with random weights: for tests of loading, sessions and damage, where only
 * consistency matters. What the numbers should be is the business of tests/contract, against fixtures from
 * the publisher's code. */
#ifndef SSW_TESTS_TINY_GPT_OSS_H
#define SSW_TESTS_TINY_GPT_OSS_H

#include "gguf/gguf_writer.h"

typedef struct tiny_shape {
    uint32_t n_layers, n_embd, n_vocab, ctx, n_heads, n_heads_kv, head_dim, n_experts, n_used, n_ff, window;
} tiny_shape;

typedef struct tiny_damage { /* at most one key and one tensor are changed */
    const char *drop_key;    /* without "gpt-oss." */
    const char *set_key;     /* written as u32, whatever it was */
    uint32_t set_value;
    const char *drop_tensor;
    const char *grow_tensor; /* its row length doubles */
    const char *retype_tensor;
    const char *extra_tensor;
    const char *architecture; /* NULL: gpt-oss */
} tiny_damage;

tiny_shape tiny_shape_default(void);

/* damage may be NULL. Matrices are F32. Fails the running test on any error. */
void tiny_gpt_oss_write(const char *path, const tiny_shape *shape, uint64_t seed, const tiny_damage *damage);

#endif
