/* The table of shapes. docs/SHAPES.md shows it with the sources of the totals. */
#include "synth/shape.h"

#include <math.h>
#include <string.h>

static const ssw_shape shapes[] = {
    {.name = "gpt-oss-20b",
     .title = "gpt-oss 20B",
     .architecture = "gpt-oss",
     .source = "openai/gpt-oss-20b",
     .family = SSW_FAMILY_GPT_OSS,
     .quant = "MXFP4",
     .n_layers = 24,
     .n_embd = 2880,
     .n_vocab = 201088,
     .n_ctx = 131072,
     .n_heads = 64,
     .n_heads_kv = 8,
     .head_dim = 64,
     .n_experts = 32,
     .n_experts_used = 4,
     .n_ff_expert = 2880,
     .sliding_window = 128,
     .rope_base = 150000.0f,
     .rms_eps = 1e-5f,
     .published_total = 20.91,
     .published_active = 3.61},
    {.name = "gpt-oss-120b",
     .title = "gpt-oss 120B",
     .architecture = "gpt-oss",
     .source = "openai/gpt-oss-120b",
     .family = SSW_FAMILY_GPT_OSS,
     .quant = "MXFP4",
     .n_layers = 36,
     .n_embd = 2880,
     .n_vocab = 201088,
     .n_ctx = 131072,
     .n_heads = 64,
     .n_heads_kv = 8,
     .head_dim = 64,
     .n_experts = 128,
     .n_experts_used = 4,
     .n_ff_expert = 2880,
     .sliding_window = 128,
     .rope_base = 150000.0f,
     .rms_eps = 1e-5f,
     .published_total = 116.83,
     .published_active = 5.13},
    {.name = "phi-3.5-moe",
     .title = "Phi 3.5 MoE instruct",
     .architecture = "phimoe",
     .source = "microsoft/Phi-3.5-MoE-instruct",
     .family = SSW_FAMILY_PHIMOE,
     .quant = "Q4_0",
     .n_layers = 32,
     .n_embd = 4096,
     .n_vocab = 32064,
     .n_ctx = 131072,
     .n_heads = 32,
     .n_heads_kv = 8,
     .head_dim = 128,
     .n_experts = 16,
     .n_experts_used = 2,
     .n_ff_expert = 6400,
     .sliding_window = 131072,
     .rope_base = 10000.0f,
     .rms_eps = 1e-5f,
     .published_total = 41.9,
     .published_active = 6.6,
     .active_counts_embedding = true},
    {.name = "deepseek-moe-16b",
     .title = "DeepSeek MoE 16B",
     .architecture = "deepseek",
     .source = "deepseek-ai/deepseek-moe-16b-base",
     .family = SSW_FAMILY_DEEPSEEK,
     .quant = "Q4_0",
     .n_layers = 28,
     .n_embd = 2048,
     .n_vocab = 102400,
     .n_ctx = 4096,
     .n_heads = 16,
     .n_heads_kv = 16,
     .head_dim = 128,
     .n_experts = 64,
     .n_experts_used = 6,
     .n_ff_expert = 1408,
     .n_shared_experts = 2,
     .n_dense_layers = 1,
     .n_ff_dense = 10944,
     .rope_base = 10000.0f,
     .rms_eps = 1e-6f,
     .published_total = 16.4,
     .published_active = 2.8,
     .active_counts_embedding = true},
    {.name = "deepseek-v2-lite",
     .title = "DeepSeek V2 Lite",
     .architecture = "deepseek2",
     .source = "deepseek-ai/DeepSeek-V2-Lite",
     .family = SSW_FAMILY_DEEPSEEK2,
     .quant = "Q4_0",
     .n_layers = 27,
     .n_embd = 2048,
     .n_vocab = 102400,
     .n_ctx = 163840,
     .n_heads = 16,
     .n_heads_kv = 1,
     .head_dim = 128,
     .n_experts = 64,
     .n_experts_used = 6,
     .n_ff_expert = 1408,
     .n_shared_experts = 2,
     .n_dense_layers = 1,
     .n_ff_dense = 10944,
     .kv_lora_rank = 512,
     .nope_dim = 128,
     .rope_dim = 64,
     .rope_base = 10000.0f,
     .rms_eps = 1e-6f,
     .published_total = 15.7,
     .published_active = 2.4},
    {.name = "mixtral-8x7b",
     .title = "Mixtral 8x7B v0.1",
     .architecture = "llama",
     .source = "mistralai/Mixtral-8x7B-v0.1",
     .family = SSW_FAMILY_MIXTRAL,
     .quant = "Q4_0",
     .n_layers = 32,
     .n_embd = 4096,
     .n_vocab = 32000,
     .n_ctx = 32768,
     .n_heads = 32,
     .n_heads_kv = 8,
     .head_dim = 128,
     .n_experts = 8,
     .n_experts_used = 2,
     .n_ff_expert = 14336,
     .rope_base = 1000000.0f,
     .rms_eps = 1e-5f,
     .published_total = 46.7,
     .published_active = 12.9,
     .active_counts_embedding = true},
    {.name = "qwen3-30b-a3b",
     .title = "Qwen3 30B A3B",
     .architecture = "qwen3moe",
     .source = "Qwen/Qwen3-30B-A3B",
     .family = SSW_FAMILY_QWEN3MOE,
     .quant = "Q4_0",
     .n_layers = 48,
     .n_embd = 2048,
     .n_vocab = 151936,
     .n_ctx = 40960,
     .n_heads = 32,
     .n_heads_kv = 4,
     .head_dim = 128,
     .n_experts = 128,
     .n_experts_used = 8,
     .n_ff_expert = 768,
     .n_ff_dense = 6144, /* published, written as feed_forward_length, used by no layer */
     .rope_base = 1000000.0f,
     .rms_eps = 1e-6f,
     .published_total = 30.5,
     .published_active = 3.3,
     .active_counts_embedding = true},
};

enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

size_t ssw_shape_count(void)
{
    return N_SHAPES;
}

const ssw_shape *ssw_shape_at(size_t index)
{
    return index < N_SHAPES ? &shapes[index] : NULL;
}

const ssw_shape *ssw_shape_find(const char *name)
{
    for (size_t i = 0; i < N_SHAPES; i++) {
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    }
    return NULL;
}

/* Not the published lists, but curves with their ends and their growth: 1.02 to about 64.5 for long contexts,
 * 1 to about 2.8 for short ones. They change neither the shape nor the work. */
void ssw_shape_fill_rope_factors(bool long_context, float factors[SSW_SHAPE_ROPE_FACTORS])
{
    double first = long_context ? 1.02 : 1.0, last = long_context ? 64.5 : 2.8;
    for (int i = 0; i < SSW_SHAPE_ROPE_FACTORS; i++) {
        double t = (double)i / (SSW_SHAPE_ROPE_FACTORS - 1);
        factors[i] = (float)(first * pow(last / first, t * t * (3 - 2 * t)));
    }
}
