/* inspect's forecast of the KV cache, and what a token reads, are what the engine itself takes and says; on a
 * GPU, where there is one or tests/stand_in plays it, with every type of cache. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "engine/gpu.h"
#include "inspect/memory_forecast.h"
#include "seesaw/engine.h"

static char **model_paths; /* up to NULL */

/* n_gpu_layers: 0 or all. */
static void check_context(const char *model_path, int32_t n_gpu_layers,
                          const ssw_forecast_options *forecast_options)
{
    ssw_engine_options options;
    ssw_engine *engine;
    ssw_gguf *gguf;
    ssw_error err = {0};
    ssw_model_facts *facts = calloc(1, sizeof *facts);
    ssw_forecast *forecast = calloc(1, sizeof *forecast);
    uint64_t kv_bytes = 0;
    assert_true(facts && forecast);
    ssw_engine_options_init(&options);
    options.model_path = model_path;
    options.ctx_size = forecast_options->ctx_size;
    options.cache_type_k = forecast_options->cache_type_k;
    options.cache_type_v = forecast_options->cache_type_v;
    options.n_gpu_layers = n_gpu_layers;
    options.n_batch = SSW_FORECAST_BATCH;
    options.n_threads = 1;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK ||
        ssw_gguf_open(model_path, &gguf, &err) != SSW_OK ||
        ssw_model_facts_read(gguf, facts, &err) != SSW_OK ||
        ssw_forecast_make(gguf, facts, forecast_options, forecast, &err) != SSW_OK)
        fail_msg("%s", err.message);
    const ssw_engine_info *info = ssw_engine_describe(engine);
    bool is_on_gpu = false;
    for (int32_t i = 0; i < info->n_places; i++) {
        if (strcmp(info->places[i].tensors, "kv cache") != 0)
            continue;
        kv_bytes += info->places[i].actual_bytes;
        is_on_gpu |= strcmp(info->places[i].device, "CPU") != 0;
    }
    assert_int_equal(is_on_gpu, n_gpu_layers != 0);
    assert_int_equal(forecast->kv_bytes, kv_bytes);
    assert_int_equal(facts->all.n_elements, info->n_parameters);
    assert_int_equal(facts->n_layers, info->n_layers);
    assert_int_equal(facts->n_experts, info->n_experts);
    assert_int_equal(facts->n_vocab, info->n_vocab);
    ssw_engine_close(engine);
    ssw_gguf_close(gguf);
    free(forecast);
    free(facts);
}

static void test_same_numbers(void **state)
{
    (void)state;
    for (char **path = model_paths; *path; path++) {
        /* windowed layers keep less than the context, and then all of it */
        check_context(*path, 0, &(ssw_forecast_options){2048, SSW_DTYPE_F16, SSW_DTYPE_F16, 0});
        check_context(*path, 0, &(ssw_forecast_options){96, SSW_DTYPE_F16, SSW_DTYPE_F16, 0});
    }
}

static void test_same_numbers_on_a_gpu(void **state)
{
    (void)state;
    static const ssw_dtype types[] = {SSW_DTYPE_F16, SSW_DTYPE_Q8_0};
    ssw_gpu_device device;
    ssw_error err;
    if (ssw_gpu_find(&device, &err) != SSW_OK)
        skip();
    for (int i = 0; i < 4; i++) /* the first model; the others have latent attention, which runs on the CPU */
        check_context(model_paths[0], SSW_ENGINE_LAYERS_ALL,
                      &(ssw_forecast_options){2048, types[i / 2], types[i % 2], 0});
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    model_paths = argv + 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_numbers),
                                       cmocka_unit_test(test_same_numbers_on_a_gpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
