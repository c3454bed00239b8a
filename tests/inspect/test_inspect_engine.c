/* inspect's forecast of the KV cache, and what a token reads, are what the engine itself takes and says. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/memory_forecast.h"
#include "seesaw/engine.h"

static char **model_paths; /* up to NULL */

static void check_context(const char *model_path, int32_t ctx_size)
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
    options.ctx_size = ctx_size;
    options.n_batch = SSW_FORECAST_BATCH;
    options.n_threads = 1;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK ||
        ssw_gguf_open(model_path, &gguf, &err) != SSW_OK ||
        ssw_model_facts_read(gguf, facts, &err) != SSW_OK ||
        ssw_forecast_make(gguf, facts, &(ssw_forecast_options){.ctx_size = ctx_size}, forecast, &err) !=
            SSW_OK)
        fail_msg("%s", err.message);
    const ssw_engine_info *info = ssw_engine_describe(engine);
    for (int32_t i = 0; i < info->n_places; i++)
        kv_bytes += strcmp(info->places[i].tensors, "kv cache") == 0 ? info->places[i].actual_bytes : 0;
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
        check_context(*path, 2048); /* windowed layers keep less than the context */
        check_context(*path, 96);   /* and here all of it */
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    model_paths = argv + 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
