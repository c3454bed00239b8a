/* Against llama.cpp: its own quantiser gives every tensor of the model the same type as ours does, and it
 * loads and evaluates what we wrote. Argument: MODEL.gguf */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>

#include "../gguf/gguf_files.h"
#include "../llama_cpp/llama_ref.h"
#include "write_quantized.h"

enum { PATH_BYTES = 4096, N_PROMPT = 24 };

static const char *model_path;

static int32_t evaluate(const char *path)
{
    ssw_error err = {0};
    ssw_llama *llama = NULL;
    int32_t ids[N_PROMPT];
    for (int i = 0; i < N_PROMPT; i++)
        ids[i] = i * 7 + 40;
    if (ssw_llama_open(&(ssw_llama_options){.model_path = path, .n_ctx = 256}, &llama, &err) != SSW_OK ||
        ssw_llama_eval(llama, ids, N_PROMPT, false, &err) != SSW_OK)
        fail_msg("%s", err.message);
    const float *logits = ssw_llama_logits(llama);
    for (int i = 0; i < ssw_llama_vocab_size(llama); i++)
        assert_true(isfinite(logits[i]));
    int32_t best = ssw_llama_greedy(llama);
    ssw_llama_close(llama);
    return best;
}

static void same_types(void **state)
{
    for (size_t m = 0; m < ssw_type_mix_count(); m++) {
        const ssw_type_mix *mix = ssw_type_mix_at(m);
        char own_path[PATH_BYTES], their_path[PATH_BYTES];
        ssw_error err = {0};
        ssw_gguf *own, *theirs;
        scratch_path(own_path, sizeof own_path, "own.gguf");
        scratch_path(their_path, sizeof their_path, "theirs.gguf");
        write_quantized(model_path, mix, own_path);
        if (ssw_llama_quantize(model_path, their_path, mix->file_type, &err) != SSW_OK)
            fail_msg("%s", err.message);
        assert_int_equal(ssw_gguf_open(own_path, &own, &err), SSW_OK);
        assert_int_equal(ssw_gguf_open(their_path, &theirs, &err), SSW_OK);
        assert_int_equal(ssw_gguf_count_tensors(own), ssw_gguf_count_tensors(theirs));
        for (size_t i = 0; i < ssw_gguf_count_tensors(own); i++) {
            const ssw_gguf_tensor *a = ssw_gguf_tensor_at(own, i), *b = ssw_gguf_find_tensor(theirs, a->name);
            assert_non_null(b);
            if (a->dtype != b->dtype)
                fail_msg("%s: %s is %s, llama.cpp makes it %s", mix->name, a->name,
                         ssw_dtype_find((uint32_t)a->dtype)->name, ssw_dtype_find((uint32_t)b->dtype)->name);
        }
        uint64_t own_type, their_type;
        assert_true(ssw_gguf_read_u64(ssw_gguf_find_key(own, "general.file_type"), &own_type));
        assert_true(ssw_gguf_read_u64(ssw_gguf_find_key(theirs, "general.file_type"), &their_type));
        assert_int_equal(own_type, their_type);
        ssw_gguf_close(own);
        ssw_gguf_close(theirs);
        evaluate(own_path);
    }
}

static int remove_scratch(void **state)
{
    scratch_remove();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_types)};
    if (argc != 2)
        return 2;
    model_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
