/* The plain formats: roles and contents between a few control tokens, and nothing else.
 *
 * Each is recognised by what its published template says literally, with every quote as '; a template that
 * says more than we know is refused, for a wrong prompt is worse than none. Text between two control tokens
 * is tokenized as one stretch and as plain text, which gives the ids of the rendered string, and leaves what
 * users wrote no way to become a control token. */
#include <stdlib.h>
#include <string.h>

#include "token/chat_internal.h"
#include "token/tokenizer_internal.h"

enum { PHRASES_MAX = 6, TEMPLATE_BYTES_MAX = 1 << 20 };
#define STRETCH_BYTES_MAX ((size_t)SSW_TOKENIZER_TEXT_BYTES_MAX)

typedef struct plain_format {
    ssw_chat_dialect dialect;
    const char *name;
    const char *controls[4];           /* start of user, assistant, system; end of a message */
    const char *says[PHRASES_MAX];     /* all of these */
    const char *says_not[PHRASES_MAX]; /* none of these */
    bool has_bos, has_eos;             /* needs the vocabulary's */
} plain_format;

static const plain_format formats[] = {
    {SSW_CHAT_PHI3,
     "phi3",
     {"<|user|>", "<|assistant|>", "<|system|>", "<|end|>"},
     {"message['role'] == 'system' and message['content']", "'<|system|>", "'<|user|>", "'<|assistant|>",
      " + message['content'] + '<|end|>"},
     {"bos_token", "strip", "trim", "tools"},
     false,
     false},
    {SSW_CHAT_DEEPSEEK,
     "deepseek",
     {NULL},
     {"{{ bos_token }}", "'User: ' + message['content'] + '",
      "'Assistant: ' + message['content'] + eos_token", "{{ message['content'] + '", "{{ 'Assistant:' }}"},
     {"strip", "trim", "tools", "<think>"},
     true,
     true},
    {SSW_CHAT_DEEPSEEK_V3,
     "deepseek-v3",
     {"<｜User｜>", "<｜Assistant｜>"},
     {"{{bos_token}}{{ns.system_prompt}}", "is_first_sp", "'<｜User｜>' + message['content']}}",
      "'<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>'", "{{'<｜Assistant｜>'}}"},
     {"think", "strip", "trim"},
     true,
     true},
    {SSW_CHAT_MISTRAL,
     "mistral",
     {NULL},
     {"{{ bos_token }}", "{{ '[INST] ' + message['content'] + ' [/INST]' }}",
      "{{ message['content'] + eos_token}}", "raise_exception"},
     {"system_message", "SYS", "strip", "trim", "tools"},
     true,
     true},
    {SSW_CHAT_MISTRAL_V1,
     "mistral-v1",
     {NULL},
     {"bos_token }}", "' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]'",
      "' [INST] ' + message['content'] + ' [/INST]'", "' ' + message['content'] + eos_token",
      "raise_exception"},
     {"SYS", "strip", "trim", "tools"},
     true,
     true},
    {SSW_CHAT_QWEN3,
     "chatml",
     {"<|im_start|>", "<|im_start|>", "<|im_start|>", "<|im_end|>"},
     {"add_generation_prompt", "last_query_index", "enable_thinking is false", "reasoning_content.strip",
      "'<|im_start|>' + message.role + '\\n' + content"},
     {"bos_token", "<|im_sep|>", "message.content.strip", "trim"},
     false,
     false},
    {SSW_CHAT_CHATML,
     "chatml",
     {"<|im_start|>", "<|im_start|>", "<|im_start|>", "<|im_end|>"},
     {"add_generation_prompt", "'<|im_start|>", "'<|im_end|>"},
     {"bos_token", "<|im_sep|>", "strip", "trim", "think"},
     false,
     false},
};

enum { N_FORMATS = sizeof formats / sizeof formats[0] };

const char *ssw_chat_plain_name(ssw_chat_dialect dialect)
{
    for (int i = 0; i < N_FORMATS; i++) {
        if (formats[i].dialect == dialect)
            return formats[i].name;
    }
    return "harmony";
}

static bool matches(const plain_format *format, const char *source)
{
    for (int i = 0; i < PHRASES_MAX; i++) {
        if ((format->says[i] && !strstr(source, format->says[i])) ||
            (format->says_not[i] && strstr(source, format->says_not[i])))
            return false;
    }
    return true;
}

/* ChatML's text for a conversation that begins without a system message: what stands, literally, behind the
 * system role. False when it is not plain. */
static bool find_default_system(ssw_chat *chat, const char *source)
{
    static const char before[] = "<|im_start|>system\\n";
    for (const char *at = source; (at = strstr(at, before)) != NULL;) {
        at += sizeof before - 1;
        const char *end = strstr(at, "<|im_end|>");
        size_t n = end ? (size_t)(end - at) : 0;
        if (*at == '\'' || n == 0)
            continue; /* the content of a message follows */
        if (n >= sizeof chat->default_system || memchr(at, '\'', n) || memchr(at, '\\', n))
            return false;
        memcpy(chat->default_system, at, n);
        chat->default_system[n] = '\0';
    }
    return true;
}

static ssw_status find_controls(ssw_chat *chat, const plain_format *format, ssw_error *err)
{
    ssw_token_special special = ssw_tokenizer_special(chat->tokenizer);
    for (int i = 0; i < 4; i++) {
        chat->marks[i] = SSW_TOKEN_NONE;
        if (!format->controls[i])
            continue;
        chat->marks[i] = ssw_tokenizer_find(chat->tokenizer, format->controls[i]);
        if (!ssw_tokenizer_is_control(chat->tokenizer, chat->marks[i]))
            return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                                 "the chat format is %s, but %s is no control token of the vocabulary",
                                 format->name, format->controls[i]);
    }
    if ((format->has_bos && special.bos == SSW_TOKEN_NONE) ||
        (format->has_eos && special.eos == SSW_TOKEN_NONE))
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "the chat format is %s, but the vocabulary has no %s token", format->name,
                             special.bos == SSW_TOKEN_NONE ? "bos" : "eos");
    return SSW_OK;
}

ssw_status ssw_chat_plain_recognize(ssw_chat *chat, const ssw_gguf_text *text, ssw_error *err)
{
    ssw_status status = SSW_ERR_UNSUPPORTED;
    int found = 0;
    char *source = text->n_bytes < TEMPLATE_BYTES_MAX ? malloc(text->n_bytes + 1) : NULL;
    if (!source)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a chat template of %zu bytes", (size_t)text->n_bytes);
    for (size_t i = 0; i < text->n_bytes; i++)
        source[i] = text->bytes[i] == '"' ? '\'' : text->bytes[i];
    source[text->n_bytes] = '\0';
    while (found < N_FORMATS && !matches(&formats[found], source))
        found++;
    if (found == N_FORMATS ||
        (formats[found].dialect == SSW_CHAT_CHATML && !find_default_system(chat, source))) {
        ssw_error_set(err, status,
                      "its chat template (key tokenizer.chat_template) is not a known one; known "
                      "are " SSW_CHAT_FORMATS);
    } else {
        chat->dialect = formats[found].dialect;
        status = find_controls(chat, &formats[found], err);
    }
    free(source);
    return status;
}

ssw_status ssw_chat_plain_select(ssw_chat *chat, const char *name, ssw_error *err)
{
    for (int i = N_FORMATS - 1; i >= 0; i--) { /* of two chatml, the one without Qwen3's thoughts */
        if (strcmp(formats[i].name, name) != 0)
            continue;
        chat->dialect = formats[i].dialect;
        return find_controls(chat, &formats[i], err);
    }
    return ssw_error_set(err, SSW_ERR_USAGE, "no chat format '%s'; known are " SSW_CHAT_FORMATS, name);
}

/* ---- rendering ---- */

typedef struct renderer {
    const ssw_chat *chat;
    ssw_tokens *out;
    ssw_error *err;
    ssw_status status;  /* the first failure; later calls do nothing */
    ssw_strbuf stretch; /* text since the last control token */
    bool strips;        /* which takes white space with it */
} renderer;

static void end_stretch(renderer *r)
{
    const char *text = ssw_strbuf_text(&r->stretch);
    if (r->status == SSW_OK)
        r->status = ssw_strbuf_check(&r->stretch, "the conversation", r->err);
    size_t skipped = r->strips ? ssw_tokenizer_count_spaces(text, r->stretch.n_bytes) : 0;
    if (r->status == SSW_OK)
        r->status = ssw_tokenizer_encode(r->chat->tokenizer, text + skipped, r->stretch.n_bytes - skipped,
                                         false, r->out, r->err);
    ssw_strbuf_deinit(&r->stretch);
    ssw_strbuf_init(&r->stretch, STRETCH_BYTES_MAX);
}

static void put_control(renderer *r, int32_t id)
{
    end_stretch(r);
    r->strips = r->chat->tokenizer->entries[id].strips_right;
    if (r->status == SSW_OK)
        r->status = ssw_tokens_append(r->out, id, r->err);
}

static void put_text(renderer *r, const char *text)
{
    ssw_strbuf_append_text(&r->stretch, text);
}

static void put_content(renderer *r, const ssw_chat_message *message)
{
    ssw_strbuf_append(&r->stretch, message->content, message->n_bytes);
}

static void refuse(renderer *r, size_t index, const char *why)
{
    if (r->status == SSW_OK)
        r->status = ssw_error_set(r->err, SSW_ERR_UNSUPPORTED, "message %zu: %s", index, why);
}

static bool is_system(const ssw_chat_message *message)
{
    return message->role == SSW_CHAT_SYSTEM || message->role == SSW_CHAT_DEVELOPER;
}

static int32_t mark_of(const ssw_chat *chat, const ssw_chat_message *message)
{
    return chat->marks[is_system(message) ? 2 : message->role == SSW_CHAT_ASSISTANT];
}

static void put_phi3(renderer *r, const ssw_chat_message *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_system(&messages[i]) && messages[i].n_bytes == 0)
            continue;
        put_control(r, mark_of(r->chat, &messages[i]));
        put_text(r, "\n");
        put_content(r, &messages[i]);
        put_control(r, r->chat->marks[3]);
        put_text(r, "\n");
    }
    put_control(r, r->chat->marks[1]);
    put_text(r, "\n");
}

static void put_deepseek(renderer *r, const ssw_chat_message *messages, size_t n)
{
    ssw_token_special special = ssw_tokenizer_special(r->chat->tokenizer);
    put_control(r, special.bos);
    for (size_t i = 0; i < n; i++) {
        bool is_assistant = messages[i].role == SSW_CHAT_ASSISTANT;
        put_text(r, is_system(&messages[i]) ? "" : is_assistant ? "Assistant: " : "User: ");
        put_content(r, &messages[i]);
        if (is_assistant)
            put_control(r, special.eos);
        else
            put_text(r, "\n\n");
    }
    put_text(r, "Assistant:");
}

/* All system messages stand before all others. */
static void put_deepseek_v3(renderer *r, const ssw_chat_message *messages, size_t n)
{
    ssw_token_special special = ssw_tokenizer_special(r->chat->tokenizer);
    bool is_first = true;
    put_control(r, special.bos);
    for (size_t i = 0; i < n; i++) {
        if (!is_system(&messages[i]))
            continue;
        put_text(r, is_first ? "" : "\n\n");
        put_content(r, &messages[i]);
        is_first = false;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_system(&messages[i]))
            continue;
        put_control(r, mark_of(r->chat, &messages[i]));
        put_content(r, &messages[i]);
        if (messages[i].role == SSW_CHAT_ASSISTANT)
            put_control(r, special.eos);
    }
    put_control(r, r->chat->marks[1]);
}

static void put_mistral(renderer *r, const ssw_chat_message *messages, size_t n)
{
    ssw_token_special special = ssw_tokenizer_special(r->chat->tokenizer);
    bool is_v1 = r->chat->dialect == SSW_CHAT_MISTRAL_V1;
    size_t first = is_v1 && n > 0 && is_system(&messages[0]);
    put_control(r, special.bos);
    for (size_t i = first; i < n; i++) {
        bool is_user = messages[i].role == SSW_CHAT_USER;
        if (is_system(&messages[i]) || is_user != ((i - first) % 2 == 0)) {
            refuse(r, i, "this model takes user and assistant messages in turn, from the user's on");
            return;
        }
        put_text(r, is_v1 ? " " : "");
        put_text(r, is_user ? "[INST] " : "");
        if (is_user && i == 1 && first == 1) {
            put_content(r, &messages[0]);
            put_text(r, "\n\n");
        }
        put_content(r, &messages[i]);
        if (is_user)
            put_text(r, " [/INST]");
        else
            put_control(r, special.eos);
    }
}

/* Qwen3 takes what an assistant thought out of its earlier messages. */
static ssw_chat_message without_thought(const ssw_chat_message *message)
{
    static const char end[] = "</think>";
    enum { N = sizeof end - 1 };
    ssw_chat_message rest = *message;
    bool found = false;
    for (const char *at; (at = memmem(rest.content, rest.n_bytes, end, N)) != NULL; found = true) {
        rest.n_bytes -= (size_t)(at - rest.content) + N;
        rest.content = at + N;
    }
    for (; found && rest.n_bytes > 0 && rest.content[0] == '\n'; rest.n_bytes--)
        rest.content++;
    return rest;
}

static void put_chatml(renderer *r, const ssw_chat_message *messages, size_t n)
{
    const ssw_chat *chat = r->chat;
    const ssw_chat_message given = {SSW_CHAT_SYSTEM, chat->default_system, strlen(chat->default_system)};
    size_t n_answered = n; /* messages up to the last of a user */
    while (n_answered > 0 && messages[n_answered - 1].role != SSW_CHAT_USER)
        n_answered--;
    n_answered = n_answered ? n_answered : n;
    bool gives = given.n_bytes > 0 && (n == 0 || !is_system(&messages[0]));
    for (size_t i = gives ? 0 : 1; i <= n; i++) {
        ssw_chat_message message = i == 0 ? given : messages[i - 1];
        bool is_assistant = message.role == SSW_CHAT_ASSISTANT;
        bool thinks = false; /* behind the last question an assistant is shown to have thought nothing */
        if (chat->dialect == SSW_CHAT_QWEN3 && is_assistant) {
            size_t n_whole = message.n_bytes;
            message = without_thought(&message);
            thinks = i > n_answered && i == n;
            if (i > n_answered && message.n_bytes != n_whole)
                refuse(r, i - 1, "this model continues no thought of the assistant's");
        }
        put_control(r, mark_of(chat, &message));
        put_text(r, is_assistant ? "assistant\n" : is_system(&message) ? "system\n" : "user\n");
        put_text(r, thinks ? "<think>\n\n</think>\n\n" : "");
        for (; thinks && message.n_bytes > 0 && message.content[0] == '\n'; message.n_bytes--)
            message.content++;
        put_content(r, &message);
        put_control(r, chat->marks[3]);
        put_text(r, "\n");
    }
    put_control(r, chat->marks[1]);
    put_text(r, "assistant\n");
}

ssw_status ssw_chat_plain_render(const ssw_chat *chat, const ssw_chat_message *messages, size_t n_messages,
                                 ssw_tokens *out, ssw_error *err)
{
    renderer r = {.chat = chat, .out = out, .err = err};
    ssw_strbuf_init(&r.stretch, STRETCH_BYTES_MAX);
    for (size_t i = 0; i < n_messages; i++) {
        if (messages[i].role == SSW_CHAT_TOOL)
            refuse(&r, i, "tool messages are not supported");
    }
    if (chat->dialect == SSW_CHAT_PHI3)
        put_phi3(&r, messages, n_messages);
    else if (chat->dialect == SSW_CHAT_DEEPSEEK)
        put_deepseek(&r, messages, n_messages);
    else if (chat->dialect == SSW_CHAT_DEEPSEEK_V3)
        put_deepseek_v3(&r, messages, n_messages);
    else if (chat->dialect == SSW_CHAT_MISTRAL || chat->dialect == SSW_CHAT_MISTRAL_V1)
        put_mistral(&r, messages, n_messages);
    else
        put_chatml(&r, messages, n_messages);
    end_stretch(&r);
    ssw_strbuf_deinit(&r.stretch);
    return r.status;
}
