/* Facts and forecast of synthetic models whose numbers can be worked out by hand, and of hostile metadata. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gguf/gguf_files.h"
#include "../synth/tiny_shape.h"
#include "gguf/gguf_writer.h"
#include "inspect/memory_forecast.h"
#include "synth/synth.h"

enum { PATH_MAX_BYTES = 512, N_VOCAB = 1024 };

typedef struct fixture {
    ssw_gguf *gguf;
    ssw_model_facts *facts;
    ssw_forecast *forecast;
} fixture;

static fixture inspect_synthetic(const ssw_shape *shape, const char *quant, int32_t ctx_size,
                                 double host_bytes_per_s)
{
    char path[PATH_MAX_BYTES];
    ssw_synth_options o = {.shape = shape, .mix = ssw_synth_find_mix(quant), .n_vocab = N_VOCAB, .seed = 1};
    ssw_synth_run run = {.n_threads = 1};
    ssw_synth_result result;
    ssw_error err = {0};
    fixture f = {.facts = calloc(1, sizeof *f.facts), .forecast = calloc(1, sizeof *f.forecast)};
    const ssw_forecast_options forecast = {.ctx_size = ctx_size,
                                           .cache_type_k = SSW_DTYPE_F16,
                                           .cache_type_v = SSW_DTYPE_F16,
                                           .host_bytes_per_s = host_bytes_per_s};
    assert_true(f.facts && f.forecast);
    scratch_path(path, sizeof path, "inspect.gguf");
    if (ssw_synth_options_resolve(&o, &err) != SSW_OK ||
        ssw_synth_write(&o, path, &run, &result, &err) != SSW_OK ||
        ssw_gguf_open(path, &f.gguf, &err) != SSW_OK ||
        ssw_model_facts_read(f.gguf, f.facts, &err) != SSW_OK ||
        ssw_forecast_make(f.gguf, f.facts, &forecast, f.forecast, &err) != SSW_OK)
        fail_msg("%s: %s", shape->name, err.message);
    assert_int_equal(f.facts->all.n_elements - f.facts->classes[SSW_TENSOR_OTHER].n_elements,
                     result.n_parameters);
    assert_int_equal(f.facts->n_active - f.facts->classes[SSW_TENSOR_OTHER].n_elements, result.n_active);
    assert_int_equal(f.facts->all.n_bytes, result.tensor_bytes);
    return f;
}

static void release(fixture *f)
{
    ssw_gguf_close(f->gguf);
    free(f->facts);
    free(f->forecast);
}

/* The facts repeat the shape; the classes sum to the whole; arms move exactly a layer's experts each. */
static void test_every_shape(void **state)
{
    (void)state;
    for (size_t i = 0; i < ssw_shape_count(); i++) {
        ssw_shape shape = tiny_shape(ssw_shape_at(i));
        fixture f = inspect_synthetic(&shape, shape.quant, 512, 0);
        const ssw_model_facts *m = f.facts;
        uint64_t classes_bytes = 0, types_bytes = 0;
        assert_string_equal(m->architecture, shape.architecture);
        assert_int_equal(m->n_layers, shape.n_layers);
        assert_int_equal(m->n_embd, shape.n_embd);
        assert_int_equal(m->n_vocab, N_VOCAB);
        assert_int_equal(m->n_heads, shape.n_heads);
        assert_int_equal(m->n_heads_kv, shape.n_heads_kv);
        assert_int_equal(m->n_experts, shape.n_experts);
        assert_int_equal(m->n_experts_used, shape.n_experts_used);
        assert_int_equal(m->n_shared_experts, shape.n_shared_experts);
        assert_int_equal(m->n_dense_layers, shape.n_dense_layers);
        assert_int_equal(m->kv_lora_rank, shape.kv_lora_rank);
        for (int c = 0; c < SSW_TENSOR_CLASS_COUNT; c++)
            classes_bytes += m->classes[c].n_bytes;
        for (int32_t t = 0; t < m->n_types; t++)
            types_bytes += m->types[t].share.n_bytes;
        assert_int_equal(classes_bytes, m->all.n_bytes);
        assert_int_equal(types_bytes, m->all.n_bytes);
        assert_int_equal(f.forecast->n_arms, shape.n_layers + 1);
        for (int32_t n = 1; n < f.forecast->n_arms; n++) {
            const ssw_forecast_arm *before = &f.forecast->arms[n - 1], *arm = &f.forecast->arms[n];
            assert_int_equal(before->vram_bytes - arm->vram_bytes, m->layer_expert_bytes[n - 1]);
            assert_int_equal(arm->ram_bytes - before->ram_bytes, m->layer_expert_bytes[n - 1]);
            assert_int_equal(arm->ram_bytes + arm->vram_bytes, m->all.n_bytes + f.forecast->kv_bytes);
        }
        assert_int_equal(f.forecast->arms[0].ram_bytes, m->classes[SSW_TENSOR_EMBEDDING].n_bytes);
        release(&f);
    }
}

/* 3 layers of 8 experts with 3 matrices of 64 x 256 in Q8_0 (34 bytes for 32 weights); 2 experts are used. */
static void test_numbers_by_hand(void **state)
{
    (void)state;
    ssw_shape shape = tiny_shape(ssw_shape_find("mixtral-8x7b"));
    fixture f = inspect_synthetic(&shape, "Q8_0", 100, 1e9);
    const uint64_t matrix_bytes = 64 * 256 / 32 * 34, expert_bytes = 3 * 8 * 3 * matrix_bytes;
    assert_int_equal(f.facts->expert_bytes, expert_bytes);
    assert_int_equal(f.facts->expert_bytes_per_token, expert_bytes / 4);
    assert_int_equal(f.forecast->arms[3].host_bytes_per_token, expert_bytes / 4);
    assert_int_equal(f.forecast->arms[1].host_bytes_per_token, expert_bytes / 12);
    assert_true(fabs(f.forecast->arms[3].ceiling_tokens_per_s - 1e9 / ((double)expert_bytes / 4)) < 1e-6);
    assert_true(f.forecast->arms[0].ceiling_tokens_per_s == 0); /* nothing is read from host memory */
    /* 100 positions rounded up to 128, 1 key-value head of 128 keys and 128 values, 2 bytes each, 3 layers */
    assert_int_equal(f.forecast->kv_bytes, 128 * (128 + 128) * 2 * 3);
    release(&f);
}

/* gpt-oss keeps window + batch rows in every second layer; latent attention keeps rank + rotated width. */
static void test_kv_cache(void **state)
{
    (void)state;
    const ssw_forecast_options long_context = {8192, SSW_DTYPE_F16, SSW_DTYPE_F16, 0};
    const ssw_forecast_options short_context = {64, SSW_DTYPE_F16, SSW_DTYPE_F16, 0};
    const ssw_forecast_options latent = {4096, SSW_DTYPE_F16, SSW_DTYPE_F16, 0};
    ssw_shape shape = tiny_shape(ssw_shape_find("gpt-oss-20b"));
    fixture f = inspect_synthetic(&shape, "MXFP4", 8192, 0);
    const uint64_t row_bytes = (128 + 128) * 2;
    assert_int_equal(ssw_forecast_layer_kv_bytes(f.facts, 0, &long_context),
                     (128 + SSW_FORECAST_BATCH) * row_bytes);
    assert_int_equal(ssw_forecast_layer_kv_bytes(f.facts, 1, &long_context), 8192 * row_bytes);
    assert_int_equal(ssw_forecast_layer_kv_bytes(f.facts, 0, &short_context), 64 * row_bytes);
    release(&f);
    shape = tiny_shape(ssw_shape_find("deepseek-v2-lite"));
    f = inspect_synthetic(&shape, "Q4_0", 4096, 0);
    assert_int_equal(ssw_forecast_layer_kv_bytes(f.facts, 0, &latent), 4096 * (64 + 32) * 2);
    release(&f);
}

/* Q8_0 takes 34 bytes for 32 numbers, F16 64: on the GPU only. Heads must be whole blocks. */
static void test_cache_types(void **state)
{
    (void)state;
    ssw_error err;
    ssw_shape shape = tiny_shape(ssw_shape_find("mixtral-8x7b"));
    fixture f = inspect_synthetic(&shape, "Q8_0", 128, 0);
    const ssw_forecast_arm before = f.forecast->arms[0], host_before = f.forecast->no_gpu;
    const uint64_t half_bytes = 128 * 128 * 2 * 3, half_q8_bytes = half_bytes / 64 * 34;
    assert_int_equal(f.forecast->kv_bytes, 2 * half_bytes);
    ssw_forecast_options o = {.ctx_size = 128, .cache_type_k = SSW_DTYPE_Q8_0, .cache_type_v = SSW_DTYPE_F16};
    assert_int_equal(ssw_forecast_make(f.gguf, f.facts, &o, f.forecast, &err), SSW_OK);
    assert_int_equal(f.forecast->kv_bytes, half_bytes + half_q8_bytes);
    assert_int_equal(before.vram_bytes - f.forecast->arms[0].vram_bytes, half_bytes - half_q8_bytes);
    assert_int_equal(f.forecast->arms[0].ram_bytes, before.ram_bytes);
    o.cache_type_v = SSW_DTYPE_Q8_0;
    assert_int_equal(ssw_forecast_make(f.gguf, f.facts, &o, f.forecast, &err), SSW_OK);
    assert_int_equal(f.forecast->kv_bytes, 2 * half_q8_bytes);
    assert_int_equal(f.forecast->no_gpu.ram_bytes, host_before.ram_bytes);
    f.facts->value_length = 80;
    assert_int_equal(ssw_forecast_make(f.gguf, f.facts, &o, f.forecast, &err), SSW_ERR_UNSUPPORTED);
    assert_string_equal(
        err.message,
        "--cache-type-v Q8_0: this model's heads have 80 dimensions, which are no whole blocks of 32");
    release(&f);
    shape = tiny_shape(ssw_shape_find("deepseek-v2-lite"));
    f = inspect_synthetic(&shape, "Q4_0", 4096, 0); /* the latent vector is the keys' */
    o = (ssw_forecast_options){
        .ctx_size = 4096, .cache_type_k = SSW_DTYPE_Q8_0, .cache_type_v = SSW_DTYPE_F16};
    assert_int_equal(ssw_forecast_layer_kv_bytes(f.facts, 0, &o), 4096 * (64 + 32) / 32 * 34);
    release(&f);
}

/* ---- hostile metadata ---- */

typedef void set_keys(ssw_gguf_writer *writer);

static ssw_status read_facts(set_keys *keys, const char *tensor, ssw_model_facts *facts, ssw_error *err)
{
    char path[PATH_MAX_BYTES];
    ssw_gguf_writer *writer;
    ssw_gguf *gguf;
    const float zeros[32] = {0};
    scratch_path(path, sizeof path, "hostile.gguf");
    assert_int_equal(ssw_gguf_writer_open(path, 0, &writer, err), SSW_OK);
    keys(writer);
    ssw_gguf_writer_add_tensor(writer, tensor, SSW_DTYPE_F32, 1, (const uint64_t[]){32});
    assert_int_equal(ssw_gguf_writer_begin_data(writer, err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_write_data(writer, zeros, sizeof zeros, err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_finish(writer, err), SSW_OK);
    ssw_gguf_writer_close(writer);
    assert_int_equal(ssw_gguf_open(path, &gguf, err), SSW_OK);
    ssw_status status = ssw_model_facts_read(gguf, facts, err);
    ssw_gguf_close(gguf);
    return status;
}

static void set_nothing(ssw_gguf_writer *writer)
{
    ssw_gguf_writer_set_u32(writer, "some.key", 1);
}

static void set_many_layers(ssw_gguf_writer *writer)
{
    ssw_gguf_writer_set_text(writer, "general.architecture", "x");
    ssw_gguf_writer_set_u32(writer, "x.block_count", 1000000);
}

static void set_more_used_than_there_are(ssw_gguf_writer *writer)
{
    ssw_gguf_writer_set_text(writer, "general.architecture", "x");
    ssw_gguf_writer_set_u32(writer, "x.expert_count", 4);
    ssw_gguf_writer_set_u32(writer, "x.expert_used_count", 5);
}

static void set_huge_and_wrong(ssw_gguf_writer *writer)
{
    ssw_gguf_writer_set_text(writer, "general.architecture", "x");
    ssw_gguf_writer_set_text(writer, "general.name", "bell\a and \x1b[31m");
    ssw_gguf_writer_set_u32(writer, "x.embedding_length", UINT32_MAX);
    ssw_gguf_writer_set_text(writer, "x.attention.head_count", "many");
}

static void test_hostile(void **state)
{
    (void)state;
    ssw_model_facts *facts = calloc(1, sizeof *facts);
    ssw_error err;
    assert_int_equal(read_facts(set_nothing, "a.weight", facts, &err), SSW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no general.architecture"));
    assert_int_equal(read_facts(set_many_layers, "a.weight", facts, &err), SSW_ERR_LIMIT);
    assert_int_equal(read_facts(set_more_used_than_there_are, "a.weight", facts, &err), SSW_ERR_FORMAT);
    assert_int_equal(read_facts(set_huge_and_wrong, "blk.99999.attn_q.weight", facts, &err), SSW_ERR_LIMIT);
    assert_int_equal(read_facts(set_huge_and_wrong, "blk.7.attn_q.weight", facts, &err), SSW_OK);
    assert_string_equal(facts->name, "bell? and ?[31m");
    assert_int_equal(facts->n_embd, 0);
    assert_int_equal(facts->n_heads, 0);
    assert_int_equal(facts->all.n_elements, 32);
    free(facts);
}

static int remove_scratch(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape), cmocka_unit_test(test_numbers_by_hand),
        cmocka_unit_test(test_kv_cache),    cmocka_unit_test(test_cache_types),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
