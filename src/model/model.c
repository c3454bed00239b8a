/* The registry of architectures, and the common way from a GGUF to a checked model. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_arch.h"
#include "quant/quant.h"

static const ssw_model_arch *const archs[] = {&ssw_model_arch_gpt_oss,  &ssw_model_arch_phimoe,
                                              &ssw_model_arch_deepseek, &ssw_model_arch_deepseek2,
                                              &ssw_model_arch_mixtral,  &ssw_model_arch_qwen3moe};

enum { N_ARCHS = sizeof archs / sizeof archs[0], TENSOR_NAME_MAX = 96 };

static const ssw_model_arch *find_arch(ssw_model_keys *keys)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(keys->gguf, "general.architecture");
    ssw_gguf_text name;
    if (!key || !ssw_gguf_read_text(key, &name)) {
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key 'general.architecture' is missing or not text");
        return NULL;
    }
    char known[256] = "";
    for (int i = 0; i < N_ARCHS; i++) {
        if (strlen(archs[i]->name) == name.n_bytes && memcmp(archs[i]->name, name.bytes, name.n_bytes) == 0)
            return archs[i];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s'%s'", i ? ", " : "", archs[i]->name);
    }
    int shown = name.n_bytes < 64 ? (int)name.n_bytes : 64;
    ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED, "architecture '%.*s' is not supported (supported: %s)",
                          shown, name.bytes, known);
    return NULL;
}

static uint64_t dim_value(const ssw_model_hparams *h, ssw_model_dim dim)
{
    switch (dim) {
    case SSW_MODEL_DIM_NONE:
        return 1;
    case SSW_MODEL_DIM_EMBD:
        return (uint64_t)h->n_embd;
    case SSW_MODEL_DIM_VOCAB:
        return (uint64_t)h->n_vocab;
    case SSW_MODEL_DIM_HEADS:
        return (uint64_t)h->n_heads;
    case SSW_MODEL_DIM_Q:
        return (uint64_t)h->n_heads * (uint64_t)h->head_dim;
    case SSW_MODEL_DIM_KV:
        return (uint64_t)h->n_heads_kv * (uint64_t)h->head_dim;
    case SSW_MODEL_DIM_HEAD:
        return (uint64_t)h->head_dim;
    case SSW_MODEL_DIM_ROPE_PAIRS:
        return (uint64_t)h->rope.n_dims / 2;
    case SSW_MODEL_DIM_QUERIES:
        return (uint64_t)h->n_heads * ((uint64_t)h->latent.nope_dim + (uint64_t)h->rope.n_dims);
    case SSW_MODEL_DIM_Q_RANK:
        return (uint64_t)h->latent.q_rank;
    case SSW_MODEL_DIM_KV_RANK:
        return (uint64_t)h->latent.kv_rank;
    case SSW_MODEL_DIM_NOPE:
        return (uint64_t)h->latent.nope_dim;
    case SSW_MODEL_DIM_VALUE:
        return (uint64_t)h->latent.value_dim;
    case SSW_MODEL_DIM_KEYS_VALUES:
        return (uint64_t)h->n_heads * ((uint64_t)h->latent.nope_dim + (uint64_t)h->latent.value_dim);
    case SSW_MODEL_DIM_ATTENDED:
        return (uint64_t)ssw_model_attended_width(h);
    case SSW_MODEL_DIM_FF_EXPERT:
        return (uint64_t)h->n_ff_expert;
    case SSW_MODEL_DIM_FF_DENSE:
        return (uint64_t)h->n_ff_dense;
    case SSW_MODEL_DIM_FF_SHARED:
        return (uint64_t)h->n_ff_shared;
    case SSW_MODEL_DIM_EXPERTS:
        return (uint64_t)h->n_experts;
    }
    return 0;
}

/* The vocabulary's size stands nowhere but in the embedding's shape. */
static void read_vocab(ssw_model_keys *keys, ssw_model_hparams *h)
{
    const ssw_gguf_tensor *embd = ssw_gguf_find_tensor(keys->gguf, "token_embd.weight");
    if (!embd) {
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "tensor 'token_embd.weight' is missing");
        return;
    }
    if (embd->dims[1] < 1 || embd->dims[1] > SSW_MODEL_VOCAB_MAX) {
        ssw_model_keys_refuse(keys, SSW_ERR_LIMIT,
                              "tensor 'token_embd.weight' has %llu rows, expected 1 to %d",
                              (unsigned long long)embd->dims[1], SSW_MODEL_VOCAB_MAX);
        return;
    }
    h->n_vocab = (int32_t)embd->dims[1];
}

static void check_type(ssw_model_keys *keys, const ssw_model_tensor_spec *spec, const ssw_gguf_tensor *tensor)
{
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)tensor->dtype);
    if (spec->kind == SSW_MODEL_FLOATS && tensor->dtype == SSW_DTYPE_F32)
        return;
    if (spec->kind == SSW_MODEL_MATRIX && ssw_quant_supports(tensor->dtype))
        return;
    ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED, "tensor '%s' is %s, expected %s", tensor->name,
                          traits ? traits->name : "of an unknown type",
                          spec->kind == SSW_MODEL_FLOATS ? "F32" : "F32, F16, BF16 or a quantised type");
}

static const ssw_gguf_tensor *resolve(ssw_model_keys *keys, const ssw_model_hparams *h,
                                      const ssw_model_tensor_spec *spec, int32_t layer)
{
    char name[TENSOR_NAME_MAX];
    if (layer < 0)
        snprintf(name, sizeof name, "%s", spec->name);
    else
        snprintf(name, sizeof name, "blk.%d.%s", (int)layer, spec->name);
    const ssw_gguf_tensor *tensor = ssw_gguf_find_tensor(keys->gguf, name);
    if (!tensor) {
        if (spec->presence != SSW_MODEL_OPTIONAL)
            ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "tensor '%s' is missing", name);
        return NULL;
    }
    uint64_t want[SSW_GGUF_DIMS_MAX] = {1, 1, 1, 1};
    bool same = true;
    for (int i = 0; i < SSW_GGUF_DIMS_MAX; i++) {
        if (i < 3)
            want[i] = dim_value(h, spec->dims[i]);
        same = same && tensor->dims[i] == want[i];
    }
    if (!same)
        ssw_model_keys_refuse(
            keys, SSW_ERR_FORMAT,
            "tensor '%s' has shape [%llu, %llu, %llu, %llu], expected [%llu, %llu, %llu, 1]", name,
            (unsigned long long)tensor->dims[0], (unsigned long long)tensor->dims[1],
            (unsigned long long)tensor->dims[2], (unsigned long long)tensor->dims[3],
            (unsigned long long)want[0], (unsigned long long)want[1], (unsigned long long)want[2]);
    check_type(keys, spec, tensor);
    return tensor;
}

/* The fused expert job reads gate and up side by side. */
static void check_pairs(ssw_model_keys *keys, const ssw_model *model)
{
    static const ssw_model_slot pairs[][2] = {{SSW_MODEL_GATE_EXPS, SSW_MODEL_UP_EXPS},
                                              {SSW_MODEL_GATE_SHARED, SSW_MODEL_UP_SHARED},
                                              {SSW_MODEL_FFN_GATE, SSW_MODEL_FFN_UP}};
    enum { N_PAIRS = sizeof pairs / sizeof pairs[0] };
    for (int32_t i = 0; i < model->hparams.n_layers * N_PAIRS; i++) {
        const ssw_gguf_tensor *gate = ssw_model_tensor(model, i / N_PAIRS, pairs[i % N_PAIRS][0]);
        const ssw_gguf_tensor *up = ssw_model_tensor(model, i / N_PAIRS, pairs[i % N_PAIRS][1]);
        if (gate && up && gate->dtype != up->dtype)
            ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                                  "tensor '%s' is %s, but '%s' is %s: expected the same", up->name,
                                  ssw_dtype_find((uint32_t)up->dtype)->name, gate->name,
                                  ssw_dtype_find((uint32_t)gate->dtype)->name);
    }
}

static bool belongs(const ssw_model_tensor_spec *spec, int32_t layer, const ssw_model_hparams *h)
{
    if ((spec->slot < SSW_MODEL_SLOT_GLOBAL_COUNT) != (layer < 0))
        return false;
    switch (spec->presence) {
    case SSW_MODEL_ALWAYS:
    case SSW_MODEL_OPTIONAL:
        return true;
    case SSW_MODEL_DENSE_LAYERS:
        return layer < h->n_dense_layers;
    case SSW_MODEL_EXPERT_LAYERS:
        return layer >= h->n_dense_layers;
    case SSW_MODEL_FULL_QUERIES:
        return h->latent.q_rank == 0;
    case SSW_MODEL_LOW_QUERIES:
        return h->latent.q_rank > 0;
    case SSW_MODEL_SPLIT_HEADS:
        return !h->latent.is_joint;
    case SSW_MODEL_JOINT_HEADS:
        return h->latent.is_joint;
    }
    return false;
}

/* A tensor that we would not use would change what the model computes: refuse rather than guess. */
static void check_none_left(ssw_model_keys *keys, const ssw_model *model, size_t n_used)
{
    size_t n = ssw_gguf_count_tensors(keys->gguf);
    size_t n_cells = (size_t)(model->hparams.n_layers + 1) * SSW_MODEL_SLOT_COUNT;
    if (keys->status != SSW_OK || n == n_used)
        return;
    for (size_t i = 0; i < n; i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(keys->gguf, i);
        bool used = false;
        for (size_t k = 0; k < n_cells && !used; k++)
            used = model->tensors[k] == tensor;
        if (!used) {
            ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                                  "tensor '%s' is not part of a %s model of %d layers", tensor->name,
                                  model->arch_name, model->hparams.n_layers);
            return;
        }
    }
}

static void resolve_all(ssw_model_keys *keys, ssw_model *model)
{
    size_t n_used = 0;
    for (int32_t layer = -1; layer < model->hparams.n_layers && keys->status == SSW_OK; layer++) {
        for (int i = 0; i < model->arch->n_tensors && keys->status == SSW_OK; i++) {
            const ssw_model_tensor_spec *spec = &model->arch->tensors[i];
            if (!belongs(spec, layer, &model->hparams))
                continue;
            const ssw_gguf_tensor *tensor = resolve(keys, &model->hparams, spec, layer);
            if (keys->status != SSW_OK)
                return;
            if (!tensor)
                continue;
            model->tensors[(size_t)(layer + 1) * SSW_MODEL_SLOT_COUNT + spec->slot] = tensor;
            model->n_parameters += tensor->dims[0] * tensor->dims[1] * tensor->dims[2];
            n_used++;
        }
    }
    if (keys->status == SSW_OK)
        check_pairs(keys, model);
    check_none_left(keys, model, n_used);
    if (!model->tensors[SSW_MODEL_OUTPUT])
        model->tensors[SSW_MODEL_OUTPUT] = model->tensors[SSW_MODEL_TOKEN_EMBD];
}

ssw_status ssw_model_open(const ssw_gguf *gguf, ssw_model *model, ssw_error *err)
{
    ssw_error own;
    ssw_model_keys keys = {.gguf = gguf, .arch_name = "", .status = SSW_OK, .err = err ? err : &own};
    memset(model, 0, sizeof *model);
    model->arch = find_arch(&keys);
    if (!model->arch)
        return keys.status;
    keys.arch_name = model->arch_name = model->arch->name;
    model->arch->read_hparams(&keys, &model->hparams);
    if (keys.status == SSW_OK)
        read_vocab(&keys, &model->hparams);
    if (keys.status != SSW_OK)
        return keys.status;
    model->tensors =
        calloc((size_t)(model->hparams.n_layers + 1) * SSW_MODEL_SLOT_COUNT, sizeof *model->tensors);
    if (!model->tensors)
        return ssw_error_set(err, SSW_ERR_NOMEM, "%s: no memory for the table of tensors",
                             ssw_gguf_file_path(gguf, 0));
    resolve_all(&keys, model);
    if (keys.status != SSW_OK)
        ssw_model_deinit(model);
    return keys.status;
}

bool ssw_model_follow_llama_cpp(ssw_model *model)
{
    if (model->arch->follow_llama_cpp)
        model->arch->follow_llama_cpp(&model->hparams);
    return model->arch->follow_llama_cpp != NULL;
}

void ssw_model_deinit(ssw_model *model)
{
    free(model->tensors);
    memset(model, 0, sizeof *model);
}

const ssw_gguf_tensor *ssw_model_tensor(const ssw_model *model, int32_t layer, ssw_model_slot slot)
{
    return model->tensors[(size_t)(layer + 1) * SSW_MODEL_SLOT_COUNT + slot];
}

int32_t ssw_model_attended_width(const ssw_model_hparams *hparams)
{
    bool is_latent = hparams->latent.kv_rank > 0;
    return hparams->n_heads * (is_latent ? hparams->latent.value_dim : hparams->head_dim);
}

bool ssw_model_is_vector(const ssw_model *model, ssw_model_slot slot)
{
    for (int i = 0; i < model->arch->n_tensors; i++) {
        if (model->arch->tensors[i].slot == slot)
            return model->arch->tensors[i].kind == SSW_MODEL_FLOATS;
    }
    return false;
}
