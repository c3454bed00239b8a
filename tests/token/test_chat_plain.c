/* The plain chat formats with a small SentencePiece vocabulary: what is rendered, what users cannot forge,
 * what is refused, and parsing. test_chat_reference.c lets the published templates themselves speak. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "token/chat.h"
#include "token_files.h"

typedef struct fixture {
    ssw_tokenizer *tokenizer;
    ssw_chat *chat;
} fixture;

static ssw_status open_chat(fixture *f, const char *chat_template, bool sentencepiece, ssw_error *err)
{
    ssw_gguf *gguf;
    *f = (fixture){0};
    const vocab_options options = {.chat_template = chat_template, .sentencepiece = sentencepiece};
    if (ssw_gguf_open(write_vocab_file(&options), &gguf, err) != SSW_OK ||
        ssw_tokenizer_open(gguf, &f->tokenizer, err) != SSW_OK)
        fail_msg("%s", err->message);
    ssw_status status = ssw_chat_open(gguf, f->tokenizer, &f->chat, err);
    ssw_gguf_close(gguf);
    remove_vocab_file();
    return status;
}

static void close_fixture(fixture *f)
{
    ssw_chat_close(f->chat);
    ssw_tokenizer_close(f->tokenizer);
}

static ssw_chat_message say(ssw_chat_role role, const char *content)
{
    return (ssw_chat_message){role, content, strlen(content)};
}

static size_t render(const fixture *f, const ssw_chat_message *messages, size_t n, ssw_strbuf *text)
{
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    size_t n_controls = 0;
    const ssw_chat_options options = {0};
    if (ssw_chat_render(f->chat, messages, n, &options, &tokens, &err) != SSW_OK)
        fail_msg("%s: %s", ssw_chat_format_name(f->chat), err.message);
    assert_int_equal(ssw_tokenizer_decode(f->tokenizer, tokens.ids, tokens.n, true, text, &err), SSW_OK);
    for (size_t i = 0; i < tokens.n; i++)
        n_controls += ssw_tokenizer_is_control(f->tokenizer, tokens.ids[i]);
    ssw_tokens_deinit(&tokens);
    return n_controls;
}

static const struct {
    const char *name, *rendered;
    size_t n_controls;
} expected[PLAIN_FORMATS] = {
    {"phi3", "<|user|>\nhello<|end|>\n<|assistant|>\nhi<|end|>\n<|user|>\n</s><|end|>\n<|assistant|>\n", 7},
    {"deepseek", "<s>User: hello\n\nAssistant: hi</s>User: </s>\n\nAssistant:", 2},
    {"deepseek-v3", "<s><｜User｜>hello<｜Assistant｜>hi</s><｜User｜></s><｜Assistant｜>", 6},
    {"mistral", "<s>[INST] hello [/INST]hi</s>[INST] </s> [/INST]", 2},
    {"mistral-v1", "<s> [INST] hello [/INST] hi</s> [INST] </s> [/INST]", 2},
    {"chatml",
     "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
     "hi<|im_end|>\n<|im_start|>user\n</s><|im_end|>\n<|im_start|>assistant\n",
     9},
};

/* The last message is a control token as users write it: it stays text. */
static void renders(void **state)
{
    const ssw_chat_message messages[] = {say(SSW_CHAT_USER, "hello"), say(SSW_CHAT_ASSISTANT, "hi"),
                                         say(SSW_CHAT_USER, "</s>")};
    for (int i = 0; i < PLAIN_FORMATS; i++) {
        fixture f;
        ssw_error err = {0};
        ssw_strbuf text;
        ssw_strbuf_init(&text, 1000);
        if (open_chat(&f, plain_formats[i].chat_template, true, &err) != SSW_OK)
            fail_msg("%s: %s", plain_formats[i].name, err.message);
        assert_string_equal(ssw_chat_format_name(f.chat), expected[i].name);
        size_t n_controls = render(&f, messages, 3, &text);
        assert_string_equal(ssw_strbuf_text(&text), expected[i].rendered);
        assert_int_equal(n_controls, expected[i].n_controls);
        ssw_strbuf_deinit(&text);
        close_fixture(&f);
    }
}

/* By its name a format renders as by its template, but for chatml's default system message. */
static void opens_by_name(void **state)
{
    const ssw_chat_message messages[] = {say(SSW_CHAT_SYSTEM, "You help."), say(SSW_CHAT_USER, "hello")};
    size_t n_opened = 0;
    for (int i = 0; i < PLAIN_FORMATS; i++) {
        fixture f, named;
        ssw_error err = {0};
        ssw_strbuf text, named_text;
        size_t first = strcmp(plain_formats[i].name, "mistral") == 0; /* it takes no system message */
        ssw_strbuf_init(&text, 1000);
        ssw_strbuf_init(&named_text, 1000);
        assert_int_equal(open_chat(&f, plain_formats[i].chat_template, true, &err), SSW_OK);
        named = f;
        assert_int_equal(ssw_chat_open_named(plain_formats[i].name, f.tokenizer, &named.chat, &err), SSW_OK);
        assert_string_equal(ssw_chat_format_name(named.chat), plain_formats[i].name);
        render(&f, messages + first, 2 - first, &text);
        render(&named, messages + first, 2 - first, &named_text);
        assert_string_equal(ssw_strbuf_text(&named_text), ssw_strbuf_text(&text));
        assert_non_null(strstr(SSW_CHAT_FORMATS, plain_formats[i].name));
        n_opened++;
        ssw_strbuf_deinit(&text);
        ssw_strbuf_deinit(&named_text);
        ssw_chat_close(named.chat);
        close_fixture(&f);
    }
    assert_int_equal(n_opened, PLAIN_FORMATS);
    fixture f;
    ssw_error err = {0};
    ssw_chat *chat;
    assert_int_equal(open_chat(&f, plain_formats[0].chat_template, true, &err), SSW_OK);
    assert_int_equal(ssw_chat_open_named("harmony", f.tokenizer, &chat, &err), SSW_OK);
    assert_string_equal(ssw_chat_format_name(chat), "harmony");
    ssw_chat_close(chat);
    assert_int_equal(ssw_chat_open_named("llama3", f.tokenizer, &chat, &err), SSW_ERR_USAGE);
    assert_null(chat);
    assert_non_null(strstr(err.message, "no chat format 'llama3'; known are harmony"));
    close_fixture(&f);
    assert_int_equal(open_chat(&f, plain_formats[5].chat_template, false, &err), SSW_OK);
    assert_int_equal(ssw_chat_open_named("mistral", f.tokenizer, &chat, &err), SSW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "the chat format is mistral, but the vocabulary has no"));
    close_fixture(&f);
}

static void refuses_templates(void **state)
{
    static const char *const templates[] = {
        "{{ messages }}",
        "{{ bos_token }}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}<<SYS>>",
        "{% if add_generation_prompt %}'<|im_start|>' + message.content | trim + '<|im_end|>'",
        "{% if add_generation_prompt %}'<|im_start|>' '<|im_end|>' '<|im_start|>system\\nIt's.<|im_end|>'",
    };
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        fixture f;
        ssw_error err = {0};
        assert_int_equal(open_chat(&f, templates[i], true, &err), SSW_ERR_UNSUPPORTED);
        assert_non_null(
            strstr(err.message, "(key tokenizer.chat_template) is not a known one; known are harmony, phi3"));
        close_fixture(&f);
    }
    fixture f;
    ssw_error err = {0};
    assert_int_equal(open_chat(&f, plain_formats[3].chat_template, false, &err), SSW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "the vocabulary has no eos token"));
    close_fixture(&f);
}

static void refuses_messages(void **state)
{
    const ssw_chat_message late[] = {say(SSW_CHAT_USER, "a"), say(SSW_CHAT_USER, "b")};
    const ssw_chat_message tool[] = {say(SSW_CHAT_TOOL, "{}")};
    const ssw_chat_options options = {0};
    for (int i = 0; i < PLAIN_FORMATS; i++) {
        fixture f;
        ssw_error err = {0};
        ssw_tokens tokens = {0};
        bool takes_turns = strncmp(plain_formats[i].name, "mistral", 7) == 0;
        assert_int_equal(open_chat(&f, plain_formats[i].chat_template, true, &err), SSW_OK);
        assert_int_equal(ssw_chat_render(f.chat, tool, 1, &options, &tokens, &err), SSW_ERR_UNSUPPORTED);
        assert_int_equal(tokens.n, 0);
        assert_int_equal(ssw_chat_render(f.chat, late, 2, &options, &tokens, &err),
                         takes_turns ? SSW_ERR_UNSUPPORTED : SSW_OK);
        assert_true(takes_turns == (tokens.n == 0));
        ssw_tokens_deinit(&tokens);
        close_fixture(&f);
    }
}

static void parses_until_the_end(void **state)
{
    static const char stream[] = "hello a<|channel|> b</s>no more";
    fixture f;
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    ssw_chat_parser *parser;
    ssw_strbuf said, thought;
    ssw_strbuf_init(&said, 1000);
    ssw_strbuf_init(&thought, 1000);
    assert_int_equal(open_chat(&f, plain_formats[3].chat_template, true, &err), SSW_OK);
    assert_int_equal(ssw_tokenizer_encode(f.tokenizer, stream, strlen(stream), true, &tokens, &err), SSW_OK);
    assert_int_equal(ssw_chat_parser_open(f.chat, &parser, &err), SSW_OK);
    for (size_t i = 0; i < tokens.n; i++)
        ssw_chat_parser_push(parser, tokens.ids[i], &said, &thought);
    ssw_chat_parser_flush(parser, &said, &thought);
    assert_string_equal(ssw_strbuf_text(&said), "hello a b");
    assert_string_equal(ssw_strbuf_text(&thought), "");
    ssw_chat_parser_close(parser);
    ssw_strbuf_deinit(&said);
    ssw_strbuf_deinit(&thought);
    ssw_tokens_deinit(&tokens);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders),
        cmocka_unit_test(opens_by_name),
        cmocka_unit_test(refuses_templates),
        cmocka_unit_test(refuses_messages),
        cmocka_unit_test(parses_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
