/* The engine runs the file of every shape, and of every type: a prompt, then greedy steps, with sane logits;
 * a text comes back from its vocabulary. Whether the logits are right is not asked here: test_families does
 * that. */
#include "../cmocka_all.h"

#include <string.h>

#include "../gguf/gguf_files.h"
#include "seesaw/engine.h"
#include "tiny_model.h"
#include "token/tokenizer.h"

enum { PATH_MAX_BYTES = 512, N_STEPS = 4 };

static void check_text(const ssw_tokenizer *tokenizer)
{
    static const char text[] = "Write a haiku about AI: tatena, \xc3\xa9\xf0\x9f\x98\x80\n";
    ssw_tokens tokens = {0};
    ssw_strbuf back;
    ssw_error err = {0};
    ssw_strbuf_init(&back, 1000);
    assert_int_equal(ssw_tokenizer_encode(tokenizer, text, strlen(text), false, &tokens, &err), SSW_OK);
    assert_int_equal(ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, true, &back, &err), SSW_OK);
    assert_string_equal(ssw_strbuf_text(&back), text);
    ssw_strbuf_deinit(&back);
    ssw_tokens_deinit(&tokens);
}

static void check_shape(const ssw_shape *published, const char *quant)
{
    char path[PATH_MAX_BYTES];
    static float logits[TINY_VOCAB];
    int32_t ids[TINY_PROMPT], n = TINY_PROMPT;
    ssw_engine_options options;
    ssw_engine *engine;
    ssw_session *session;
    ssw_error err = {0};
    scratch_path(path, sizeof path, "engine.gguf");
    write_tiny_model(published, quant, 0, path);
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.ctx_size = 256;
    options.n_threads = 2;
    options.pin_threads = false;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s: %s", published->name, err.message);
    check_text(ssw_engine_tokenizer(engine));
    if (!ssw_engine_chat(engine))
        fail_msg("%s: no chat format", published->name);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    fill_tiny_prompt(ids);
    for (int step = 0; step < N_STEPS; step++) {
        ssw_eval_item item = {.session = session, .tokens = ids, .n_tokens = n, .logits = logits};
        assert_int_equal(ssw_engine_eval(engine, &item, 1, &err), SSW_OK);
        expect_sane_logits(logits);
        ids[0] = 0;
        for (int32_t i = 1; i < TINY_VOCAB; i++)
            ids[0] = logits[i] > logits[ids[0]] ? i : ids[0];
        n = 1;
    }
    ssw_engine_close(engine);
}

static void every_shape_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ssw_shape_count(); i++)
        check_shape(ssw_shape_at(i), NULL);
}

static void every_type_runs(void **state)
{
    (void)state;
    for (size_t i = 0; tiny_quants[i]; i++)
        check_shape(ssw_shape_find("deepseek-v2-lite"), tiny_quants[i]);
}

static int remove_scratch(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_shape_runs), cmocka_unit_test(every_type_runs)};
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
