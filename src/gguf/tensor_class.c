/* Tensor names to roles: "blk.<layer>.<what>.<weight|bias>", where <what> is looked up by its form. */
#include "gguf/tensor_class.h"

#include <string.h>

enum { LAYER_DIGITS_MAX = 6, WHAT_BYTES_MAX = 64 };

typedef struct rule {
    const char *what;
    ssw_tensor_class kind;
} rule;

static const rule outside_layers[] = {
    {"token_embd", SSW_TENSOR_EMBEDDING},
    {"output", SSW_TENSOR_OUTPUT},
};

static const rule in_layers[] = {
    {"ffn_gate_inp", SSW_TENSOR_ROUTER},
    {"exp_probs_b", SSW_TENSOR_ROUTER},
    {"ffn_up_exps", SSW_TENSOR_EXPERT},
    {"ffn_gate_exps", SSW_TENSOR_EXPERT},
    {"ffn_down_exps", SSW_TENSOR_EXPERT},
    {"ffn_gate_up_exps", SSW_TENSOR_EXPERT},
    {"ffn_up", SSW_TENSOR_DENSE_FFN},
    {"ffn_gate", SSW_TENSOR_DENSE_FFN},
    {"ffn_down", SSW_TENSOR_DENSE_FFN},
    {"ffn_gate_inp_shexp", SSW_TENSOR_SHARED_EXPERT},
    {"ffn_up_shexp", SSW_TENSOR_SHARED_EXPERT},
    {"ffn_gate_shexp", SSW_TENSOR_SHARED_EXPERT},
    {"ffn_down_shexp", SSW_TENSOR_SHARED_EXPERT},
};

/* Past "blk.<layer>."; name itself when it has no such beginning. */
static const char *skip_layer(const char *name, int *layer)
{
    *layer = -1;
    if (strncmp(name, "blk.", 4) != 0)
        return name;
    int value = 0, digits = 0;
    const char *at = name + 4;
    for (; *at >= '0' && *at <= '9' && digits < LAYER_DIGITS_MAX; at++, digits++)
        value = value * 10 + (*at - '0');
    if (digits == 0 || *at != '.')
        return name;
    *layer = value;
    return at + 1;
}

static ssw_tensor_class find_rule(const rule *rules, size_t n, const char *what, ssw_tensor_class otherwise)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rules[i].what, what) == 0)
            return rules[i].kind;
    }
    return otherwise;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n_text = strlen(text), n_end = strlen(end);
    return n_text >= n_end && strcmp(text + n_text - n_end, end) == 0;
}

ssw_tensor_role ssw_tensor_role_of(const char *name)
{
    ssw_tensor_role role;
    char what[WHAT_BYTES_MAX];
    const char *rest = skip_layer(name, &role.layer);
    const char *dot = strrchr(rest, '.');
    size_t n_bytes = dot ? (size_t)(dot - rest) : strlen(rest);
    role.kind = SSW_TENSOR_OTHER;
    if (n_bytes >= sizeof what)
        return role;
    memcpy(what, rest, n_bytes);
    what[n_bytes] = '\0';
    if (role.layer < 0)
        role.kind =
            find_rule(outside_layers, sizeof outside_layers / sizeof *outside_layers, what, SSW_TENSOR_OTHER);
    else
        role.kind = find_rule(in_layers, sizeof in_layers / sizeof *in_layers, what, SSW_TENSOR_OTHER);
    if (role.kind == SSW_TENSOR_EXPERT && dot && strcmp(dot, ".bias") == 0)
        role.kind = SSW_TENSOR_EXPERT_BIAS;
    if (role.kind == SSW_TENSOR_OTHER && ends_with(what, "_norm"))
        role.kind = SSW_TENSOR_NORM;
    else if (role.kind == SSW_TENSOR_OTHER && role.layer >= 0 && strncmp(what, "attn_", 5) == 0)
        role.kind = SSW_TENSOR_ATTENTION;
    return role;
}

const char *ssw_tensor_class_name(ssw_tensor_class kind)
{
    static const char *const names[] = {
        [SSW_TENSOR_EMBEDDING] = "embedding",
        [SSW_TENSOR_OUTPUT] = "output head",
        [SSW_TENSOR_NORM] = "norms",
        [SSW_TENSOR_ATTENTION] = "attention",
        [SSW_TENSOR_ROUTER] = "routers",
        [SSW_TENSOR_EXPERT] = "experts",
        [SSW_TENSOR_EXPERT_BIAS] = "expert biases",
        [SSW_TENSOR_SHARED_EXPERT] = "shared experts",
        [SSW_TENSOR_DENSE_FFN] = "dense ffn",
        [SSW_TENSOR_OTHER] = "other",
    };
    return (unsigned)kind < SSW_TENSOR_CLASS_COUNT ? names[kind] : "unknown";
}
