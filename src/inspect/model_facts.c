/* See model_facts.h. */
#include "inspect/model_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES_MAX = 256 };

static void read_text(const ssw_gguf *gguf, const char *key, char out[SSW_FACTS_TEXT_MAX])
{
    ssw_gguf_text text;
    out[0] = '\0';
    if (!ssw_gguf_read_text(ssw_gguf_find_key(gguf, key), &text))
        return;
    size_t n = text.n_bytes < SSW_FACTS_TEXT_MAX - 1 ? text.n_bytes : SSW_FACTS_TEXT_MAX - 1;
    for (size_t i = 0; i < n; i++) /* nothing that could steer a terminal */
        out[i] = (unsigned char)text.bytes[i] < ' ' || text.bytes[i] == 0x7F ? '?' : text.bytes[i];
    out[n] = '\0';
}

/* <architecture>.<name>; 0 when absent, an array, or out of range. */
static int32_t read_number(const ssw_gguf *gguf, const ssw_model_facts *facts, const char *name)
{
    char key[KEY_BYTES_MAX];
    uint64_t value;
    snprintf(key, sizeof key, "%s.%s", facts->architecture, name);
    if (!ssw_gguf_read_u64(ssw_gguf_find_key(gguf, key), &value) || value > INT32_MAX)
        return 0;
    return (int32_t)value;
}

static void read_shape(const ssw_gguf *gguf, ssw_model_facts *f)
{
    f->n_layers = read_number(gguf, f, "block_count");
    f->n_embd = read_number(gguf, f, "embedding_length");
    f->ctx_train = read_number(gguf, f, "context_length");
    f->n_heads = read_number(gguf, f, "attention.head_count");
    f->n_heads_kv = read_number(gguf, f, "attention.head_count_kv");
    f->key_length = read_number(gguf, f, "attention.key_length");
    f->value_length = read_number(gguf, f, "attention.value_length");
    f->n_experts = read_number(gguf, f, "expert_count");
    f->n_experts_used = read_number(gguf, f, "expert_used_count");
    f->n_shared_experts = read_number(gguf, f, "expert_shared_count");
    f->n_dense_layers = read_number(gguf, f, "leading_dense_block_count");
    f->window = read_number(gguf, f, "attention.sliding_window");
    f->kv_lora_rank = read_number(gguf, f, "attention.kv_lora_rank");
    f->rope_dims = read_number(gguf, f, "rope.dimension_count");
    if (f->n_heads_kv == 0)
        f->n_heads_kv = f->n_heads;
    if (f->key_length == 0 && f->n_heads > 0)
        f->key_length = f->n_embd / f->n_heads;
    if (f->value_length == 0 && f->n_heads > 0)
        f->value_length = f->n_embd / f->n_heads;
    const ssw_gguf_key *tokens = ssw_gguf_find_key(gguf, "tokenizer.ggml.tokens");
    const ssw_gguf_tensor *table = ssw_gguf_find_tensor(gguf, "token_embd.weight");
    uint64_t n_vocab = table ? table->dims[1] : ssw_gguf_array_length(tokens);
    f->n_vocab = n_vocab <= INT32_MAX ? (int32_t)n_vocab : 0;
}

static void add(ssw_facts_share *share, uint64_t n_elements, uint64_t n_bytes)
{
    share->n_tensors++;
    share->n_elements += n_elements;
    share->n_bytes += n_bytes;
}

static void add_type(ssw_model_facts *f, ssw_dtype dtype, uint64_t n_elements, uint64_t n_bytes)
{
    int32_t i = 0;
    while (i < f->n_types && f->types[i].dtype != dtype)
        i++;
    if (i == f->n_types) {
        if (f->n_types == SSW_FACTS_TYPES_MAX)
            return; /* the reader knows fewer types than that */
        f->types[f->n_types++] = (ssw_facts_type){.dtype = dtype};
    }
    add(&f->types[i].share, n_elements, n_bytes);
}

static int by_bytes(const void *a, const void *b)
{
    const ssw_facts_type *x = a, *y = b;
    return (x->share.n_bytes < y->share.n_bytes) - (x->share.n_bytes > y->share.n_bytes);
}

/* n * used / all without overflow, rounded down. */
static uint64_t used_part(const ssw_model_facts *f, uint64_t n)
{
    if (f->n_experts <= 0)
        return n;
    uint64_t all = (uint64_t)f->n_experts, used = (uint64_t)f->n_experts_used;
    return n / all * used + n % all * used / all;
}

static ssw_status add_tensor(const ssw_gguf *gguf, const ssw_gguf_tensor *tensor, ssw_model_facts *f,
                             ssw_error *err)
{
    ssw_tensor_role role = ssw_tensor_role_of(tensor->name);
    uint64_t n_elements = 1;
    for (int i = 0; i < tensor->n_dims; i++)
        n_elements *= tensor->dims[i];
    if (role.layer >= SSW_FACTS_LAYERS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%s: tensor '%s' is of a layer beyond %d",
                             ssw_gguf_file_path(gguf, 0), tensor->name, SSW_FACTS_LAYERS_MAX - 1);
    add(&f->all, n_elements, tensor->n_bytes);
    add(&f->classes[role.kind], n_elements, tensor->n_bytes);
    add_type(f, tensor->dtype, n_elements, tensor->n_bytes);
    bool is_expert = role.kind == SSW_TENSOR_EXPERT || role.kind == SSW_TENSOR_EXPERT_BIAS;
    if (role.layer >= 0) {
        f->layer_bytes[role.layer] += tensor->n_bytes;
        f->layer_expert_bytes[role.layer] += is_expert ? tensor->n_bytes : 0;
    }
    if (is_expert) {
        f->expert_bytes += tensor->n_bytes;
        f->expert_bytes_per_token += used_part(f, tensor->n_bytes);
        f->n_active += used_part(f, n_elements);
    } else {
        bool is_table = role.kind == SSW_TENSOR_EMBEDDING;
        f->other_bytes_per_token +=
            is_table ? ssw_dtype_row_bytes(tensor->dtype, tensor->dims[0]) : tensor->n_bytes;
        f->n_active += n_elements;
    }
    return SSW_OK;
}

static ssw_status check_limits(const ssw_model_facts *f, const char *path, ssw_error *err)
{
    const struct {
        const char *what;
        int32_t value, max;
    } limits[] = {
        {"layers", f->n_layers, SSW_FACTS_LAYERS_MAX},
        {"experts", f->n_experts, SSW_FACTS_EXPERTS_MAX},
        {"key-value heads", f->n_heads_kv, SSW_FACTS_WIDTH_MAX},
        {"numbers in a key", f->key_length, SSW_FACTS_WIDTH_MAX},
        {"numbers in a value", f->value_length, SSW_FACTS_WIDTH_MAX},
        {"numbers in a latent vector", f->kv_lora_rank, SSW_FACTS_WIDTH_MAX},
        {"rotated numbers in a key", f->rope_dims, SSW_FACTS_WIDTH_MAX},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (limits[i].value > limits[i].max)
            return ssw_error_set(err, SSW_ERR_LIMIT, "%s: %d %s; at most %d are believed", path,
                                 limits[i].value, limits[i].what, limits[i].max);
    }
    return SSW_OK;
}

ssw_status ssw_model_facts_read(const ssw_gguf *gguf, ssw_model_facts *facts, ssw_error *err)
{
    memset(facts, 0, sizeof *facts);
    read_text(gguf, "general.architecture", facts->architecture);
    read_text(gguf, "general.name", facts->name);
    if (!facts->architecture[0])
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: no general.architecture: not a model",
                             ssw_gguf_file_path(gguf, 0));
    read_shape(gguf, facts);
    ssw_status status = check_limits(facts, ssw_gguf_file_path(gguf, 0), err);
    if (status != SSW_OK)
        return status;
    if (facts->n_experts_used > facts->n_experts)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: uses %d experts of %d", ssw_gguf_file_path(gguf, 0),
                             facts->n_experts_used, facts->n_experts);
    facts->n_files = ssw_gguf_count_files(gguf);
    for (size_t i = 0; i < facts->n_files; i++)
        facts->file_bytes += ssw_gguf_file_bytes(gguf, i);
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++) {
        status = add_tensor(gguf, ssw_gguf_tensor_at(gguf, i), facts, err);
        if (status != SSW_OK)
            return status;
    }
    /* A model without an output tensor multiplies by the embedding table instead. */
    if (facts->classes[SSW_TENSOR_OUTPUT].n_tensors == 0)
        facts->other_bytes_per_token += facts->classes[SSW_TENSOR_EMBEDDING].n_bytes;
    qsort(facts->types, (size_t)facts->n_types, sizeof facts->types[0], by_bytes);
    return SSW_OK;
}

bool ssw_model_facts_layer_is_windowed(const ssw_model_facts *facts, int32_t layer)
{
    return facts->window > 0 && strcmp(facts->architecture, "gpt-oss") == 0 && layer % 2 == 0;
}
