/* What is enqueued for a pass: the layers in the order of layer.c, with the same numbers and tensors. */
#include "engine/gpu_parts.h"

#define SPARSEMIXER_JITTER 0.01f /* as layer.c */

static ssw_cuda_product_args product_args(const ssw_gpu *gpu, int32_t layer, ssw_model_slot weight,
                                          ssw_model_slot bias, ssw_cuda_acts x, int32_t n, float *out)
{
    ssw_cuda_product_args args = {.w = *ssw_gpu_matrix(gpu, layer, weight),
                                  .x = x,
                                  .n = n,
                                  .bias = ssw_gpu_floats(gpu, layer, bias),
                                  .out = out};
    args.out_stride = args.w.rows;
    return args;
}

static ssw_cuda_norm_args norm_args(const ssw_gpu *gpu, const float *x, int32_t n, int32_t layer,
                                    ssw_model_slot weight, ssw_model_slot bias)
{
    return (ssw_cuda_norm_args){.x = x,
                                .n = n,
                                .cols = gpu->h->n_embd,
                                .weight = ssw_gpu_floats(gpu, layer, weight),
                                .bias = ssw_gpu_floats(gpu, layer, bias),
                                .eps = gpu->h->norm_eps,
                                .subtract_mean = gpu->h->norm == SSW_MODEL_NORM_LAYER,
                                .out = gpu->normed};
}

/* With the norm in front. */
static void make_qkv(const ssw_gpu *gpu, int32_t layer, int32_t n)
{
    ssw_cuda_norm_args norm = norm_args(gpu, gpu->x, n, layer, SSW_MODEL_ATTN_NORM, SSW_MODEL_ATTN_NORM_BIAS);
    ssw_cuda_product_args qkv[SSW_CUDA_GEMV_FUSED_MAX] = {
        product_args(gpu, layer, SSW_MODEL_ATTN_Q, SSW_MODEL_ATTN_Q_BIAS, gpu->normed, n, gpu->q),
        product_args(gpu, layer, SSW_MODEL_ATTN_K, SSW_MODEL_ATTN_K_BIAS, gpu->normed, n, gpu->k),
        product_args(gpu, layer, SSW_MODEL_ATTN_V, SSW_MODEL_ATTN_V_BIAS, gpu->normed, n, gpu->v)};
    bool is_one_type = qkv[0].w.dtype == qkv[1].w.dtype && qkv[0].w.dtype == qkv[2].w.dtype;
    if (n <= SSW_CUDA_GEMV_TOKENS_MAX && is_one_type) {
        ssw_cuda_norm_gemv(gpu->compute, &norm, qkv, SSW_CUDA_GEMV_FUSED_MAX);
        return;
    }
    ssw_cuda_norm(gpu->compute, &norm);
    for (int i = 0; i < SSW_CUDA_GEMV_FUSED_MAX; i++)
        ssw_cuda_product(gpu->compute, &qkv[i]);
}

static void attention(const ssw_gpu *gpu, int32_t layer, const ssw_gpu_shape *shape)
{
    const ssw_model_hparams *h = gpu->h;
    make_qkv(gpu, layer, shape->n_rows);
    ssw_cuda_rope_args rope = {.rows = gpu->step->rows,
                               .n = shape->n_rows,
                               .n_heads = h->n_heads,
                               .n_kv_heads = h->n_heads_kv,
                               .head_dim = h->head_dim,
                               .inv_freq = gpu->inv_freq,
                               .n_pairs = h->rope.n_dims / 2,
                               .magnitude = gpu->rope_magnitude,
                               .interleaved = h->rope.is_interleaved,
                               .q_norm = ssw_gpu_floats(gpu, layer, SSW_MODEL_ATTN_Q_NORM),
                               .k_norm = ssw_gpu_floats(gpu, layer, SSW_MODEL_ATTN_K_NORM),
                               .norm_eps = h->norm_eps,
                               .q = gpu->q,
                               .k = gpu->k,
                               .v = gpu->v,
                               .kv = gpu->kv[layer]};
    ssw_cuda_rope_store(gpu->compute, &rope);
    ssw_cuda_attention_args args = {.kv = gpu->kv[layer],
                                    .parts = gpu->step->parts,
                                    .parts_host = shape->is_decode ? NULL : gpu->step_host->parts,
                                    .n_parts = shape->n_parts,
                                    .n_rows = shape->n_rows,
                                    .max_length = shape->max_length,
                                    .n_heads = h->n_heads,
                                    .n_kv_heads = h->n_heads_kv,
                                    .head_dim = h->head_dim,
                                    .window = h->layer_window[layer],
                                    .scale = h->attention_scale,
                                    .sinks = ssw_gpu_floats(gpu, layer, SSW_MODEL_ATTN_SINKS),
                                    .q = gpu->q,
                                    .out = gpu->attended,
                                    .scratch = gpu->attention_scratch,
                                    .counters = gpu->attention_counters};
    bool is_apart = gpu->attended.q && h->head_dim % SSW_CUDA_BLOCK != 0; /* blocks reach over heads */
    if (is_apart)
        args.out.q = NULL;
    ssw_cuda_attention(gpu->compute, &args);
    if (is_apart)
        ssw_cuda_quantize(gpu->compute, gpu->attended.f32, shape->n_rows, (int64_t)h->n_heads * h->head_dim,
                          (ssw_cuda_acts){.q = gpu->attended.q, .q_scales = gpu->attended.q_scales});
    ssw_cuda_product_args out = product_args(gpu, layer, SSW_MODEL_ATTN_OUT, SSW_MODEL_ATTN_OUT_BIAS,
                                             gpu->attended, shape->n_rows, gpu->x);
    out.accumulate = true;
    ssw_cuda_product(gpu->compute, &out);
}

/* The norm, the choice of experts, and the request to the host if they are there. */
static void route(ssw_gpu *gpu, int32_t layer, const ssw_cuda_norm_args *norm, bool is_handed_over)
{
    static const ssw_cuda_route_kind kinds[] = {
        [SSW_MODEL_GATING_SOFTMAX_CHOSEN] = SSW_CUDA_ROUTE_TOPK_SOFTMAX,
        [SSW_MODEL_GATING_SOFTMAX_ALL] = SSW_CUDA_ROUTE_SOFTMAX_TOPK,
        [SSW_MODEL_GATING_SOFTMAX_ALL_RENORM] = SSW_CUDA_ROUTE_SOFTMAX_TOPK,
        [SSW_MODEL_GATING_SPARSEMIXER] = SSW_CUDA_ROUTE_SPARSEMIXER,
    };
    const ssw_model_hparams *h = gpu->h;
    int32_t n = norm->n;
    ssw_cuda_route_args args = {.logits = gpu->routed,
                                .n = n,
                                .n_experts = h->n_experts,
                                .n_used = h->n_experts_used,
                                .kind = kinds[h->gating],
                                .renormalise = h->gating == SSW_MODEL_GATING_SOFTMAX_ALL_RENORM,
                                .jitter = SPARSEMIXER_JITTER,
                                .scale = h->expert_scale,
                                .chosen = gpu->chosen,
                                .weights = gpu->expert_weights};
    if (n <= SSW_CUDA_GEMV_TOKENS_MAX) {
        ssw_cuda_router_args router = {.norm = *norm,
                                       .w = *ssw_gpu_matrix(gpu, layer, SSW_MODEL_ROUTER),
                                       .bias = ssw_gpu_floats(gpu, layer, SSW_MODEL_ROUTER_BIAS),
                                       .route = args,
                                       .scratch = gpu->router_scratch};
        if (is_handed_over)
            ssw_gpu_announce(gpu, layer, &router);
        ssw_cuda_router(gpu->compute, &router);
        return;
    }
    ssw_cuda_norm(gpu->compute, norm);
    ssw_cuda_product_args logits =
        product_args(gpu, layer, SSW_MODEL_ROUTER, SSW_MODEL_ROUTER_BIAS, gpu->normed, n, gpu->routed);
    ssw_cuda_product(gpu->compute, &logits);
    ssw_cuda_route(gpu->compute, &args);
    if (is_handed_over)
        ssw_gpu_enqueue_request(gpu, layer, n);
}

ssw_cuda_experts ssw_gpu_experts_init(const ssw_gpu *gpu)
{
    bool is_clamped = gpu->h->activation == SSW_MODEL_ACTIVATION_SWIGLU_OAI;
    return (ssw_cuda_experts){.glu = is_clamped ? SSW_CUDA_GLU_SILU_CLAMPED : SSW_CUDA_GLU_SILU,
                              .glu_alpha = gpu->h->activation_alpha,
                              .glu_limit = gpu->h->activation_limit};
}

static ssw_cuda_experts experts_of(const ssw_gpu *gpu, int32_t layer, const ssw_model_slot slots[3])
{
    ssw_cuda_experts experts = ssw_gpu_experts_init(gpu);
    experts.gate = *ssw_gpu_matrix(gpu, layer, slots[0]);
    experts.up = *ssw_gpu_matrix(gpu, layer, slots[1]);
    experts.down = *ssw_gpu_matrix(gpu, layer, slots[2]);
    if (slots[0] == SSW_MODEL_GATE_EXPS) {
        experts.gate_bias = ssw_gpu_floats(gpu, layer, SSW_MODEL_GATE_EXPS_BIAS);
        experts.up_bias = ssw_gpu_floats(gpu, layer, SSW_MODEL_UP_EXPS_BIAS);
        experts.down_bias = ssw_gpu_floats(gpu, layer, SSW_MODEL_DOWN_EXPS_BIAS);
        experts.bias_stride = experts.gate.rows;
    }
    return experts;
}

/* The experts that every row uses, or the chosen ones, of many rows: products on tensor cores by expert. */
static void feed_many(const ssw_gpu *gpu, const ssw_cuda_experts *experts, int32_t n, int32_t n_used,
                      bool is_routed)
{
    ssw_cuda_expert_gemm_args args = {.experts = experts,
                                      .pairs = {.first = is_routed ? gpu->first : gpu->step->all_pairs,
                                                .pair = is_routed ? gpu->pairs : gpu->all_rows,
                                                .n_pairs = n * n_used,
                                                .n_used = n_used,
                                                .n_experts = experts->gate.n_matrices},
                                      .expert_end = experts->gate.n_matrices,
                                      .max_pairs_per_expert = n,
                                      .x = gpu->normed,
                                      .hidden = gpu->hidden,
                                      .out = gpu->pair_rows};
    if (is_routed)
        ssw_cuda_sort_pairs(gpu->compute, gpu->chosen, n * n_used, args.pairs.n_experts, gpu->first,
                            gpu->pairs);
    ssw_cuda_expert_gemm_up(gpu->compute, &args);
    ssw_cuda_expert_gemm_down(gpu->compute, &args);
    ssw_cuda_sum_args sum = {.rows = gpu->pair_rows,
                             .weights = is_routed ? gpu->expert_weights : gpu->ones,
                             .n = n,
                             .n_used = n_used,
                             .n_embd = gpu->h->n_embd,
                             .out = gpu->x};
    ssw_cuda_sum_pairs(gpu->compute, &sum);
}

static const ssw_model_slot dense_slots[] = {SSW_MODEL_FFN_GATE, SSW_MODEL_FFN_UP, SSW_MODEL_FFN_DOWN};
static const ssw_model_slot routed_slots[] = {SSW_MODEL_GATE_EXPS, SSW_MODEL_UP_EXPS, SSW_MODEL_DOWN_EXPS};
static const ssw_model_slot shared_slots[] = {SSW_MODEL_GATE_SHARED, SSW_MODEL_UP_SHARED,
                                              SSW_MODEL_DOWN_SHARED};

/* shared: experts to be used beside them in the same launches, or NULL; few rows only. */
static void feed(const ssw_gpu *gpu, const ssw_cuda_experts *experts, const ssw_cuda_experts *shared,
                 bool is_routed, int32_t n)
{
    int32_t n_used = is_routed ? gpu->h->n_experts_used : 1;
    if (n > SSW_CUDA_GEMV_TOKENS_MAX) {
        feed_many(gpu, experts, n, n_used, is_routed);
        return;
    }
    ssw_cuda_moe_args args = {.experts = experts,
                              .shared = shared,
                              .shared_hidden = gpu->shared_hidden,
                              .x = gpu->normed,
                              .n = n,
                              .n_used = n_used,
                              .chosen = is_routed ? gpu->chosen : gpu->zeros,
                              .weights = is_routed ? gpu->expert_weights : gpu->ones,
                              .hidden = gpu->hidden,
                              .out = gpu->x};
    ssw_cuda_moe(gpu->compute, &args);
}

static void feed_shared(const ssw_gpu *gpu, int32_t layer, int32_t n)
{
    if (!ssw_gpu_matrix(gpu, layer, SSW_MODEL_GATE_SHARED))
        return;
    ssw_cuda_experts shared = experts_of(gpu, layer, shared_slots);
    feed(gpu, &shared, NULL, false, n);
}

static void feed_routed_and_shared(const ssw_gpu *gpu, int32_t layer, int32_t n)
{
    ssw_cuda_experts routed = experts_of(gpu, layer, routed_slots), shared;
    bool is_one_launch = n <= SSW_CUDA_GEMV_TOKENS_MAX && ssw_gpu_matrix(gpu, layer, SSW_MODEL_GATE_SHARED);
    if (is_one_launch) {
        shared = experts_of(gpu, layer, shared_slots);
        is_one_launch = ssw_cuda_moe_takes_shared(&routed, &shared);
    }
    feed(gpu, &routed, is_one_launch ? &shared : NULL, true, n);
    if (!is_one_launch)
        feed_shared(gpu, layer, n);
}

/* False when the layer stops at a request, to be finished when the host has seen the choices. */
static bool feed_forward(ssw_gpu *gpu, int32_t layer, const ssw_gpu_shape *shape)
{
    int32_t n = shape->n_rows;
    bool is_handed_over = ssw_gpu_layer_is_handed_over(gpu, layer);
    ssw_cuda_norm_args norm = norm_args(gpu, gpu->x, n, layer, SSW_MODEL_FFN_NORM, SSW_MODEL_FFN_NORM_BIAS);
    if (ssw_gpu_matrix(gpu, layer, SSW_MODEL_FFN_GATE)) {
        ssw_cuda_experts dense = experts_of(gpu, layer, dense_slots);
        ssw_cuda_norm(gpu->compute, &norm);
        feed(gpu, &dense, NULL, false, n);
        return true;
    }
    if (is_handed_over) {
        norm.out_cpu_f32 = gpu->handover.x;
        norm.out_cpu_q8 = gpu->handover.x_q8;
    }
    route(gpu, layer, &norm, is_handed_over);
    if (!is_handed_over) {
        feed_routed_and_shared(gpu, layer, n);
        return true;
    }
    if (shape->is_streamed) {
        feed_shared(gpu, layer, n); /* while the host plans */
        return false;
    }
    ssw_gpu_enqueue_rest(gpu, layer, n);
    feed_shared(gpu, layer, n);
    ssw_gpu_enqueue_result(gpu, layer, n);
    return true;
}

void ssw_gpu_enqueue_layers(ssw_gpu *gpu, const ssw_gpu_shape *shape)
{
    if (shape->is_streamed)
        ssw_gpu_begin_stream(gpu, shape->n_rows);
    for (; gpu->next_layer < gpu->h->n_layers; gpu->next_layer++) {
        attention(gpu, gpu->next_layer, shape);
        if (!feed_forward(gpu, gpu->next_layer, shape))
            return;
    }
}

void ssw_gpu_finish_layer(ssw_gpu *gpu, const ssw_gpu_shape *shape)
{
    ssw_gpu_enqueue_stream(gpu, gpu->next_layer, shape->n_rows);
    ssw_gpu_enqueue_result(gpu, gpu->next_layer, shape->n_rows);
    gpu->next_layer++;
}

void ssw_gpu_enqueue_head(ssw_gpu *gpu, const float *x, int32_t n, float *logits)
{
    ssw_cuda_norm_args norm = norm_args(gpu, x, n, -1, SSW_MODEL_OUTPUT_NORM, SSW_MODEL_OUTPUT_NORM_BIAS);
    ssw_cuda_product_args args =
        product_args(gpu, -1, SSW_MODEL_OUTPUT, SSW_MODEL_OUTPUT_BIAS, gpu->normed, n, logits);
    ssw_cuda_norm(gpu->compute, &norm);
    ssw_cuda_product(gpu->compute, &args);
}
