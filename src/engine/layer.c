/* What one worker does in a pass: embedding, layers, final norm, logits.
 *
 * All workers call the same operations in the same order; an operation's result may be read only after a
 * barrier. The order of the operations is that of every pre-norm transformer with experts; what differs
 * between architectures (biases, sinks, windows, gating, activation) comes from the model's numbers and from
 * which tensors are there. */
#include <string.h>

#include "engine/activation.h"
#include "engine/station.h"
#include "quant/quant.h"

#define SPARSEMIXER_JITTER                                                                                   \
    0.01f /* router_jitter_noise of the published phimoe, which no key of a GGUF holds */

static void set_rows(ssw_station *s, int32_t n_rows)
{
    s->n_rows = n_rows;
    s->is_alone = n_rows <= SSW_FORWARD_FEW_ROWS;
    s->rows = s->is_alone ? &s->f->own[s->index] : &s->f->rows;
}

/* After norm and route, whose results are this worker's own when it is alone. */
static void meet(const ssw_station *s)
{
    if (!s->is_alone)
        ssw_cpu_barrier(s->worker);
}

static void embed_row(const ssw_station *s, int32_t row, int32_t position)
{
    const ssw_gguf_tensor *embd = ssw_weights_mapped(s->f->setup.weights, -1, SSW_MODEL_TOKEN_EMBD);
    uint64_t row_bytes = ssw_dtype_row_bytes(embd->dtype, embd->dims[0]);
    const uint8_t *from = (const uint8_t *)embd->data + (uint64_t)s->pass->tokens[row] * row_bytes;
    ssw_quant_dequantize_row(embd->dtype, from, embd->dims[0], s->f->x + (size_t)row * (size_t)s->h->n_embd);
    ssw_cpu_rope_angles(&s->f->rope, position, s->f->cos_sin + (size_t)row * (size_t)s->h->rope.n_dims);
}

static void embed(const ssw_station *s)
{
    for (int32_t p = 0; p < s->pass->n_parts; p++) {
        const ssw_pass_part *part = &s->pass->parts[p];
        for (int32_t i = 0; i < part->n_rows; i++) {
            if ((part->first_row + i) % s->n_workers == s->index)
                embed_row(s, part->first_row + i, part->position + i);
        }
    }
    ssw_cpu_barrier(s->worker);
}

static void norm(const ssw_station *s, ssw_model_slot weight, ssw_model_slot bias)
{
    ssw_cpu_norm_args args = {.x = s->f->x,
                              .x_stride = s->h->n_embd,
                              .n = s->n_rows,
                              .cols = s->h->n_embd,
                              .weight = ssw_station_floats(s, weight),
                              .bias = ssw_station_floats(s, bias),
                              .subtract_mean = s->h->norm == SSW_MODEL_NORM_LAYER,
                              .eps = s->h->norm_eps,
                              .out = s->rows->normed,
                              .out_stride = s->h->n_embd,
                              .out_q8 = s->rows->normed_q8,
                              .alone = s->is_alone};
    ssw_cpu_norm(s->worker, &args);
    meet(s);
}

void ssw_station_product(const ssw_station *s, ssw_model_slot weight, ssw_model_slot bias, float *out)
{
    const ssw_cpu_matrix *w = ssw_station_matrix(s, weight);
    ssw_cpu_matmul_args args = {.w = w,
                                .x = {s->rows->normed, s->h->n_embd, s->rows->normed_q8},
                                .n = s->n_rows,
                                .bias = ssw_station_floats(s, bias),
                                .out = out,
                                .out_stride = w->rows};
    ssw_cpu_matmul(s->worker, &args);
}

/* RMSNorm of every head's query and key, in place. */
static void norm_heads(const ssw_station *s)
{
    const ssw_model_hparams *h = s->h;
    ssw_cpu_norm_args q = {.x = s->f->q,
                           .x_stride = h->head_dim,
                           .n = (int64_t)s->n_rows * h->n_heads,
                           .cols = h->head_dim,
                           .weight = ssw_station_floats(s, SSW_MODEL_ATTN_Q_NORM),
                           .eps = h->norm_eps,
                           .out = s->f->q,
                           .out_stride = h->head_dim};
    ssw_cpu_norm_args k = q;
    k.x = k.out = s->f->k;
    k.n = (int64_t)s->n_rows * h->n_heads_kv;
    k.weight = ssw_station_floats(s, SSW_MODEL_ATTN_K_NORM);
    ssw_cpu_norm(s->worker, &q);
    ssw_cpu_norm(s->worker, &k);
    ssw_cpu_barrier(s->worker);
}

static void project(const ssw_station *s)
{
    ssw_station_product(s, SSW_MODEL_ATTN_Q, SSW_MODEL_ATTN_Q_BIAS, s->f->q);
    ssw_station_product(s, SSW_MODEL_ATTN_K, SSW_MODEL_ATTN_K_BIAS, s->f->k);
    ssw_station_product(s, SSW_MODEL_ATTN_V, SSW_MODEL_ATTN_V_BIAS, s->f->v);
    ssw_cpu_barrier(s->worker);
    if (ssw_station_floats(s, SSW_MODEL_ATTN_Q_NORM))
        norm_heads(s);
}

/* All rows, or in the last layer the outputs only, at the indices that they have among all rows. */
static int32_t attention_items(const ssw_station *s, bool outputs_only, ssw_cpu_attention_item *items)
{
    int32_t n = 0;
    for (int32_t p = 0; p < s->pass->n_parts; p++) {
        const ssw_pass_part *part = &s->pass->parts[p];
        int32_t skipped = outputs_only ? part->n_rows - part->n_outputs : 0;
        if (skipped == part->n_rows)
            continue;
        items[n++] =
            (ssw_cpu_attention_item){.kv = ssw_kvcache_view(s->f->setup.cache, s->layer, part->sequence),
                                     .first = part->first_row + skipped,
                                     .n = part->n_rows - skipped,
                                     .position = part->position + skipped};
    }
    return n;
}

/* The outputs' rows become rows 0 .. n_outputs - 1; they only ever move down, so in this order none is
 * overwritten. */
static void keep_outputs(const ssw_station *s)
{
    ssw_forward *f = s->f;
    size_t embd = (size_t)s->h->n_embd, width = (size_t)ssw_model_attended_width(s->h);
    size_t q8 = (size_t)ssw_cpu_q8_row_bytes((int64_t)width);
    for (int32_t p = 0; p < s->pass->n_parts; p++) {
        const ssw_pass_part *part = &s->pass->parts[p];
        for (int32_t i = 0; i < part->n_outputs; i++) {
            size_t to = (size_t)(part->first_output + i);
            size_t from = (size_t)(part->first_row + part->n_rows - part->n_outputs + i);
            if (to == from)
                continue;
            memcpy(f->x + to * embd, f->x + from * embd, embd * sizeof(float));
            memcpy(f->attended + to * width, f->attended + from * width, width * sizeof(float));
            if (f->attended_q8)
                memcpy((uint8_t *)f->attended_q8 + to * q8, (uint8_t *)f->attended_q8 + from * q8, q8);
        }
    }
}

static ssw_cpu_attention_args attention_args(const ssw_station *s, const ssw_cpu_attention_item *items)
{
    ssw_forward *f = s->f;
    const ssw_model_hparams *h = s->h;
    int64_t q = (int64_t)h->n_heads * h->head_dim;
    bool is_latent = h->latent.kv_rank > 0;
    return (ssw_cpu_attention_args){
        .items = items,
        .n_heads = h->n_heads,
        .n_kv_heads = h->n_heads_kv,
        .head_dim = h->head_dim,
        .latent_dim = h->latent.kv_rank,
        .window = h->layer_window[s->layer],
        .scale = h->attention_scale,
        .sinks = ssw_station_floats(s, SSW_MODEL_ATTN_SINKS),
        .cos_sin = f->cos_sin,
        .n_pairs = h->rope.n_dims / 2,
        .rotated_from = h->latent.kv_rank,
        .interleaved = h->rope.is_interleaved,
        .q = f->q,
        .k = f->k,
        .v = f->v,
        .q_stride = q,
        .kv_stride = (int64_t)h->n_heads_kv * h->head_dim,
        .out = is_latent ? f->head_latent : f->attended,
        .out_stride = is_latent ? (int64_t)h->n_heads * h->latent.kv_rank : q,
        .out_q8 = !is_latent && h->head_dim % 32 == 0 ? f->attended_q8 : NULL,
    };
}

/* What was attended goes to the residual stream; in the last layer only the outputs' rows go on. */
static void hand_on(ssw_station *s, bool is_last, bool has_q8)
{
    ssw_forward *f = s->f;
    int64_t width = ssw_model_attended_width(s->h);
    if (f->attended_q8 && !has_q8) {
        ssw_cpu_quantize(s->worker,
                         &(ssw_cpu_quantize_args){f->attended, width, s->n_rows, width, f->attended_q8});
        ssw_cpu_barrier(s->worker);
    }
    if (is_last) {
        if (s->index == 0)
            keep_outputs(s);
        set_rows(s, s->pass->n_outputs);
        ssw_cpu_barrier(s->worker);
    }
    ssw_cpu_matmul_args out = {.w = ssw_station_matrix(s, SSW_MODEL_ATTN_OUT),
                               .x = {f->attended, width, f->attended_q8},
                               .n = s->n_rows,
                               .bias = ssw_station_floats(s, SSW_MODEL_ATTN_OUT_BIAS),
                               .out = f->x,
                               .out_stride = s->h->n_embd,
                               .accumulate = true};
    ssw_cpu_matmul(s->worker, &out);
    ssw_cpu_barrier(s->worker);
}

/* False when nothing of the pass is wanted beyond its keys and values. */
static bool attention(ssw_station *s)
{
    bool is_latent = s->h->latent.kv_rank > 0;
    bool is_last = s->layer == s->h->n_layers - 1 && s->pass->n_outputs < s->pass->n_rows;
    ssw_cpu_attention_item items[SSW_ENGINE_PARALLEL_MAX];
    norm(s, SSW_MODEL_ATTN_NORM, SSW_MODEL_ATTN_NORM_BIAS);
    if (is_latent)
        ssw_latent_project(s);
    else
        project(s);
    ssw_cpu_attention_args args = attention_args(s, items);
    args.n_items = attention_items(s, false, items);
    args.store = !is_last && ssw_cpu_attention_can_store(&args);
    if (!args.store) {
        ssw_cpu_kv_store(s->worker, &args);
        ssw_cpu_barrier(s->worker);
    }
    if (is_last && s->pass->n_outputs == 0)
        return false;
    if (is_last)
        args.n_items = attention_items(s, true, items);
    ssw_cpu_attention(s->worker, &args);
    ssw_cpu_barrier(s->worker);
    if (is_latent)
        ssw_latent_unfold(s);
    hand_on(s, is_last, args.out_q8 != NULL);
    return true;
}

/* x += what the experts make of the normalised rows. A network that every row uses is one expert that every
 * row chooses with weight 1. */
static void feed(const ssw_station *s, const ssw_model_slot slots[3], int32_t n_used, const int32_t *chosen,
                 const float *weights)
{
    const ssw_model_hparams *h = s->h;
    bool is_routed = slots[0] == SSW_MODEL_GATE_EXPS;
    ssw_cpu_moe_args moe = {.gate = ssw_station_matrix(s, slots[0]),
                            .up = ssw_station_matrix(s, slots[1]),
                            .down = ssw_station_matrix(s, slots[2]),
                            .gate_bias = is_routed ? ssw_station_floats(s, SSW_MODEL_GATE_EXPS_BIAS) : NULL,
                            .up_bias = is_routed ? ssw_station_floats(s, SSW_MODEL_UP_EXPS_BIAS) : NULL,
                            .down_bias = is_routed ? ssw_station_floats(s, SSW_MODEL_DOWN_EXPS_BIAS) : NULL,
                            .x = {s->rows->normed, h->n_embd, s->rows->normed_q8},
                            .n = s->n_rows,
                            .n_used = n_used,
                            .chosen = chosen,
                            .weights = weights,
                            .out = s->f->x,
                            .out_stride = h->n_embd,
                            .accumulate = true,
                            .scratch = s->f->moe_scratch};
    ssw_set_activation(&moe, h);
    ssw_cpu_moe(s->worker, &moe);
    ssw_cpu_barrier(s->worker);
}

static void route(const ssw_station *s)
{
    static const ssw_cpu_route_kind kinds[] = {
        [SSW_MODEL_GATING_SOFTMAX_CHOSEN] = SSW_CPU_ROUTE_TOPK_SOFTMAX,
        [SSW_MODEL_GATING_SOFTMAX_ALL] = SSW_CPU_ROUTE_SOFTMAX_TOPK,
        [SSW_MODEL_GATING_SOFTMAX_ALL_RENORM] = SSW_CPU_ROUTE_SOFTMAX_TOPK,
        [SSW_MODEL_GATING_SPARSEMIXER] = SSW_CPU_ROUTE_SPARSEMIXER,
        [SSW_MODEL_GATING_SIGMOID] = SSW_CPU_ROUTE_SIGMOID,
        [SSW_MODEL_GATING_SIGMOID_RENORM] = SSW_CPU_ROUTE_SIGMOID,
    };
    const ssw_model_hparams *h = s->h;
    ssw_station_product(s, SSW_MODEL_ROUTER, SSW_MODEL_ROUTER_BIAS, s->f->routed);
    ssw_cpu_barrier(s->worker);
    ssw_cpu_route_args args = {.logits = s->f->routed,
                               .logits_stride = h->n_experts,
                               .n = s->n_rows,
                               .n_experts = h->n_experts,
                               .n_used = h->n_experts_used,
                               .kind = kinds[h->gating],
                               .renormalise = h->gating == SSW_MODEL_GATING_SOFTMAX_ALL_RENORM ||
                                              h->gating == SSW_MODEL_GATING_SIGMOID_RENORM,
                               .bias = ssw_station_floats(s, SSW_MODEL_ROUTER_CHOICE_BIAS),
                               .n_groups = h->n_expert_groups,
                               .n_groups_used = h->n_expert_groups_used,
                               .jitter = SPARSEMIXER_JITTER,
                               .scale = h->expert_scale,
                               .chosen = s->rows->chosen,
                               .weights = s->rows->expert_weights,
                               .alone = s->is_alone};
    ssw_cpu_route(s->worker, &args);
    meet(s);
}

static void feed_forward(const ssw_station *s)
{
    static const ssw_model_slot dense[] = {SSW_MODEL_FFN_GATE, SSW_MODEL_FFN_UP, SSW_MODEL_FFN_DOWN};
    static const ssw_model_slot shared[] = {SSW_MODEL_GATE_SHARED, SSW_MODEL_UP_SHARED,
                                            SSW_MODEL_DOWN_SHARED};
    static const ssw_model_slot routed[] = {SSW_MODEL_GATE_EXPS, SSW_MODEL_UP_EXPS, SSW_MODEL_DOWN_EXPS};
    norm(s, SSW_MODEL_FFN_NORM, SSW_MODEL_FFN_NORM_BIAS);
    if (ssw_station_matrix(s, SSW_MODEL_FFN_GATE)) {
        feed(s, dense, 1, s->f->first_expert, s->f->ones);
        return;
    }
    route(s);
    feed(s, routed, s->h->n_experts_used, s->rows->chosen, s->rows->expert_weights);
    if (ssw_station_matrix(s, SSW_MODEL_GATE_SHARED))
        feed(s, shared, 1, s->f->first_expert, s->f->ones);
}

static void write_run(const ssw_station *s, const ssw_logits_run *run)
{
    ssw_forward *f = s->f;
    const ssw_pass_logits *entries = s->pass->logits + run->first;
    size_t embd = (size_t)s->h->n_embd, n_vocab = (size_t)s->h->n_vocab, row = (size_t)entries[0].output;
    uint8_t *q8 = s->rows->normed_q8;
    if (q8)
        q8 += row * ssw_cpu_q8_row_bytes(s->h->n_embd);
    ssw_cpu_matmul_args args = {.w = ssw_station_matrix(s, SSW_MODEL_OUTPUT),
                                .x = {s->rows->normed + row * embd, (int64_t)embd, q8},
                                .n = run->n,
                                .bias = ssw_station_floats(s, SSW_MODEL_OUTPUT_BIAS),
                                .out = run->is_direct ? entries[0].logits : f->logits,
                                .out_stride = (int64_t)n_vocab};
    ssw_cpu_matmul(s->worker, &args);
    ssw_cpu_barrier(s->worker);
    if (run->is_direct)
        return;
    for (int32_t i = s->index; i < run->n; i += s->n_workers)
        memcpy(entries[i].logits, f->logits + (size_t)i * n_vocab, n_vocab * sizeof(float));
    ssw_cpu_barrier(s->worker);
}

void ssw_forward_work(void *context, int worker, int n_workers)
{
    ssw_forward *f = context;
    ssw_station s = {.f = f,
                     .h = f->h,
                     .pass = f->pass,
                     .worker = ssw_cpu_team_worker(f->team, worker),
                     .index = worker,
                     .n_workers = n_workers};
    set_rows(&s, f->pass->n_rows);
    embed(&s);
    for (s.layer = 0; s.layer < f->setup.n_host_layers; s.layer++) {
        if (!attention(&s))
            return;
        feed_forward(&s);
    }
    if (f->setup.n_host_layers < f->h->n_layers)
        return;
    s.layer = -1;
    norm(&s, SSW_MODEL_OUTPUT_NORM, SSW_MODEL_OUTPUT_NORM_BIAS);
    for (int32_t i = 0; i < f->n_runs; i++)
        write_run(&s, &f->runs[i]);
}
