/* Writes a gpt-oss model with random weights and the layer shape of gpt-oss-20b, to time programs with.
 *
 *     make_model OUT.gguf [N_LAYERS [N_VOCAB]]
 *
 * Experts are MXFP4, the other matrices Q8_0, the rest F32, as in the published GGUF; three layers and a
 * vocabulary of 16384 make 1.46 GB. Weights are random bits under a scale that keeps activations near 1, so
 * that nothing overflows and every expert is chosen about equally often. The file has no tokenizer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf_writer.h"

enum {
    N_EMBD = 2880,
    N_HEADS = 64,
    N_HEADS_KV = 8,
    HEAD_DIM = 64,
    N_EXPERTS = 32,
    N_EXPERTS_USED = 4,
    N_FF = 2880,
    WINDOW = 128,
    LAYERS_MAX = 36,
    TENSORS_MAX = 3 + LAYERS_MAX * 19,
    CHUNK_BLOCKS = 1 << 15,
    MXFP4_EXPONENT = 127 - 7 /* E2M1 values have a mean square of 8.6; times 2^-14 it is about 1.5 / 2880 */
};

typedef struct tensor_plan {
    char name[64];
    ssw_dtype dtype;
    int n_dims;
    uint64_t dims[3];
    float scale, offset; /* F32: uniform in offset +- scale */
} tensor_plan;

static tensor_plan plans[TENSORS_MAX];
static int n_plans;
static uint64_t state = 0x5eed;

static uint64_t next_bits(void) /* splitmix64 */
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static float next_uniform(void) /* [-1, 1) */
{
    return (float)(next_bits() >> 40) / (float)(1 << 23) - 1.0f;
}

static void plan(int layer, const char *name, ssw_dtype dtype, uint64_t d0, uint64_t d1, uint64_t d2)
{
    tensor_plan *t = &plans[n_plans++];
    if (layer < 0)
        snprintf(t->name, sizeof t->name, "%s", name);
    else
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, name);
    t->dtype = dtype;
    t->n_dims = d2 ? 3 : d1 ? 2 : 1;
    t->dims[0] = d0;
    t->dims[1] = d1 ? d1 : 1;
    t->dims[2] = d2 ? d2 : 1;
    bool is_norm = strstr(name, "norm") != NULL;
    t->offset = is_norm ? 1.0f : 0.0f;
    t->scale = strcmp(name, "ffn_gate_inp.weight") == 0 ? 3.0f / sqrtf(N_EMBD) : 0.1f;
}

static void plan_all(int n_layers, uint64_t n_vocab)
{
    const uint64_t q = N_HEADS * HEAD_DIM, kv = N_HEADS_KV * HEAD_DIM;
    const ssw_dtype f32 = SSW_DTYPE_F32, q8 = SSW_DTYPE_Q8_0, mx = SSW_DTYPE_MXFP4;
    plan(-1, "token_embd.weight", q8, N_EMBD, n_vocab, 0);
    plan(-1, "output_norm.weight", f32, N_EMBD, 0, 0);
    plan(-1, "output.weight", q8, N_EMBD, n_vocab, 0);
    for (int i = 0; i < n_layers; i++) {
        plan(i, "attn_norm.weight", f32, N_EMBD, 0, 0);
        plan(i, "attn_q.weight", q8, N_EMBD, q, 0);
        plan(i, "attn_q.bias", f32, q, 0, 0);
        plan(i, "attn_k.weight", q8, N_EMBD, kv, 0);
        plan(i, "attn_k.bias", f32, kv, 0, 0);
        plan(i, "attn_v.weight", q8, N_EMBD, kv, 0);
        plan(i, "attn_v.bias", f32, kv, 0, 0);
        plan(i, "attn_output.weight", q8, q, N_EMBD, 0);
        plan(i, "attn_output.bias", f32, N_EMBD, 0, 0);
        plan(i, "attn_sinks.weight", f32, N_HEADS, 0, 0);
        plan(i, "post_attention_norm.weight", f32, N_EMBD, 0, 0);
        plan(i, "ffn_gate_inp.weight", f32, N_EMBD, N_EXPERTS, 0);
        plan(i, "ffn_gate_inp.bias", f32, N_EXPERTS, 0, 0);
        plan(i, "ffn_gate_exps.weight", mx, N_EMBD, N_FF, N_EXPERTS);
        plan(i, "ffn_gate_exps.bias", f32, N_FF, N_EXPERTS, 0);
        plan(i, "ffn_up_exps.weight", mx, N_EMBD, N_FF, N_EXPERTS);
        plan(i, "ffn_up_exps.bias", f32, N_FF, N_EXPERTS, 0);
        plan(i, "ffn_down_exps.weight", mx, N_FF, N_EMBD, N_EXPERTS);
        plan(i, "ffn_down_exps.bias", f32, N_EMBD, N_EXPERTS, 0);
    }
}

static void write_keys(ssw_gguf_writer *w, int n_layers, uint64_t n_vocab)
{
    ssw_gguf_writer_set_text(w, "general.architecture", "gpt-oss");
    ssw_gguf_writer_set_text(w, "general.name", "random weights, gpt-oss-20b's layers");
    ssw_gguf_writer_set_u32(w, "gpt-oss.block_count", (uint32_t)n_layers);
    ssw_gguf_writer_set_u32(w, "gpt-oss.context_length", 131072);
    ssw_gguf_writer_set_u32(w, "gpt-oss.embedding_length", N_EMBD);
    ssw_gguf_writer_set_u32(w, "gpt-oss.feed_forward_length", N_FF);
    ssw_gguf_writer_set_u32(w, "gpt-oss.vocab_size", (uint32_t)n_vocab);
    ssw_gguf_writer_set_u32(w, "gpt-oss.attention.head_count", N_HEADS);
    ssw_gguf_writer_set_u32(w, "gpt-oss.attention.head_count_kv", N_HEADS_KV);
    ssw_gguf_writer_set_u32(w, "gpt-oss.attention.key_length", HEAD_DIM);
    ssw_gguf_writer_set_u32(w, "gpt-oss.attention.value_length", HEAD_DIM);
    ssw_gguf_writer_set_u32(w, "gpt-oss.attention.sliding_window", WINDOW);
    ssw_gguf_writer_set_f32(w, "gpt-oss.attention.layer_norm_rms_epsilon", 1e-5f);
    ssw_gguf_writer_set_f32(w, "gpt-oss.rope.freq_base", 150000.0f);
    ssw_gguf_writer_set_text(w, "gpt-oss.rope.scaling.type", "yarn");
    ssw_gguf_writer_set_f32(w, "gpt-oss.rope.scaling.factor", 32.0f);
    ssw_gguf_writer_set_u32(w, "gpt-oss.rope.scaling.original_context_length", 4096);
    ssw_gguf_writer_set_u32(w, "gpt-oss.expert_count", N_EXPERTS);
    ssw_gguf_writer_set_u32(w, "gpt-oss.expert_used_count", N_EXPERTS_USED);
    ssw_gguf_writer_set_u32(w, "gpt-oss.expert_feed_forward_length", N_FF);
    ssw_gguf_writer_set_text(w, "tokenizer.ggml.model", "none");
    for (int i = 0; i < n_plans; i++)
        ssw_gguf_writer_add_tensor(w, plans[i].name, plans[i].dtype, plans[i].n_dims, plans[i].dims);
}

static void fill_blocks(const tensor_plan *t, uint8_t *block, uint64_t n)
{
    static const uint8_t q8_scale[2] = {0x19,
                                        0x0c}; /* F16 0.00025: int8 bits have a root mean square of 74 */
    for (uint64_t i = 0; i < n; i++) {
        if (t->dtype == SSW_DTYPE_F32) {
            float value = t->offset + t->scale * next_uniform();
            memcpy(block, &value, sizeof value);
            block += sizeof value;
            continue;
        }
        int head = t->dtype == SSW_DTYPE_MXFP4 ? 1 : 2, body = t->dtype == SSW_DTYPE_MXFP4 ? 16 : 32;
        if (head == 1)
            *block++ = MXFP4_EXPONENT;
        else
            memcpy(block, q8_scale, 2), block += 2;
        for (int k = 0; k < body; k += 8, block += 8) {
            uint64_t bits = next_bits();
            memcpy(block, &bits, sizeof bits);
        }
    }
}

static ssw_status write_tensor(ssw_gguf_writer *w, const tensor_plan *t, uint8_t *chunk, ssw_error *err)
{
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)t->dtype);
    uint64_t left = t->dims[0] * t->dims[1] * t->dims[2] / traits->block_elements;
    ssw_status status = SSW_OK;
    while (left > 0 && status == SSW_OK) {
        uint64_t n = left < CHUNK_BLOCKS ? left : CHUNK_BLOCKS;
        fill_blocks(t, chunk, n);
        status = ssw_gguf_writer_write_data(w, chunk, n * traits->block_bytes, err);
        left -= n;
    }
    return status;
}

int main(int argc, char **argv)
{
    ssw_gguf_writer *w = NULL;
    ssw_error err = {0};
    int n_layers = argc > 2 ? atoi(argv[2]) : 3;
    int n_vocab = argc > 3 ? atoi(argv[3]) : 16384;
    if (argc < 2 || n_layers < 1 || n_layers > LAYERS_MAX || n_vocab < 1) {
        fprintf(stderr, "usage: make_model OUT.gguf [N_LAYERS [N_VOCAB]]\n");
        return 2;
    }
    uint8_t *chunk = malloc((size_t)CHUNK_BLOCKS * 34);
    plan_all(n_layers, (uint64_t)n_vocab);
    ssw_status status = ssw_gguf_writer_open(argv[1], 0, &w, &err);
    if (status == SSW_OK && chunk) {
        write_keys(w, n_layers, (uint64_t)n_vocab);
        status = ssw_gguf_writer_begin_data(w, &err);
        for (int i = 0; i < n_plans && status == SSW_OK; i++)
            status = write_tensor(w, &plans[i], chunk, &err);
        if (status == SSW_OK)
            status = ssw_gguf_writer_finish(w, &err);
    }
    if (status != SSW_OK)
        fprintf(stderr, "make_model: %s\n", err.message);
    ssw_gguf_writer_close(w);
    free(chunk);
    return status == SSW_OK ? 0 : 1;
}
