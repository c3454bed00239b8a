/* See the header. Everything is decoded to float for each use; nothing is shared with src/cpu or src/engine.
 */
#include "../cmocka_all.h"

#include "naive_gpt_oss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "quant/half.h"
#include "quant/quant.h"

typedef struct naive {
    ssw_gguf *gguf;
    ssw_model model;
    const ssw_model_hparams *h;
    bool f16_cache;
    double *keys, *values; /* [n_layers][n][n_heads_kv * head_dim] */
    int32_t n;
} naive;

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static void decode_row(const ssw_gguf_tensor *t, uint64_t row, float *out)
{
    const uint8_t *data = t->data;
    assert_true(ssw_quant_dequantize_row(t->dtype, data + row * ssw_dtype_row_bytes(t->dtype, t->dims[0]),
                                         t->dims[0], out));
}

/* out[r] = bias[r] + W[index][r] . x */
static void multiply(const naive *m, int32_t layer, ssw_model_slot weight, ssw_model_slot bias,
                     uint64_t index, const double *x, double *out)
{
    const ssw_gguf_tensor *w = ssw_model_tensor(&m->model, layer, weight);
    const ssw_gguf_tensor *b = bias == SSW_MODEL_SLOT_COUNT ? NULL : ssw_model_tensor(&m->model, layer, bias);
    float *row = malloc(w->dims[0] * sizeof *row);
    assert_non_null(row);
    for (uint64_t r = 0; r < w->dims[1]; r++) {
        decode_row(w, index * w->dims[1] + r, row);
        out[r] = b ? (double)((const float *)b->data)[index * w->dims[1] + r] : 0;
        for (uint64_t c = 0; c < w->dims[0]; c++)
            out[r] += (double)row[c] * x[c];
    }
    free(row);
}

static void norm(const naive *m, int32_t layer, ssw_model_slot weight, const double *x, double *out)
{
    const float *w = ssw_model_tensor(&m->model, layer, weight)->data;
    double squares = 0;
    for (int32_t i = 0; i < m->h->n_embd; i++)
        squares += x[i] * x[i];
    for (int32_t i = 0; i < m->h->n_embd; i++)
        out[i] = x[i] / sqrt(squares / m->h->n_embd + (double)m->h->norm_eps) * (double)w[i];
}

/* Pairs (i, i + half), as transformers' rotate_half. The ramp is YaRN's; see model.h. */
static void rotate(const naive *m, int32_t position, double *head)
{
    const ssw_model_rope *r = &m->h->rope;
    int32_t half = r->n_dims / 2;
    double pi = acos(-1.0), base = (double)r->freq_base, factor = (double)r->factor;
    double low = r->n_dims * log(r->original_context / ((double)r->beta_fast * 2 * pi)) / (2 * log(base));
    double high = r->n_dims * log(r->original_context / ((double)r->beta_slow * 2 * pi)) / (2 * log(base));
    low = fmax(low, 0);
    high = fmin(high, r->n_dims - 1);
    double magnitude = factor > 1 ? 0.1 * log(factor) + 1 : 1;
    for (int32_t i = 0; i < half; i++) {
        double ramp = fmin(fmax((i - low) / fmax(high - low, 0.001), 0), 1);
        double angle = position * pow(base, -2.0 * i / r->n_dims) * (1 - ramp + ramp / factor);
        double a = head[i], b = head[i + half], c = cos(angle) * magnitude, s = sin(angle) * magnitude;
        head[i] = a * c - b * s;
        head[i + half] = b * c + a * s;
    }
}

static double rounded(const naive *m, double x)
{
    return m->f16_cache ? (double)ssw_half_from_f16(ssw_half_to_f16((float)x)) : x;
}

static void attend(const naive *m, int32_t layer, int32_t position, int32_t head, const double *q,
                   double *out)
{
    const ssw_model_hparams *h = m->h;
    size_t kv = (size_t)(h->n_heads_kv * h->head_dim);
    size_t offset =
        (size_t)layer * (size_t)m->n * kv + (size_t)(head / (h->n_heads / h->n_heads_kv) * h->head_dim);
    int32_t window = h->layer_window[layer], first = window && position >= window ? position - window + 1 : 0;
    double sink =
        (double)((const float *)ssw_model_tensor(&m->model, layer, SSW_MODEL_ATTN_SINKS)->data)[head];
    double *scores = zeros((size_t)position + 1), max = sink, sum = 0;
    for (int32_t p = first; p <= position; p++) {
        for (int32_t d = 0; d < h->head_dim; d++)
            scores[p] += q[d] * m->keys[offset + (size_t)p * kv + (size_t)d];
        scores[p] *= (double)h->attention_scale;
        max = fmax(max, scores[p]);
    }
    sum = exp(sink - max);
    for (int32_t p = first; p <= position; p++)
        sum += scores[p] = exp(scores[p] - max);
    for (int32_t d = 0; d < h->head_dim; d++) {
        out[d] = 0;
        for (int32_t p = first; p <= position; p++)
            out[d] += scores[p] / sum * m->values[offset + (size_t)p * kv + (size_t)d];
    }
    free(scores);
}

static void attention(naive *m, int32_t layer, int32_t position, double *x)
{
    const ssw_model_hparams *h = m->h;
    int32_t n_q = h->n_heads * h->head_dim, n_kv = h->n_heads_kv * h->head_dim;
    double *normed = zeros((size_t)h->n_embd), *q = zeros((size_t)n_q), *out = zeros((size_t)n_q);
    double *k = m->keys + ((size_t)layer * (size_t)m->n + (size_t)position) * (size_t)n_kv;
    double *v = m->values + ((size_t)layer * (size_t)m->n + (size_t)position) * (size_t)n_kv;
    norm(m, layer, SSW_MODEL_ATTN_NORM, x, normed);
    multiply(m, layer, SSW_MODEL_ATTN_Q, SSW_MODEL_ATTN_Q_BIAS, 0, normed, q);
    multiply(m, layer, SSW_MODEL_ATTN_K, SSW_MODEL_ATTN_K_BIAS, 0, normed, k);
    multiply(m, layer, SSW_MODEL_ATTN_V, SSW_MODEL_ATTN_V_BIAS, 0, normed, v);
    for (int32_t i = 0; i < h->n_heads_kv; i++)
        rotate(m, position, k + i * h->head_dim);
    for (int32_t i = 0; i < n_kv; i++) {
        k[i] = rounded(m, k[i]);
        v[i] = rounded(m, v[i]);
    }
    for (int32_t i = 0; i < h->n_heads; i++) {
        rotate(m, position, q + i * h->head_dim);
        attend(m, layer, position, i, q + i * h->head_dim, out + i * h->head_dim);
    }
    multiply(m, layer, SSW_MODEL_ATTN_OUT, SSW_MODEL_ATTN_OUT_BIAS, 0, out, normed);
    for (int32_t i = 0; i < h->n_embd; i++)
        x[i] += normed[i];
    free(normed);
    free(q);
    free(out);
}

static void expert(const naive *m, int32_t layer, uint64_t index, const double *x, double *out)
{
    size_t n_ff = (size_t)m->h->n_ff_expert;
    double *gate = zeros(n_ff), *up = zeros(n_ff);
    multiply(m, layer, SSW_MODEL_GATE_EXPS, SSW_MODEL_GATE_EXPS_BIAS, index, x, gate);
    multiply(m, layer, SSW_MODEL_UP_EXPS, SSW_MODEL_UP_EXPS_BIAS, index, x, up);
    for (size_t i = 0; i < n_ff; i++) {
        double g = fmin(gate[i], 7.0), u = fmin(fmax(up[i], -7.0), 7.0);
        gate[i] = g / (1 + exp(-1.702 * g)) * (u + 1);
    }
    multiply(m, layer, SSW_MODEL_DOWN_EXPS, SSW_MODEL_DOWN_EXPS_BIAS, index, gate, out);
    free(gate);
    free(up);
}

static void feed_forward(const naive *m, int32_t layer, double *x)
{
    const ssw_model_hparams *h = m->h;
    double *normed = zeros((size_t)h->n_embd), *out = zeros((size_t)h->n_embd),
           *routed = zeros((size_t)h->n_experts);
    int32_t chosen[SSW_MODEL_EXPERTS_USED_MAX];
    double weights[SSW_MODEL_EXPERTS_USED_MAX], sum = 0;
    norm(m, layer, SSW_MODEL_FFN_NORM, x, normed);
    multiply(m, layer, SSW_MODEL_ROUTER, SSW_MODEL_ROUTER_BIAS, 0, normed, routed);
    for (int32_t k = 0; k < h->n_experts_used; k++) {
        int32_t best = -1;
        for (int32_t e = 0; e < h->n_experts; e++)
            best = !isnan(routed[e]) && (best < 0 || routed[e] > routed[best]) ? e : best;
        chosen[k] = best;
        weights[k] = exp(routed[best]);
        sum += weights[k];
        routed[best] = NAN; /* taken */
    }
    for (int32_t k = 0; k < h->n_experts_used; k++) {
        expert(m, layer, (uint64_t)chosen[k], normed, out);
        for (int32_t i = 0; i < h->n_embd; i++)
            x[i] += weights[k] / sum * out[i];
    }
    free(normed);
    free(out);
    free(routed);
}

static void run_token(naive *m, int32_t token, int32_t position, float *logits)
{
    size_t n_embd = (size_t)m->h->n_embd, n_vocab = (size_t)m->h->n_vocab;
    double *x = zeros(n_embd), *normed = zeros(n_embd), *out = zeros(n_vocab);
    float *row = calloc(n_embd, sizeof *row);
    assert_non_null(row);
    decode_row(ssw_model_tensor(&m->model, -1, SSW_MODEL_TOKEN_EMBD), (uint64_t)token, row);
    for (size_t i = 0; i < n_embd; i++)
        x[i] = (double)row[i];
    for (int32_t layer = 0; layer < m->h->n_layers; layer++) {
        attention(m, layer, position, x);
        feed_forward(m, layer, x);
    }
    norm(m, -1, SSW_MODEL_OUTPUT_NORM, x, normed);
    multiply(m, -1, SSW_MODEL_OUTPUT, SSW_MODEL_SLOT_COUNT, 0, normed, out);
    for (size_t i = 0; i < n_vocab; i++)
        logits[i] = (float)out[i];
    free(x);
    free(normed);
    free(out);
    free(row);
}

void naive_gpt_oss(const char *path, const int32_t *tokens, int32_t n, bool f16_cache, float *logits)
{
    naive m = {.n = n, .f16_cache = f16_cache};
    ssw_error err;
    if (ssw_gguf_open(path, &m.gguf, &err) != SSW_OK || ssw_model_open(m.gguf, &m.model, &err) != SSW_OK)
        fail_msg("%s", err.message);
    m.h = &m.model.hparams;
    size_t n_cache = (size_t)m.h->n_layers * (size_t)n * (size_t)(m.h->n_heads_kv * m.h->head_dim);
    m.keys = zeros(n_cache);
    m.values = zeros(n_cache);
    for (int32_t i = 0; i < n; i++)
        run_token(&m, tokens[i], i, logits + (size_t)i * (size_t)m.h->n_vocab);
    free(m.keys);
    free(m.values);
    ssw_model_deinit(&m.model);
    ssw_gguf_close(m.gguf);
}
