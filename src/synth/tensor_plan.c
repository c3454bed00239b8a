/* See tensor_plan.h. Names and shapes: llama.cpp's gguf-py/gguf/constants.py and src/models/. */
#include "synth/tensor_plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gguf/tensor_class.h"
#include "synth/random_blocks.h"
#include "synth/router_load.h"

#define NORM_SIGMA      0.05f
#define BIAS_SIGMA      0.05f
#define SINK_SIGMA      1.0f
#define ARENA_BYTES_MAX ((size_t)64 << 20)

/* What a family has beyond the common parts. */
typedef struct traits {
    bool attention_bias, norm_bias, output_bias, expert_bias, router_bias, sinks, qk_norm, rope_factors;
    const char *ffn_norm;
} traits;

static traits traits_of(ssw_family family)
{
    traits t = {.ffn_norm = "ffn_norm"};
    switch (family) {
    case SSW_FAMILY_GPT_OSS:
        t.attention_bias = t.expert_bias = t.router_bias = t.sinks = true;
        t.ffn_norm = "post_attention_norm";
        break;
    case SSW_FAMILY_PHIMOE:
        t.attention_bias = t.norm_bias = t.output_bias = t.rope_factors = true;
        break;
    case SSW_FAMILY_QWEN3MOE:
        t.qk_norm = true;
        break;
    case SSW_FAMILY_DEEPSEEK:
    case SSW_FAMILY_DEEPSEEK2:
    case SSW_FAMILY_MIXTRAL:
        break;
    }
    return t;
}

const ssw_type_mix *ssw_synth_find_mix(const char *name)
{
    static const ssw_type_mix f32 = {"F32", 0, SSW_DTYPE_F32};
    return strcasecmp(name, f32.name) == 0 ? &f32 : ssw_type_mix_find(name);
}

ssw_status ssw_synth_options_resolve(ssw_synth_options *options, ssw_error *err)
{
    const ssw_shape *shape = options->shape;
    int32_t least = shape->n_dense_layers + SSW_SYNTH_LAYERS_MIN;
    if (options->n_layers == 0)
        options->n_layers = shape->n_layers;
    if (options->n_vocab == 0)
        options->n_vocab = shape->n_vocab;
    if (!options->mix)
        options->mix = ssw_synth_find_mix(shape->quant);
    if (options->n_layers < least || options->n_layers > shape->n_layers)
        return ssw_error_set(err, SSW_ERR_USAGE, "%s can be cut to %d to %d layers, not to %d", shape->name,
                             least, shape->n_layers, options->n_layers);
    if (options->n_vocab < SSW_SYNTH_VOCAB_MIN || options->n_vocab > SSW_SYNTH_VOCAB_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "a vocabulary has %d to %d tokens, not %d",
                             SSW_SYNTH_VOCAB_MIN, SSW_SYNTH_VOCAB_MAX, options->n_vocab);
    if (!(options->skew >= 0 && options->skew <= SSW_SYNTH_SKEW_MAX))
        return ssw_error_set(err, SSW_ERR_USAGE, "the skew is a number from 0 to %g", SSW_SYNTH_SKEW_MAX);
    return SSW_OK;
}

/* ---- one tensor ---- */

/* In F32; choose_types gives matrices another type. */
static ssw_synth_tensor *add_tensor(ssw_synth_plan *plan, int n_dims, const uint64_t *dims)
{
    if (plan->n_tensors == plan->capacity) {
        size_t capacity = plan->capacity ? 2 * plan->capacity : 256;
        ssw_synth_tensor *tensors = realloc(plan->tensors, capacity * sizeof *tensors);
        if (!tensors) {
            plan->failed = true;
            return &plan->spare;
        }
        plan->tensors = tensors;
        plan->capacity = capacity;
    }
    ssw_synth_tensor *tensor = &plan->tensors[plan->n_tensors++];
    *tensor = (ssw_synth_tensor){.dtype = SSW_DTYPE_F32, .n_dims = n_dims, .dims = {1, 1, 1, 1}};
    tensor->n_elements = 1;
    for (int i = 0; i < n_dims; i++) {
        tensor->dims[i] = dims[i];
        tensor->n_elements *= dims[i];
    }
    return tensor;
}

__attribute__((format(printf, 2, 3))) static void set_name(ssw_synth_tensor *tensor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(tensor->name, sizeof tensor->name, format, arguments);
    va_end(arguments);
}

typedef struct builder {
    ssw_synth_plan *plan;
    const ssw_synth_options *options;
    const ssw_shape *shape;
    traits has;
    float residual; /* further factor of weights that write to the residual stream */
} builder;

/* blk.<layer>.<what>.weight [n_out][n_in], random. */
static void add_matrix(builder *b, int layer, const char *what, int n_in, int n_out, double gain)
{
    const uint64_t dims[] = {(uint64_t)n_in, (uint64_t)n_out};
    ssw_synth_tensor *tensor = add_tensor(b->plan, 2, dims);
    set_name(tensor, "blk.%d.%s.weight", layer, what);
    tensor->sigma = (float)(gain / sqrt(n_in));
    b->plan->n_parameters += tensor->n_elements;
    b->plan->n_active += tensor->n_elements;
}

/* F32 vector; layer < 0: outside of layers. */
static ssw_synth_tensor *add_vector(builder *b, int layer, const char *what, int n, float sigma)
{
    ssw_synth_tensor *tensor = add_tensor(b->plan, 1, (const uint64_t[]){(uint64_t)n});
    if (layer < 0)
        set_name(tensor, "%s", what);
    else
        set_name(tensor, "blk.%d.%s", layer, what);
    tensor->sigma = sigma;
    b->plan->n_parameters += tensor->n_elements;
    b->plan->n_active += tensor->n_elements;
    return tensor;
}

static void add_norm(builder *b, int layer, const char *what, int n)
{
    char name[SSW_SYNTH_NAME_MAX];
    snprintf(name, sizeof name, "%s.weight", what);
    add_vector(b, layer, name, n, NORM_SIGMA)->around_one = true;
    if (b->has.norm_bias) {
        snprintf(name, sizeof name, "%s.bias", what);
        add_vector(b, layer, name, n, BIAS_SIGMA);
    }
}

static void add_biased(builder *b, int layer, const char *what, int n_in, int n_out, double gain)
{
    char name[SSW_SYNTH_NAME_MAX];
    add_matrix(b, layer, what, n_in, n_out, gain);
    if (b->has.attention_bias) {
        snprintf(name, sizeof name, "%s.bias", what);
        add_vector(b, layer, name, n_out, (float)(BIAS_SIGMA * gain));
    }
}

/* ---- attention ---- */

static void add_attention(builder *b, int layer)
{
    const ssw_shape *s = b->shape;
    int n_q = s->n_heads * s->head_dim, n_kv = s->n_heads_kv * s->head_dim;
    add_norm(b, layer, "attn_norm", s->n_embd);
    add_biased(b, layer, "attn_q", s->n_embd, n_q, 1);
    add_biased(b, layer, "attn_k", s->n_embd, n_kv, 1);
    add_biased(b, layer, "attn_v", s->n_embd, n_kv, 1);
    if (b->has.qk_norm) {
        add_norm(b, layer, "attn_q_norm", s->head_dim);
        add_norm(b, layer, "attn_k_norm", s->head_dim);
    }
    if (b->has.sinks)
        add_vector(b, layer, "attn_sinks.weight", s->n_heads, SINK_SIGMA);
    add_biased(b, layer, "attn_output", n_q, s->n_embd, b->residual);
}

/* One of the two halves of the up-projection from the latent vector, a matrix a head. */
static void add_latent_half(builder *b, int layer, const char *what, int n_in, int n_out)
{
    const uint64_t dims[] = {(uint64_t)n_in, (uint64_t)n_out, (uint64_t)b->shape->n_heads};
    ssw_synth_tensor *tensor = add_tensor(b->plan, 3, dims);
    set_name(tensor, "blk.%d.%s.weight", layer, what);
    tensor->sigma = (float)(1 / sqrt(b->shape->kv_lora_rank));
    b->plan->n_parameters += tensor->n_elements;
    b->plan->n_active += tensor->n_elements;
}

static void add_latent_attention(builder *b, int layer)
{
    const ssw_shape *s = b->shape;
    add_norm(b, layer, "attn_norm", s->n_embd);
    add_matrix(b, layer, "attn_q", s->n_embd, s->n_heads * (s->nope_dim + s->rope_dim), 1);
    add_matrix(b, layer, "attn_kv_a_mqa", s->n_embd, s->kv_lora_rank + s->rope_dim, 1);
    add_norm(b, layer, "attn_kv_a_norm", s->kv_lora_rank);
    add_latent_half(b, layer, "attn_k_b", s->nope_dim, s->kv_lora_rank);
    add_latent_half(b, layer, "attn_v_b", s->kv_lora_rank, s->head_dim);
    add_matrix(b, layer, "attn_output", s->n_heads * s->head_dim, s->n_embd, b->residual);
}

/* ---- feed-forward ---- */

static void add_router(builder *b, int layer)
{
    const ssw_shape *s = b->shape;
    const uint64_t dims[] = {(uint64_t)s->n_embd, (uint64_t)s->n_experts};
    double load[SSW_ROUTER_EXPERTS_MAX];
    bool by_bias = b->has.router_bias;
    ssw_router_load_fill(load, s->n_experts, s->n_experts_used, b->options->skew,
                         by_bias ? SSW_ROUTER_BIAS_LOAD_MAX : SSW_ROUTER_SCALE_LOAD_MAX,
                         ssw_random_mix(b->options->seed, (uint64_t)layer));
    float *steer = ssw_arena_alloc(&b->plan->arena, (size_t)s->n_experts, sizeof *steer);
    if (!steer) {
        b->plan->failed = true;
        return;
    }
    double uniform = (double)s->n_experts_used / s->n_experts;
    for (int i = 0; i < s->n_experts; i++)
        steer[i] = (float)(by_bias ? ssw_router_load_bias(load[i]) - ssw_router_load_bias(uniform)
                                   : ssw_router_load_scale(load[i], uniform));
    ssw_synth_tensor *router = add_tensor(b->plan, 2, dims);
    set_name(router, "blk.%d.ffn_gate_inp.weight", layer);
    router->sigma = (float)(1 / sqrt(s->n_embd));
    router->row_scale = by_bias ? NULL : steer;
    b->plan->n_parameters += router->n_elements;
    b->plan->n_active += router->n_elements;
    if (by_bias)
        add_vector(b, layer, "ffn_gate_inp.bias", s->n_experts, 0)->values = steer;
}

static void add_experts(builder *b, int layer, const char *what, int n_in, int n_out, double gain)
{
    const ssw_shape *s = b->shape;
    const uint64_t dims[] = {(uint64_t)n_in, (uint64_t)n_out, (uint64_t)s->n_experts};
    ssw_synth_tensor *tensor = add_tensor(b->plan, 3, dims);
    set_name(tensor, "blk.%d.%s.weight", layer, what);
    tensor->sigma = (float)(gain / sqrt(n_in));
    uint64_t n = tensor->n_elements;
    if (b->has.expert_bias) {
        ssw_synth_tensor *bias = add_tensor(b->plan, 2, dims + 1);
        set_name(bias, "blk.%d.%s.bias", layer, what);
        bias->sigma = (float)(BIAS_SIGMA * gain);
        n += bias->n_elements;
    }
    b->plan->n_parameters += n;
    b->plan->n_active += n / (uint64_t)s->n_experts * (uint64_t)s->n_experts_used;
}

static void add_feed_forward(builder *b, int layer)
{
    const ssw_shape *s = b->shape;
    add_norm(b, layer, b->has.ffn_norm, s->n_embd);
    if (layer < s->n_dense_layers) {
        add_matrix(b, layer, "ffn_gate", s->n_embd, s->n_ff_dense, 1);
        add_matrix(b, layer, "ffn_up", s->n_embd, s->n_ff_dense, 1);
        add_matrix(b, layer, "ffn_down", s->n_ff_dense, s->n_embd, b->residual);
        return;
    }
    add_router(b, layer);
    add_experts(b, layer, "ffn_gate_exps", s->n_embd, s->n_ff_expert, 1);
    add_experts(b, layer, "ffn_up_exps", s->n_embd, s->n_ff_expert, 1);
    add_experts(b, layer, "ffn_down_exps", s->n_ff_expert, s->n_embd, b->residual);
    if (s->n_shared_experts > 0) {
        int n_ff = s->n_shared_experts * s->n_ff_expert;
        add_matrix(b, layer, "ffn_gate_shexp", s->n_embd, n_ff, 1);
        add_matrix(b, layer, "ffn_up_shexp", s->n_embd, n_ff, 1);
        add_matrix(b, layer, "ffn_down_shexp", n_ff, s->n_embd, b->residual);
    }
}

/* ---- outside of layers ---- */

static uint64_t add_table(builder *b, const char *name, double sigma)
{
    const uint64_t dims[] = {(uint64_t)b->shape->n_embd, (uint64_t)b->options->n_vocab};
    ssw_synth_tensor *tensor = add_tensor(b->plan, 2, dims);
    set_name(tensor, "%s", name);
    tensor->sigma = (float)sigma;
    b->plan->n_parameters += tensor->n_elements;
    b->plan->n_active += tensor->n_elements;
    return tensor->n_elements;
}

static void add_rope_factors(builder *b, const char *name, bool long_context)
{
    float *factors = ssw_arena_alloc(&b->plan->arena, SSW_SHAPE_ROPE_FACTORS, sizeof *factors);
    if (!factors) {
        b->plan->failed = true;
        return;
    }
    ssw_shape_fill_rope_factors(long_context, factors);
    ssw_synth_tensor *tensor = add_tensor(b->plan, 1, (const uint64_t[]){SSW_SHAPE_ROPE_FACTORS});
    set_name(tensor, "%s", name);
    tensor->values = factors;
}

/* Gives every tensor the type that llama-quantize would give it, and the size that follows. */
static void choose_types(ssw_synth_plan *plan, const ssw_synth_options *options)
{
    const ssw_shape *shape = options->shape;
    ssw_mix_facts facts = {.n_layers = options->n_layers,
                           .n_experts = shape->n_experts,
                           .heads_per_kv = shape->n_heads / shape->n_heads_kv};
    for (size_t i = 0; i < plan->n_tensors; i++)
        facts.n_attn_v += ssw_type_mix_is_attn_v(plan->tensors[i].name);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        ssw_synth_tensor *tensor = &plan->tensors[i];
        ssw_gguf_tensor seen = {.name = tensor->name, .dtype = tensor->dtype, .n_dims = tensor->n_dims};
        bool fell_back, is_expert = ssw_tensor_role_of(tensor->name).kind == SSW_TENSOR_EXPERT;
        const ssw_type_mix *mix = options->dense_mix && !is_expert ? options->dense_mix : options->mix;
        memcpy(seen.dims, tensor->dims, sizeof seen.dims);
        tensor->dtype = ssw_type_mix_choose(mix, &facts, &seen, &fell_back);
        tensor->n_bytes =
            tensor->n_elements / tensor->dims[0] * ssw_dtype_row_bytes(tensor->dtype, tensor->dims[0]);
        plan->tensor_bytes += tensor->n_bytes;
    }
}

ssw_status ssw_synth_plan_init(ssw_synth_plan *plan, const ssw_synth_options *options, ssw_error *err)
{
    memset(plan, 0, sizeof *plan);
    ssw_arena_init(&plan->arena, ARENA_BYTES_MAX);
    builder b = {.plan = plan,
                 .options = options,
                 .shape = options->shape,
                 .has = traits_of(options->shape->family),
                 .residual = (float)(1 / sqrt(2.0 * options->n_layers))};
    plan->n_embedding = add_table(&b, "token_embd.weight", 1);
    if (b.has.rope_factors) {
        add_rope_factors(&b, "rope_factors_long.weight", true);
        add_rope_factors(&b, "rope_factors_short.weight", false);
    }
    for (int layer = 0; layer < options->n_layers; layer++) {
        if (b.shape->kv_lora_rank > 0)
            add_latent_attention(&b, layer);
        else
            add_attention(&b, layer);
        add_feed_forward(&b, layer);
    }
    add_norm(&b, -1, "output_norm", b.shape->n_embd);
    add_table(&b, "output.weight", 1 / sqrt(b.shape->n_embd));
    if (b.has.output_bias)
        add_vector(&b, -1, "output.bias", options->n_vocab, BIAS_SIGMA);
    choose_types(plan, options);
    if (!plan->failed)
        return SSW_OK;
    ssw_synth_plan_deinit(plan);
    return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the list of tensors");
}

void ssw_synth_plan_deinit(ssw_synth_plan *plan)
{
    free(plan->tensors);
    ssw_arena_deinit(&plan->arena);
    memset(plan, 0, sizeof *plan);
}
