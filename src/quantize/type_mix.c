/* See type_mix.h. */
#include "quantize/type_mix.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gguf/tensor_class.h"

enum { KEY_BYTES_MAX = 320, EIGHT_EXPERTS = 8, MANY_SHARE = 4 };

static const ssw_type_mix mixes[] = {
    {"F16", 1, SSW_DTYPE_F16},        {"BF16", 32, SSW_DTYPE_BF16},     {"Q8_0", 7, SSW_DTYPE_Q8_0},
    {"Q4_0", 2, SSW_DTYPE_Q4_0},      {"Q4_1", 3, SSW_DTYPE_Q4_1},      {"Q5_0", 8, SSW_DTYPE_Q5_0},
    {"Q5_1", 9, SSW_DTYPE_Q5_1},      {"Q2_K", 10, SSW_DTYPE_Q2_K},     {"Q3_K_M", 12, SSW_DTYPE_Q3_K},
    {"Q4_K_M", 15, SSW_DTYPE_Q4_K},   {"Q5_K_M", 17, SSW_DTYPE_Q5_K},   {"Q6_K", 18, SSW_DTYPE_Q6_K},
    {"IQ4_NL", 25, SSW_DTYPE_IQ4_NL}, {"IQ4_XS", 30, SSW_DTYPE_IQ4_XS}, {"MXFP4", 38, SSW_DTYPE_MXFP4},
};

size_t ssw_type_mix_count(void)
{
    return sizeof mixes / sizeof mixes[0];
}

const ssw_type_mix *ssw_type_mix_at(size_t index)
{
    return &mixes[index];
}

const ssw_type_mix *ssw_type_mix_find(const char *name)
{
    static const char *const aliases[][2] = {
        {"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}, {"MXFP4_MOE", "MXFP4"}};
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcasecmp(name, aliases[i][0]) == 0)
            name = aliases[i][1];
    }
    for (size_t i = 0; i < ssw_type_mix_count(); i++) {
        if (strcasecmp(name, mixes[i].name) == 0)
            return &mixes[i];
    }
    return NULL;
}

static bool has(const ssw_gguf_tensor *tensor, const char *part)
{
    return strstr(tensor->name, part) != NULL;
}

bool ssw_type_mix_is_attn_v(const char *name)
{
    return strstr(name, "attn_v.weight") || strstr(name, "attn_qkv.weight") ||
           strstr(name, "attn_kv_b.weight");
}

static int64_t read_count(const ssw_gguf *gguf, const char *suffix, int64_t otherwise)
{
    char name[KEY_BYTES_MAX];
    ssw_gguf_text architecture;
    uint64_t value;
    if (!ssw_gguf_read_text(ssw_gguf_find_key(gguf, "general.architecture"), &architecture))
        return otherwise;
    snprintf(name, sizeof name, "%.*s.%s", (int)(architecture.n_bytes < 64 ? architecture.n_bytes : 64),
             architecture.bytes, suffix);
    if (!ssw_gguf_read_u64(ssw_gguf_find_key(gguf, name), &value) || value > INT32_MAX)
        return otherwise;
    return (int64_t)value;
}

void ssw_mix_facts_read(const ssw_gguf *gguf, ssw_mix_facts *out)
{
    int64_t heads = read_count(gguf, "attention.head_count", 1);
    int64_t kv_heads = read_count(gguf, "attention.head_count_kv", heads);
    *out = (ssw_mix_facts){.n_layers = read_count(gguf, "block_count", 0),
                           .n_experts = read_count(gguf, "expert_count", 0),
                           .heads_per_kv = kv_heads > 0 ? heads / kv_heads : 1,
                           .tied = !ssw_gguf_find_tensor(gguf, "output.weight")};
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++)
        out->n_attn_v += ssw_type_mix_is_attn_v(ssw_gguf_tensor_at(gguf, i)->name);
}

static bool stays(const ssw_gguf_tensor *tensor)
{
    const char *dot = strrchr(tensor->name, '.');
    ssw_tensor_class kind = ssw_tensor_role_of(tensor->name).kind;
    return tensor->n_dims < 2 || !dot || strcmp(dot, ".weight") != 0 || kind == SSW_TENSOR_NORM ||
           kind == SSW_TENSOR_ROUTER || has(tensor, "_norm.weight") || has(tensor, "ffn_gate_inp");
}

/* The first and last eighths of the layers and every third between. */
static bool deserves_more(int64_t layer, int64_t n_layers)
{
    return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

static ssw_dtype choose_attn_v(ssw_dtype base, const ssw_mix_facts *facts, int64_t layer)
{
    bool shared = facts->heads_per_kv >= MANY_SHARE;
    if (facts->n_experts == EIGHT_EXPERTS)
        return SSW_DTYPE_Q8_0;
    switch (base) {
    case SSW_DTYPE_Q2_K:
        return shared ? SSW_DTYPE_Q4_K : SSW_DTYPE_Q3_K;
    case SSW_DTYPE_Q3_K:
        return layer < 2 ? SSW_DTYPE_Q5_K : SSW_DTYPE_Q4_K;
    case SSW_DTYPE_Q4_K:
    case SSW_DTYPE_Q5_K:
        return deserves_more(layer, facts->n_attn_v) ? SSW_DTYPE_Q6_K : base;
    case SSW_DTYPE_IQ4_NL:
    case SSW_DTYPE_IQ4_XS:
        return shared ? SSW_DTYPE_Q5_K : base;
    default:
        return base;
    }
}

static ssw_dtype choose_ffn_down(ssw_dtype base, const ssw_mix_facts *facts, int64_t layer)
{
    switch (base) {
    case SSW_DTYPE_Q2_K:
        return SSW_DTYPE_Q3_K;
    case SSW_DTYPE_Q3_K:
        return layer < facts->n_layers / 16 ? SSW_DTYPE_Q5_K : SSW_DTYPE_Q4_K;
    case SSW_DTYPE_Q4_K:
    case SSW_DTYPE_Q5_K:
        return deserves_more(layer, facts->n_layers) ? SSW_DTYPE_Q6_K : base;
    case SSW_DTYPE_IQ4_NL:
    case SSW_DTYPE_IQ4_XS:
        return layer < facts->n_layers / 8 ? SSW_DTYPE_Q5_K : base;
    default:
        return base;
    }
}

static ssw_dtype choose_attn_output(ssw_dtype base, const ssw_mix_facts *facts)
{
    if (facts->n_experts == EIGHT_EXPERTS)
        return base == SSW_DTYPE_Q2_K || base == SSW_DTYPE_Q3_K || base == SSW_DTYPE_Q4_K ||
                       base == SSW_DTYPE_IQ4_NL || base == SSW_DTYPE_IQ4_XS
                   ? SSW_DTYPE_Q5_K
                   : base;
    return base == SSW_DTYPE_Q2_K ? SSW_DTYPE_Q3_K : base == SSW_DTYPE_Q3_K ? SSW_DTYPE_Q4_K : base;
}

static ssw_dtype want_type(const ssw_type_mix *mix, const ssw_mix_facts *facts, const ssw_gguf_tensor *tensor)
{
    ssw_tensor_role role = ssw_tensor_role_of(tensor->name);
    ssw_dtype base = mix->dtype;
    bool is_head = strcmp(tensor->name, "output.weight") == 0 ||
                   (facts->tied && strcmp(tensor->name, "token_embd.weight") == 0);
    if (base == SSW_DTYPE_MXFP4)
        return role.kind == SSW_TENSOR_EXPERT ? SSW_DTYPE_MXFP4 : SSW_DTYPE_Q8_0;
    if (base == SSW_DTYPE_F32 || base == SSW_DTYPE_F16 || base == SSW_DTYPE_BF16)
        return base;
    if (is_head)
        return base == SSW_DTYPE_Q8_0 || ssw_dtype_row_bytes(base, tensor->dims[0]) == 0 ? SSW_DTYPE_Q8_0
                                                                                         : SSW_DTYPE_Q6_K;
    if (ssw_type_mix_is_attn_v(tensor->name))
        return choose_attn_v(base, facts, role.layer);
    if (has(tensor, "attn_k.weight"))
        return facts->n_experts == EIGHT_EXPERTS ? SSW_DTYPE_Q8_0 : base;
    if (has(tensor, "ffn_down"))
        return choose_ffn_down(base, facts, role.layer);
    return has(tensor, "attn_output.weight") ? choose_attn_output(base, facts) : base;
}

static ssw_dtype fall_back(ssw_dtype dtype)
{
    switch (dtype) {
    case SSW_DTYPE_Q2_K:
    case SSW_DTYPE_Q3_K:
        return SSW_DTYPE_Q4_0;
    case SSW_DTYPE_Q4_K:
        return SSW_DTYPE_Q5_0;
    case SSW_DTYPE_Q5_K:
        return SSW_DTYPE_Q5_1;
    case SSW_DTYPE_Q6_K:
        return SSW_DTYPE_Q8_0;
    case SSW_DTYPE_IQ4_XS:
        return SSW_DTYPE_IQ4_NL;
    default:
        return SSW_DTYPE_F16;
    }
}

ssw_dtype ssw_type_mix_choose(const ssw_type_mix *mix, const ssw_mix_facts *facts,
                              const ssw_gguf_tensor *tensor, bool *fell_back)
{
    *fell_back = false;
    if (stays(tensor))
        return tensor->dtype;
    ssw_dtype dtype = want_type(mix, facts, tensor);
    while (ssw_dtype_row_bytes(dtype, tensor->dims[0]) == 0) { /* ends at F16, which takes any row */
        dtype = fall_back(dtype);
        *fell_back = true;
    }
    return dtype;
}
