/* Scratch memory, and the driving of a pass. The arithmetic is in layer.c. */
#include <stdlib.h>
#include <string.h>

#include "engine/carver.h"
#include "engine/forward_parts.h"
#include "engine/host_memory.h"
#include "engine/rope_setup.h"

enum { ALIGNMENT_BYTES = 64 };

/* Whether the slot's matrices, in any layer, are multiplied with 8-bit activations. */
static bool any_quantised(const ssw_forward_setup *setup, const ssw_model_slot *slots, int n_slots)
{
    if (setup->isa == SSW_CPU_ISA_REFERENCE)
        return false;
    for (int32_t layer = -1; layer < setup->model->hparams.n_layers; layer++) {
        for (int i = 0; i < n_slots; i++) {
            const ssw_gguf_tensor *tensor = ssw_model_tensor(setup->model, layer, slots[i]);
            if (tensor && ssw_dtype_find((uint32_t)tensor->dtype)->block_elements > 1)
                return true;
        }
    }
    return false;
}

static ssw_forward_rows carve_rows(ssw_carver *c, const ssw_model_hparams *h, uint64_t n, bool has_q8)
{
    uint64_t embd = (uint64_t)h->n_embd, used = (uint64_t)h->n_experts_used;
    ssw_forward_rows rows = {.normed = ssw_carve(c, n * embd, sizeof(float)),
                             .chosen = ssw_carve(c, n * used, sizeof(int32_t)),
                             .expert_weights = ssw_carve(c, n * used, sizeof(float))};
    if (has_q8)
        rows.normed_q8 = ssw_carve(c, n, ssw_cpu_q8_row_bytes(h->n_embd));
    return rows;
}

/* Routed experts, shared experts and a dense network use it in turn. */
static uint64_t scratch_bytes(int32_t n_batch, const ssw_model_hparams *h)
{
    int32_t widest = h->n_ff_dense > h->n_ff_shared ? h->n_ff_dense : h->n_ff_shared;
    uint64_t routed = ssw_cpu_moe_scratch_bytes(n_batch, h->n_experts_used, h->n_ff_expert, h->n_embd);
    uint64_t other = ssw_cpu_moe_scratch_bytes(n_batch, 1, widest, h->n_embd);
    return other > routed ? other : routed;
}

static void carve_latent(ssw_forward *f, ssw_carver *c)
{
    static const ssw_model_slot reads_low_q[] = {SSW_MODEL_ATTN_Q_B};
    static const ssw_model_slot reads_heads[] = {SSW_MODEL_ATTN_K_B, SSW_MODEL_ATTN_V_B};
    const ssw_model_hparams *h = &f->setup.model->hparams;
    const ssw_model_latent *latent = &h->latent;
    uint64_t n = (uint64_t)f->setup.n_batch, heads = n * (uint64_t)h->n_heads;
    f->low_q = ssw_carve(c, n * (uint64_t)latent->q_rank, sizeof(float));
    f->head_q = ssw_carve(c, heads * ((uint64_t)latent->nope_dim + (uint64_t)h->rope.n_dims), sizeof(float));
    f->head_latent = ssw_carve(c, heads * (uint64_t)latent->kv_rank, sizeof(float));
    if (any_quantised(&f->setup, reads_low_q, 1))
        f->low_q_q8 = ssw_carve(c, n, ssw_cpu_q8_row_bytes(latent->q_rank));
    uint64_t nope = ssw_cpu_q8_row_bytes(latent->nope_dim), rank = ssw_cpu_q8_row_bytes(latent->kv_rank);
    if (any_quantised(&f->setup, reads_heads, 2))
        f->heads_q8 = ssw_carve(c, heads, nope > rank ? nope : rank);
}

static void carve_all(ssw_forward *f, ssw_carver *c)
{
    static const ssw_model_slot reads_normed[] = {
        SSW_MODEL_OUTPUT,    SSW_MODEL_ATTN_Q,   SSW_MODEL_ATTN_K,   SSW_MODEL_ATTN_V, SSW_MODEL_ROUTER,
        SSW_MODEL_GATE_EXPS, SSW_MODEL_UP_EXPS,  SSW_MODEL_FFN_GATE, SSW_MODEL_FFN_UP, SSW_MODEL_GATE_SHARED,
        SSW_MODEL_UP_SHARED, SSW_MODEL_ATTN_Q_A, SSW_MODEL_ATTN_KV_A};
    static const ssw_model_slot reads_attended[] = {SSW_MODEL_ATTN_OUT};
    const ssw_forward_setup *s = &f->setup;
    const ssw_model_hparams *h = &s->model->hparams;
    uint64_t n = (uint64_t)s->n_batch, embd = (uint64_t)h->n_embd;
    uint64_t q = (uint64_t)h->n_heads * (uint64_t)h->head_dim;
    uint64_t kv = (uint64_t)h->n_heads_kv * (uint64_t)h->head_dim;
    uint64_t attended = (uint64_t)ssw_model_attended_width(h);
    f->x = ssw_carve(c, n * embd, sizeof(float));
    f->q = ssw_carve(c, n * q, sizeof(float));
    f->k = ssw_carve(c, n * kv, sizeof(float));
    if (h->latent.kv_rank > 0)
        carve_latent(f, c);
    else
        f->v = ssw_carve(c, n * kv, sizeof(float));
    f->attended = ssw_carve(c, n * attended, sizeof(float));
    f->cos_sin = ssw_carve(c, n * (uint64_t)h->rope.n_dims, sizeof(float));
    f->routed = ssw_carve(c, n * (uint64_t)h->n_experts, sizeof(float));
    f->logits = ssw_carve(c, (uint64_t)s->n_sequences * (uint64_t)h->n_vocab, sizeof(float));
    f->runs = ssw_carve(c, n, sizeof *f->runs);
    f->first_expert = ssw_carve(c, n, sizeof(int32_t));
    f->ones = ssw_carve(c, n, sizeof(float));
    f->moe_scratch = ssw_carve(c, 1, scratch_bytes(s->n_batch, h));
    bool has_q8 = any_quantised(s, reads_normed, sizeof reads_normed / sizeof reads_normed[0]);
    uint64_t n_workers = (uint64_t)ssw_pool_threads(s->pool);
    f->rows = carve_rows(c, h, n, has_q8);
    f->own = ssw_carve(c, n_workers, sizeof *f->own);
    for (uint64_t i = 0; i < n_workers; i++) {
        ssw_forward_rows own = carve_rows(c, h, SSW_FORWARD_FEW_ROWS, has_q8);
        if (f->own)
            f->own[i] = own;
    }
    if (any_quantised(s, reads_attended, 1))
        f->attended_q8 = ssw_carve(c, n, ssw_cpu_q8_row_bytes((int64_t)attended));
}

uint64_t ssw_forward_predict_bytes(const ssw_forward_setup *setup)
{
    ssw_forward counted = {.setup = *setup};
    ssw_carver c = {NULL, 0, ALIGNMENT_BYTES};
    carve_all(&counted, &c);
    return c.at + ssw_cpu_team_predict_bytes(ssw_pool_threads(setup->pool), setup->n_batch,
                                             setup->model->hparams.n_experts_used);
}

ssw_status ssw_forward_open(const ssw_forward_setup *setup, ssw_forward **out, ssw_error *err)
{
    *out = NULL;
    ssw_forward *f = calloc(1, sizeof *f);
    if (!f)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the forward pass");
    f->setup = *setup;
    f->h = &setup->model->hparams;
    ssw_cpu_team_options options = {.pool = setup->pool,
                                    .isa = setup->isa,
                                    .max_tokens = setup->n_batch,
                                    .max_experts_used = f->h->n_experts_used};
    ssw_status status = ssw_cpu_team_open(&options, &f->team, err);
    if (status != SSW_OK)
        goto cleanup;
    ssw_carver c = {NULL, 0, ALIGNMENT_BYTES};
    carve_all(f, &c);
    f->n_bytes = c.at;
    f->memory = ssw_cpu_memory_alloc(f->n_bytes);
    if (!f->memory) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "no memory for %llu bytes of compute buffers",
                               (unsigned long long)f->n_bytes);
        goto cleanup;
    }
    ssw_host_memory_touch(f->memory, f->n_bytes);
    c = (ssw_carver){f->memory, 0, ALIGNMENT_BYTES};
    carve_all(f, &c);
    for (int32_t i = 0; i < setup->n_batch; i++)
        f->ones[i] = 1;
    status = ssw_rope_setup(setup->model, setup->ctx_size, &f->rope, err);
    if (status != SSW_OK)
        goto cleanup;
    *out = f;
    f = NULL;
cleanup:
    ssw_forward_close(f);
    return status;
}

void ssw_forward_close(ssw_forward *forward)
{
    if (!forward)
        return;
    ssw_cpu_team_close(forward->team);
    ssw_cpu_memory_free(forward->memory, forward->n_bytes);
    free(forward);
}

uint64_t ssw_forward_bytes(const ssw_forward *forward)
{
    return forward->n_bytes + ssw_cpu_team_bytes(forward->team);
}

const float *ssw_forward_rows_out(const ssw_forward *forward)
{
    return forward->x;
}

const float *ssw_forward_hidden(const ssw_forward *forward)
{
    bool is_few = forward->pass->n_outputs <= SSW_FORWARD_FEW_ROWS; /* then every worker has them all */
    return is_few ? forward->own[0].normed : forward->rows.normed;
}

/* The longest run from entry i on whose rows follow each other; in the caller's memory too, if is_direct. */
static int32_t run_length(const ssw_pass *pass, int32_t i, int32_t n_max, bool is_direct, int32_t n_vocab)
{
    int32_t n = 1;
    while (i + n < pass->n_logits && n < n_max && pass->logits[i + n].output == pass->logits[i].output + n &&
           (!is_direct || pass->logits[i + n].logits == pass->logits[i].logits + (size_t)n * (size_t)n_vocab))
        n++;
    return n;
}

/* Each run reads the output matrix once, so that sequences decoded together must share one. */
static void find_runs(ssw_forward *f)
{
    f->n_runs = 0;
    for (int32_t i = 0; i < f->pass->n_logits;) {
        int32_t n = run_length(f->pass, i, f->setup.n_batch, true, f->h->n_vocab);
        bool is_direct = n > 1;
        if (!is_direct)
            n = run_length(f->pass, i, f->setup.n_sequences, false, f->h->n_vocab);
        f->runs[f->n_runs++] = (ssw_logits_run){i, n, is_direct || n == 1};
        i += n;
    }
}

void ssw_forward_run(ssw_forward *forward, const ssw_pass *pass)
{
    forward->pass = pass;
    find_runs(forward);
    ssw_pool_run(forward->setup.pool, ssw_forward_work, forward);
}
