/* See the header. */
#include "../cmocka_all.h"

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *read_block(FILE *file, uint64_t n)
{
    void *block = malloc(n * 4);
    assert_non_null(block);
    assert_int_equal(fread(block, 4, n, file), n);
    return block;
}

void fixture_open(fixture *f, const char *name)
{
    char path[512], magic[4];
    uint32_t head[5];
    const char *folder = getenv("SSW_TEST_FIXTURES");
    assert_non_null(folder);
    memset(f, 0, sizeof *f);
    snprintf(f->model_path, sizeof f->model_path, "%s/%s.gguf", folder, name);
    snprintf(path, sizeof path, "%s/%s.bin", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    assert_int_equal(fread(magic, 1, 4, file), 4);
    assert_memory_equal(magic, "SSWF", 4);
    assert_int_equal(fread(head, 4, 5, file), 5);
    assert_int_equal(head[0], 1);
    f->n_prompt = (int32_t)head[1];
    f->n_rows = (int32_t)head[2];
    f->n_vocab = (int32_t)head[3];
    f->n_embd = (int32_t)head[4];
    f->prompt = read_block(file, head[1]);
    f->rows = read_block(file, head[2]);
    f->logits = read_block(file, (uint64_t)head[2] * head[3]);
    f->hidden = read_block(file, (uint64_t)head[2] * head[4]);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

void fixture_close(fixture *f)
{
    free(f->prompt);
    free(f->rows);
    free(f->logits);
    free(f->hidden);
}

fixture_distance fixture_compare(const fixture *f, const float *logits)
{
    fixture_distance distance = {0};
    for (int32_t row = 0; row < f->n_rows; row++) {
        const float *got = logits + (size_t)f->rows[row] * (size_t)f->n_vocab;
        const float *want = f->logits + (size_t)row * (size_t)f->n_vocab;
        float d = max_difference(got, want, f->n_vocab);
        distance.max_dlogit = d > distance.max_dlogit ? d : distance.max_dlogit;
        distance.mean_kl += divergence(want, got, f->n_vocab) / f->n_rows;
        distance.n_same_top += largest_logit(got, f->n_vocab) == largest_logit(want, f->n_vocab);
    }
    return distance;
}

ssw_engine *fixture_open_engine(const fixture *f, const fixture_run *run)
{
    ssw_engine_options options;
    ssw_engine *engine;
    ssw_error err;
    ssw_engine_options_init(&options);
    options.model_path = f->model_path;
    options.ctx_size = run->ctx_size;
    options.n_batch = run->n_batch;
    options.n_parallel = run->n_parallel;
    options.n_threads = 2;
    options.pin_threads = false;
    options.use_reference_ops = run->is_reference;
    options.compat = run->follows_llama_cpp ? SSW_ENGINE_COMPAT_LLAMA_CPP : SSW_ENGINE_COMPAT_PUBLISHER;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return engine;
}

float *fixture_eval_prompt(const fixture *f, ssw_engine *engine)
{
    ssw_session *session;
    ssw_error err;
    float *logits = malloc((size_t)f->n_prompt * (size_t)f->n_vocab * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    ssw_eval_item item = {
        .session = session, .tokens = f->prompt, .n_tokens = f->n_prompt, .logits_all = logits};
    if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK)
        fail_msg("%s", err.message);
    assert_int_equal(ssw_session_length(session), f->n_prompt);
    ssw_session_close(session);
    return logits;
}
