/* What the engine takes of a GPU: as much as it predicts, no more than there is, and as many experts as fit.
 * On a model whose tensors are large enough for alignment not to matter; the GPU is tests/stand_in. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu_case.h"
#include "stand_in.h"
#include "tiny_gpt_oss.h"

/* Of what is free this much is left alone: GPU_RESERVE_BYTES of engine_plan.c. */
#define RESERVE_BYTES (UINT64_C(128) << 20)

enum { N_LAYERS = 5 };

static char path[64];

static int write_model(void **state)
{
    tiny_shape shape = tiny_shape_default();
    shape.n_layers = N_LAYERS;
    shape.n_ff = 128;
    shape.n_experts = 8;
    snprintf(path, sizeof path, "tiny-gpu-memory-%d.gguf", (int)getpid());
    tiny_gpt_oss_write(path, &shape, 3, NULL);
    return 0;
}

static int remove_model(void **state)
{
    unlink(path);
    return 0;
}

static bool is_near(uint64_t a, uint64_t b)
{
    uint64_t larger = a > b ? a : b;
    return larger - (a < b ? a : b) <= larger * 3 / 100;
}

/* The table's bytes on the GPU: of the KV cache, of the compute buffers, of the weights. */
enum { CACHE, BUFFERS, WEIGHTS, N_CLASSES };

static void sum_classes(const ssw_engine *engine, uint64_t predicted[N_CLASSES], uint64_t actual[N_CLASSES])
{
    const ssw_engine_info *info = ssw_engine_describe(engine);
    memset(predicted, 0, N_CLASSES * sizeof *predicted);
    memset(actual, 0, N_CLASSES * sizeof *actual);
    for (int32_t i = 0; i < info->n_places; i++) {
        const ssw_engine_place *place = &info->places[i];
        int which = strcmp(place->tensors, "kv cache") == 0          ? CACHE
                    : strcmp(place->tensors, "compute buffers") == 0 ? BUFFERS
                                                                     : WEIGHTS;
        if (strcmp(place->device, "CUDA0") != 0)
            continue;
        predicted[which] += place->predicted_bytes;
        actual[which] += place->actual_bytes;
    }
}

/* Each class is an allocation of its own; whichever is next in size must be it. */
static void expect_prediction(const ssw_engine_options *options)
{
    uint64_t predicted[N_CLASSES], actual[N_CLASSES], sizes[N_CLASSES + 1];
    ssw_engine *engine = gpu_case_open(options);
    sum_classes(engine, predicted, actual);
    assert_int_equal(stand_in_list(sizes, N_CLASSES + 1), N_CLASSES);
    for (int i = 0; i < N_CLASSES; i++) {
        bool is_found = false;
        for (int k = 0; k < N_CLASSES; k++)
            is_found = is_found || (is_near(predicted[i], sizes[k]) && is_near(actual[i], sizes[k]));
        if (!is_found)
            fail_msg("class %d: predicted %llu, said %llu, allocated %llu, %llu, %llu bytes", i,
                     (unsigned long long)predicted[i], (unsigned long long)actual[i],
                     (unsigned long long)sizes[0], (unsigned long long)sizes[1],
                     (unsigned long long)sizes[2]);
    }
    assert_true(is_near(predicted[CACHE] + predicted[BUFFERS] + predicted[WEIGHTS],
                        stand_in_count().device_bytes_highest));
    ssw_engine_close(engine);
    gpu_case_expect_nothing();
}

static void predictions_are_what_is_allocated(void **state)
{
    static const int32_t n_gpu_layers[] = {1, 2, N_LAYERS, SSW_ENGINE_LAYERS_ALL};
    static const int32_t n_cpu_moe[] = {0, 1, N_LAYERS - 1, SSW_ENGINE_LAYERS_ALL};
    for (int i = 1; i < 4; i++) {
        for (int k = 0; k < 4; k++) {
            ssw_engine_options options = gpu_case_options(path);
            options.n_gpu_layers = n_gpu_layers[i];
            options.n_cpu_moe = n_cpu_moe[k];
            options.n_batch = 16 * (1 + k);
            options.n_parallel = 1 + i;
            options.cpu_moe_share = i == 2 ? 100 : -1;
            expect_prediction(&options);
        }
    }
}

/* Device bytes with the experts of the first n layers in host memory. */
static uint64_t bytes_of(int32_t n_cpu_moe)
{
    ssw_engine_options options = gpu_case_options(path);
    uint64_t predicted[N_CLASSES], actual[N_CLASSES];
    options.n_cpu_moe = n_cpu_moe;
    ssw_engine *engine = gpu_case_open(&options);
    sum_classes(engine, predicted, actual);
    ssw_engine_close(engine);
    gpu_case_expect_nothing();
    return predicted[CACHE] + predicted[BUFFERS] + predicted[WEIGHTS];
}

/* With so many bytes for the engine, on a GPU of that size or by --vram-mib's option. */
static ssw_status open_in(uint64_t bytes, bool by_option, int32_t n_cpu_moe, ssw_engine **engine,
                          ssw_error *err)
{
    ssw_engine_options options = gpu_case_options(path);
    options.n_cpu_moe = n_cpu_moe;
    if (by_option)
        options.vram_bytes = bytes;
    else
        stand_in_set_memory(RESERVE_BYTES + bytes);
    return ssw_engine_open(&options, engine, err);
}

static void expect_auto(uint64_t bytes, bool by_option, int32_t n_moved)
{
    char words[96];
    ssw_engine *engine = NULL;
    ssw_error err = {0};
    if (open_in(bytes, by_option, SSW_ENGINE_CPU_MOE_AUTO, &engine, &err) != SSW_OK)
        fail_msg("in %llu bytes: %s", (unsigned long long)bytes, err.message);
    snprintf(words, sizeof words, "--n-cpu-moe auto: %d of %d layers' experts", n_moved, N_LAYERS);
    if (!strstr(gpu_case_log(), words))
        fail_msg("in %llu bytes not '%s': %s", (unsigned long long)bytes, words, gpu_case_log());
    assert_true(stand_in_count().device_bytes <= bytes + bytes * 3 / 100);
    free(gpu_case_eval(engine));
    ssw_engine_close(engine);
    gpu_case_expect_nothing();
}

/* Exactly what each placement takes, and one byte less. */
static void auto_moves_as_little_as_fits(void **state)
{
    uint64_t bytes[N_LAYERS + 1];
    for (int32_t n = 0; n <= N_LAYERS; n++)
        bytes[n] = bytes_of(n);
    for (int32_t i = 0; i < 4 * (N_LAYERS + 1); i++) {
        uint64_t room = bytes[i / 4] - (uint64_t)(i / 2 % 2);
        int32_t n = 0;
        while (n <= N_LAYERS && bytes[n] > room)
            n++;
        if (n <= N_LAYERS)
            expect_auto(room, i % 2, n);
    }
}

static void expect_refused(uint64_t bytes, bool by_option, int32_t n_cpu_moe, const char *words)
{
    ssw_engine *engine = NULL;
    ssw_error err = {0};
    assert_int_equal(open_in(bytes, by_option, n_cpu_moe, &engine, &err), SSW_ERR_LIMIT);
    assert_null(engine);
    assert_non_null(strstr(err.message, "CUDA0: needs"));
    if (!strstr(err.message, words))
        fail_msg("'%s' does not say '%s'", err.message, words);
    gpu_case_expect_nothing();
}

static void a_gpu_too_small_is_refused(void **state)
{
    static const int32_t n_cpu_moe[] = {0, 2, SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_CPU_MOE_AUTO};
    uint64_t least = bytes_of(SSW_ENGINE_LAYERS_ALL), four = bytes_of(N_LAYERS - 1);
    for (int i = 0; i < 8; i++)
        expect_refused(least - 1, i % 2, n_cpu_moe[i / 2], "not even --cpu-moe would fit");
    for (int i = 0; i < 4; i++) { /* what is advised fits; each such layer has biases on the GPU */
        expect_refused(least, i % 2, n_cpu_moe[i / 2], "--n-cpu-moe 5 would fit");
        expect_refused(four + (four - least) / 4, i % 2, n_cpu_moe[i / 2], "--n-cpu-moe 4 would fit");
    }
    expect_auto(least, true, N_LAYERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_are_what_is_allocated),
        cmocka_unit_test(auto_moves_as_little_as_fits),
        cmocka_unit_test(a_gpu_too_small_is_refused),
    };
    return cmocka_run_group_tests(tests, write_model, remove_model);
}
