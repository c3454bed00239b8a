/* Whole files: written, read back by src/gguf, compared between thread counts and seeds; vocabularies;
 * failures. */
#include "../cmocka_all.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../gguf/gguf_files.h"
#include "quant/quant.h"
#include "synth/synth.h"
#include "tiny_shape.h"

enum { PATH_MAX_BYTES = 512, N_VOCAB = 1024 };

static void write_model(const ssw_shape *shape, const char *path, int n_threads, uint64_t seed,
                        int32_t n_vocab)
{
    ssw_synth_options o = {.shape = shape, .n_vocab = n_vocab, .seed = seed};
    ssw_synth_run run = {.n_threads = n_threads};
    ssw_synth_result result;
    ssw_error err = {0};
    if (ssw_synth_options_resolve(&o, &err) != SSW_OK ||
        ssw_synth_write(&o, path, &run, &result, &err) != SSW_OK)
        fail_msg("%s: %s", shape->name, err.message);
}

static ssw_gguf *open_model(const char *path)
{
    ssw_gguf *gguf;
    ssw_error err;
    if (ssw_gguf_open(path, &gguf, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return gguf;
}

static uint64_t read_number(const ssw_gguf *gguf, const char *architecture, const char *name)
{
    char key[128];
    uint64_t value = 0;
    snprintf(key, sizeof key, "%s%s%s", architecture, *architecture ? "." : "", name);
    if (!ssw_gguf_read_u64(ssw_gguf_find_key(gguf, key), &value))
        fail_msg("no key %s", key);
    return value;
}

/* Every family's file opens, and says what its shape says. */
static void test_every_family(void **state)
{
    (void)state;
    char path[PATH_MAX_BYTES];
    scratch_path(path, sizeof path, "family.gguf");
    for (size_t i = 0; i < ssw_shape_count(); i++) {
        ssw_shape shape = tiny_shape(ssw_shape_at(i));
        ssw_gguf_text text;
        write_model(&shape, path, 2, 1, N_VOCAB);
        ssw_gguf *gguf = open_model(path);
        assert_true(ssw_gguf_read_text(ssw_gguf_find_key(gguf, "general.architecture"), &text));
        assert_memory_equal(text.bytes, shape.architecture, text.n_bytes);
        assert_int_equal(read_number(gguf, shape.architecture, "block_count"), 3);
        assert_int_equal(read_number(gguf, shape.architecture, "embedding_length"), 256);
        assert_int_equal(read_number(gguf, shape.architecture, "expert_count"), 8);
        assert_int_equal(read_number(gguf, shape.architecture, "expert_used_count"), 2);
        assert_int_equal(ssw_gguf_array_length(ssw_gguf_find_key(gguf, "tokenizer.ggml.tokens")), N_VOCAB);
        const ssw_gguf_tensor *table = ssw_gguf_find_tensor(gguf, "token_embd.weight");
        assert_non_null(table);
        assert_int_equal(table->dims[1], N_VOCAB);
        assert_non_null(ssw_gguf_find_tensor(gguf, "blk.2.ffn_down_exps.weight"));
        ssw_gguf_close(gguf);
    }
}

static void assert_same_bytes(const char *a, const char *b, bool same)
{
    file_bytes one = read_whole_file(a), two = read_whole_file(b);
    assert_int_equal(one.n_bytes, two.n_bytes);
    assert_int_equal(memcmp(one.data, two.data, one.n_bytes) == 0, same);
    free(one.data);
    free(two.data);
}

/* Threads must not show; the seed must. Wide enough that tensors are made in several pieces. */
static void test_deterministic(void **state)
{
    (void)state;
    char a[PATH_MAX_BYTES], b[PATH_MAX_BYTES], c[PATH_MAX_BYTES];
    ssw_shape shape = tiny_shape(ssw_shape_find("gpt-oss-20b"));
    shape.n_ff_expert = 8192;
    shape.n_embd = 512;
    write_model(&shape, scratch_path(a, sizeof a, "a.gguf"), 1, 42, N_VOCAB);
    write_model(&shape, scratch_path(b, sizeof b, "b.gguf"), 5, 42, N_VOCAB);
    write_model(&shape, scratch_path(c, sizeof c, "c.gguf"), 2, 43, N_VOCAB);
    assert_same_bytes(a, b, true);
    assert_same_bytes(a, c, false);
}

/* No NaN, no infinity, norms around one, in every tensor of a file. */
static void test_values_are_sane(void **state)
{
    (void)state;
    char path[PATH_MAX_BYTES];
    float row[1024];
    ssw_shape shape = tiny_shape(ssw_shape_find("phi-3.5-moe"));
    write_model(&shape, scratch_path(path, sizeof path, "sane.gguf"), 2, 3, N_VOCAB);
    ssw_gguf *gguf = open_model(path);
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(gguf, i);
        uint64_t row_bytes = ssw_dtype_row_bytes(tensor->dtype, tensor->dims[0]);
        bool is_norm = strstr(tensor->name, "norm.weight") != NULL;
        assert_true(tensor->dims[0] <= 1024);
        for (uint64_t at = 0; at < tensor->n_bytes; at += row_bytes) {
            assert_true(ssw_quant_dequantize_row(tensor->dtype, (const char *)tensor->data + at,
                                                 tensor->dims[0], row));
            for (uint64_t j = 0; j < tensor->dims[0]; j++)
                assert_true(isfinite(row[j]) && fabsf(row[j] - (is_norm ? 1 : 0)) < (is_norm ? 0.2f : 70));
        }
    }
    ssw_gguf_close(gguf);
}

/* ---- vocabularies ---- */

static int compare_texts(const void *a, const void *b)
{
    const ssw_gguf_text *x = a, *y = b;
    size_t n = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    int order = memcmp(x->bytes, y->bytes, n);
    return order ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* Of the sorted tokens: all different; and every merge's parts and product are tokens. */
static void check_vocabulary(const ssw_gguf *gguf, uint64_t n_vocab)
{
    const ssw_gguf_key *tokens = ssw_gguf_find_key(gguf, "tokenizer.ggml.tokens");
    const ssw_gguf_key *merges = ssw_gguf_find_key(gguf, "tokenizer.ggml.merges");
    ssw_gguf_text *sorted = calloc(n_vocab, sizeof *sorted), merge;
    assert_non_null(sorted);
    assert_int_equal(ssw_gguf_array_length(tokens), n_vocab);
    for (uint64_t i = 0; i < n_vocab; i++)
        assert_true(ssw_gguf_array_text(tokens, i, &sorted[i]));
    qsort(sorted, n_vocab, sizeof *sorted, compare_texts);
    for (uint64_t i = 1; i < n_vocab; i++)
        assert_true(compare_texts(&sorted[i - 1], &sorted[i]) < 0);
    for (uint64_t i = 0; merges && ssw_gguf_array_text(merges, i, &merge); i++) {
        const char *space = memchr(merge.bytes, ' ', merge.n_bytes);
        assert_non_null(space);
        size_t n_left = (size_t)(space - merge.bytes), n_right = merge.n_bytes - n_left - 1;
        char joined[64];
        assert_true(n_left + n_right <= sizeof joined);
        memcpy(joined, merge.bytes, n_left);
        memcpy(joined + n_left, space + 1, n_right);
        const ssw_gguf_text parts[] = {
            {merge.bytes, n_left}, {space + 1, n_right}, {joined, n_left + n_right}};
        for (int p = 0; p < 3; p++)
            assert_non_null(bsearch(&parts[p], sorted, n_vocab, sizeof *sorted, compare_texts));
    }
    free(sorted);
}

static void assert_token(const ssw_gguf *gguf, uint64_t id, const char *expected)
{
    ssw_gguf_text text;
    assert_true(ssw_gguf_array_text(ssw_gguf_find_key(gguf, "tokenizer.ggml.tokens"), id, &text));
    assert_int_equal(text.n_bytes, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.n_bytes);
}

static void test_vocabulary_sizes(void **state)
{
    (void)state;
    char path[PATH_MAX_BYTES];
    scratch_path(path, sizeof path, "vocab.gguf");
    for (size_t i = 0; i < ssw_shape_count(); i++) {
        ssw_shape shape = tiny_shape(ssw_shape_at(i));
        const int32_t sizes[] = {SSW_SYNTH_VOCAB_MIN, shape.n_vocab, 250000};
        int n_sizes = i == 0 || shape.family == SSW_FAMILY_PHIMOE ? 3 : 1; /* one of each kind in full */
        for (int k = 0; k < n_sizes; k++) {
            write_model(&shape, path, 2, 1, sizes[k]);
            ssw_gguf *gguf = open_model(path);
            check_vocabulary(gguf, (uint64_t)sizes[k]);
            assert_true(read_number(gguf, "", "tokenizer.ggml.eos_token_id") < (uint64_t)sizes[k]);
            ssw_gguf_close(gguf);
        }
    }
}

/* Published places of special tokens. */
static void test_special_tokens(void **state)
{
    (void)state;
    char path[PATH_MAX_BYTES];
    ssw_shape shape = tiny_shape(ssw_shape_find("gpt-oss-20b"));
    write_model(&shape, scratch_path(path, sizeof path, "special.gguf"), 2, 1, 0);
    ssw_gguf *gguf = open_model(path);
    assert_token(gguf, 200002, "<|return|>");
    assert_token(gguf, 200006, "<|start|>");
    assert_token(gguf, 200005, "<|channel|>");
    assert_token(gguf, 201087, "[PAD201087]");
    assert_int_equal(read_number(gguf, "", "tokenizer.ggml.eos_token_id"), 200002);
    assert_int_equal(read_number(gguf, "", "tokenizer.ggml.bos_token_id"), 199998);
    ssw_gguf_close(gguf);
    shape = tiny_shape(ssw_shape_find("phi-3.5-moe"));
    write_model(&shape, path, 2, 1, 0);
    gguf = open_model(path);
    assert_token(gguf, 32007, "<|end|>");
    assert_token(gguf, 1, "<s>");
    assert_token(gguf, 3 + 0x41, "<0x41>");
    assert_int_equal(read_number(gguf, "", "tokenizer.ggml.eos_token_id"), 32000);
    ssw_gguf_close(gguf);
    shape = tiny_shape(ssw_shape_find("qwen3-30b-a3b"));
    write_model(&shape, path, 2, 1, 600);
    gguf = open_model(path); /* special tokens close up behind the words of a smaller vocabulary */
    assert_token(gguf, 599, "<|im_end|>");
    assert_int_equal(read_number(gguf, "", "tokenizer.ggml.eos_token_id"), 599);
    ssw_gguf_close(gguf);
}

/* The plan's types are those that `quantize` would choose for the file. */
static void test_mixes(void **state)
{
    (void)state;
    static const char *const names[] = {"Q4_0",   "Q8_0", "F16",  "MXFP4", "Q4_K_M",
                                        "Q5_K_M", "Q3_K", "Q2_K", "Q6_K",  "IQ4_XS"};
    char path[PATH_MAX_BYTES];
    scratch_path(path, sizeof path, "mix.gguf");
    for (size_t i = 0; i < ssw_shape_count() * (sizeof names / sizeof names[0]); i++) {
        ssw_shape shape = tiny_shape(ssw_shape_at(i % ssw_shape_count()));
        ssw_synth_options o = {.shape = &shape,
                               .mix = ssw_synth_find_mix(names[i / ssw_shape_count()]),
                               .n_vocab = N_VOCAB,
                               .seed = 1};
        ssw_synth_result result;
        ssw_error err = {0};
        ssw_mix_facts facts;
        if (ssw_synth_options_resolve(&o, &err) != SSW_OK ||
            ssw_synth_write(&o, path, &(ssw_synth_run){.n_threads = 2}, &result, &err) != SSW_OK)
            fail_msg("%s: %s", shape.name, err.message);
        ssw_gguf *gguf = open_model(path);
        ssw_mix_facts_read(gguf, &facts);
        assert_int_equal(read_number(gguf, "", "general.file_type"), o.mix->file_type);
        for (size_t t = 0; t < ssw_gguf_count_tensors(gguf); t++) {
            const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(gguf, t);
            bool fell_back;
            if (ssw_type_mix_choose(o.mix, &facts, tensor, &fell_back) != tensor->dtype)
                fail_msg("%s: %s is %s", o.mix->name, tensor->name,
                         ssw_dtype_find((uint32_t)tensor->dtype)->name);
        }
        assert_int_equal(ssw_gguf_find_tensor(gguf, "blk.1.ffn_up_exps.weight")->dtype, o.mix->dtype);
        ssw_gguf_close(gguf);
    }
}

/* ---- failures ---- */

static ssw_status try_write(const char *path, const atomic_bool *cancel, ssw_error *err)
{
    ssw_shape shape = tiny_shape(ssw_shape_find("mixtral-8x7b"));
    ssw_synth_options o = {.shape = &shape, .mix = ssw_synth_find_mix("F32"), .n_vocab = N_VOCAB, .seed = 1};
    ssw_synth_run run = {.n_threads = 2, .cancel = cancel};
    ssw_synth_result result;
    assert_int_equal(ssw_synth_options_resolve(&o, err), SSW_OK);
    return ssw_synth_write(&o, path, &run, &result, err);
}

static void assert_nothing_left(const char *path)
{
    char tmp[PATH_MAX_BYTES + 8];
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_not_equal(access(tmp, F_OK), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    char path[PATH_MAX_BYTES];
    ssw_error err;
    struct rlimit old, small;
    scratch_path(path, sizeof path, "full.gguf");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1 << 20;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    ssw_status status = try_write(path, NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, SSW_ERR_IO);
    assert_non_null(strstr(err.message, "full.gguf"));
    assert_nothing_left(path);
}

static void test_cancel(void **state)
{
    (void)state;
    char path[PATH_MAX_BYTES];
    ssw_error err;
    const atomic_bool cancel = true;
    scratch_path(path, sizeof path, "cancelled.gguf");
    assert_int_equal(try_write(path, &cancel, &err), SSW_ERR_CANCELLED);
    assert_nothing_left(path);
}

static void test_bad_places(void **state)
{
    (void)state;
    ssw_error err;
    assert_int_equal(try_write("/nonexistent/folder/m.gguf", NULL, &err), SSW_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/folder/m.gguf"));
    assert_int_equal(try_write("/dev/full", NULL, &err), SSW_ERR_USAGE);
    assert_non_null(strstr(err.message, "/dev/full: exists and is not a regular file"));
    ssw_shape huge = *ssw_shape_find("mixtral-8x7b");
    huge.n_ff_expert = 1 << 24; /* 2 PB of experts: refused before anything is written */
    ssw_synth_options o = {.shape = &huge, .mix = ssw_synth_find_mix("F32"), .seed = 1};
    ssw_synth_run run = {0};
    ssw_synth_result result;
    char path[PATH_MAX_BYTES];
    scratch_path(path, sizeof path, "huge.gguf");
    assert_int_equal(ssw_synth_options_resolve(&o, &err), SSW_OK);
    assert_int_equal(ssw_synth_write(&o, path, &run, &result, &err), SSW_ERR_IO);
    assert_non_null(strstr(err.message, "GB free"));
    assert_nothing_left(path);
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
        cmocka_unit_test(test_every_family),    cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_values_are_sane), cmocka_unit_test(test_vocabulary_sizes),
        cmocka_unit_test(test_special_tokens),  cmocka_unit_test(test_mixes),
        cmocka_unit_test(test_full_disk),       cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_bad_places),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
