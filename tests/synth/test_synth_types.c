/* llama.cpp's own quantiser gives a model of every family the types that the plan gives it, with
 * eight experts, of which its rules make an exception, and with another number. */
#include "../cmocka_all.h"

#include <stdio.h>

#include "../gguf/gguf_files.h"
#include "../llama_cpp/llama_ref.h"
#include "gguf/tensor_class.h"
#include "synth/synth.h"
#include "tiny_shape.h"

enum { PATH_BYTES = 512, N_LAYERS = 9 };

static const char *const mixes[] = {"Q4_0", "Q8_0", "Q5_0", "Q2_K", "Q3_K_M", "Q4_K_M", "IQ4_XS", "MXFP4"};

/* llama-quantize takes every matrix of three dimensions for experts of MXFP4 (type_mix.h). */
static bool is_exempt(const ssw_synth_options *o, const char *name)
{
    return o->mix->dtype == SSW_DTYPE_MXFP4 && o->shape->kv_lora_rank > 0 &&
           ssw_tensor_role_of(name).kind == SSW_TENSOR_ATTENTION;
}

static void check_mix(const char *floats_path, const ssw_synth_options *floats, const char *name)
{
    char path[PATH_BYTES];
    ssw_error err = {0};
    ssw_gguf *theirs = NULL;
    ssw_synth_plan plan;
    ssw_synth_options o = *floats;
    o.mix = ssw_synth_find_mix(name);
    scratch_path(path, sizeof path, "theirs.gguf");
    if (ssw_llama_quantize(floats_path, path, o.mix->file_type, &err) != SSW_OK ||
        ssw_gguf_open(path, &theirs, &err) != SSW_OK || ssw_synth_plan_init(&plan, &o, &err) != SSW_OK)
        fail_msg("%s, %s: %s", o.shape->name, name, err.message);
    assert_int_equal(plan.n_tensors, ssw_gguf_count_tensors(theirs));
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const ssw_synth_tensor *own = &plan.tensors[i];
        const ssw_gguf_tensor *their = ssw_gguf_find_tensor(theirs, own->name);
        assert_non_null(their);
        if (own->dtype != their->dtype && !is_exempt(&o, own->name))
            fail_msg("%s with %d experts, %s: %s is %s, llama.cpp makes it %s", o.shape->name,
                     o.shape->n_experts, name, own->name, ssw_dtype_find((uint32_t)own->dtype)->name,
                     ssw_dtype_find((uint32_t)their->dtype)->name);
    }
    ssw_synth_plan_deinit(&plan);
    ssw_gguf_close(theirs);
}

static void check_shape(const ssw_shape *published, int32_t n_experts)
{
    char path[PATH_BYTES];
    ssw_error err = {0};
    ssw_synth_result result;
    ssw_shape shape = tiny_shape(published);
    shape.n_layers = N_LAYERS;
    shape.n_experts = n_experts;
    shape.n_ff_expert = 32;
    ssw_synth_options o = {
        .shape = &shape, .mix = ssw_synth_find_mix("BF16"), .n_vocab = SSW_SYNTH_VOCAB_MIN, .seed = 1};
    scratch_path(path, sizeof path, "floats.gguf");
    if (ssw_synth_options_resolve(&o, &err) != SSW_OK ||
        ssw_synth_write(&o, path, &(ssw_synth_run){.n_threads = 2}, &result, &err) != SSW_OK)
        fail_msg("%s: %s", shape.name, err.message);
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++)
        check_mix(path, &o, mixes[i]);
}

static void eight_experts(void **state)
{
    for (size_t i = 0; i < ssw_shape_count(); i++)
        check_shape(ssw_shape_at(i), 8);
}

static void other_experts(void **state)
{
    for (size_t i = 0; i < ssw_shape_count(); i++)
        check_shape(ssw_shape_at(i), 6);
}

static int remove_scratch(void **state)
{
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(eight_experts), cmocka_unit_test(other_experts)};
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
