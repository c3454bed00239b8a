/* Opening a chat format; harmony: recognising the dialect and rendering prompts.
 *
 * Every stretch between two control tokens is tokenized on its own and as plain text, which gives the same
 * ids as rendering to one string would, and leaves what users wrote no way to become a control token. */
#include "token/chat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "token/chat_internal.h"

enum { DATE_TEXT_MAX = 16 };
#define STRETCH_BYTES_MAX ((size_t)SSW_TOKENIZER_TEXT_BYTES_MAX)

static bool contains(const ssw_gguf_text *text, const char *part)
{
    return memmem(text->bytes, text->n_bytes, part, strlen(part)) != NULL;
}

static ssw_status find_control(const ssw_tokenizer *tokenizer, const char *name, int32_t *out, ssw_error *err)
{
    *out = ssw_tokenizer_find(tokenizer, name);
    if (ssw_tokenizer_is_control(tokenizer, *out))
        return SSW_OK;
    return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                         "the chat format is harmony, but %s is no control token of the vocabulary", name);
}

static ssw_status find_harmony(ssw_chat *found, ssw_error *err)
{
    ssw_status status = find_control(found->tokenizer, "<|start|>", &found->start, err);
    if (status == SSW_OK)
        status = find_control(found->tokenizer, "<|end|>", &found->end, err);
    if (status == SSW_OK)
        status = find_control(found->tokenizer, "<|message|>", &found->message, err);
    if (status == SSW_OK)
        status = find_control(found->tokenizer, "<|channel|>", &found->channel, err);
    return status;
}

static ssw_chat unknown_chat(const ssw_tokenizer *tokenizer)
{
    return (ssw_chat){.tokenizer = tokenizer,
                      .dialect = SSW_CHAT_PUBLISHED,
                      .start = SSW_TOKEN_NONE,
                      .end = SSW_TOKEN_NONE,
                      .message = SSW_TOKEN_NONE,
                      .channel = SSW_TOKEN_NONE};
}

static ssw_status hand_out(const ssw_chat *found, ssw_chat **out, ssw_error *err)
{
    ssw_chat *chat = malloc(sizeof *chat);
    if (!chat)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a chat format");
    *chat = *found;
    *out = chat;
    return SSW_OK;
}

ssw_status ssw_chat_open(const ssw_gguf *gguf, const ssw_tokenizer *tokenizer, ssw_chat **out, ssw_error *err)
{
    ssw_gguf_text text;
    ssw_chat found = unknown_chat(tokenizer);
    ssw_status status;
    *out = NULL;
    if (!ssw_gguf_read_text(ssw_gguf_find_key(gguf, "tokenizer.chat_template"), &text)) {
        status = ssw_error_set(err, SSW_ERR_UNSUPPORTED, "no chat template (key tokenizer.chat_template)");
    } else if (contains(&text, "<|start|>") && contains(&text, "<|message|>") &&
               contains(&text, "<|channel|>")) {
        found.dialect = contains(&text, "Knowledge cutoff") ? SSW_CHAT_PUBLISHED : SSW_CHAT_PLAIN;
        status = find_harmony(&found, err);
    } else {
        status = ssw_chat_plain_recognize(&found, &text, err);
    }
    if (status == SSW_OK)
        status = hand_out(&found, out, err);
    if (status != SSW_OK)
        ssw_error_prefix(err, "%s", ssw_gguf_file_path(gguf, 0));
    return status;
}

ssw_status ssw_chat_open_named(const char *name, const ssw_tokenizer *tokenizer, ssw_chat **out,
                               ssw_error *err)
{
    ssw_chat found = unknown_chat(tokenizer);
    *out = NULL;
    ssw_status status =
        strcmp(name, "harmony") == 0 ? find_harmony(&found, err) : ssw_chat_plain_select(&found, name, err);
    return status == SSW_OK ? hand_out(&found, out, err) : status;
}

void ssw_chat_close(ssw_chat *chat)
{
    free(chat);
}

const char *ssw_chat_format_name(const ssw_chat *chat)
{
    return ssw_chat_plain_name(chat->dialect);
}

/* ---- rendering ---- */

typedef struct renderer {
    const ssw_chat *chat;
    ssw_tokens *out;
    ssw_error *err;
    ssw_status status; /* the first failure; later calls do nothing */
} renderer;

static void put_control(renderer *r, int32_t id)
{
    if (r->status == SSW_OK)
        r->status = ssw_tokens_append(r->out, id, r->err);
}

static void put_text(renderer *r, const char *text, size_t n_bytes)
{
    if (r->status == SSW_OK)
        r->status = ssw_tokenizer_encode(r->chat->tokenizer, text, n_bytes, false, r->out, r->err);
}

static void begin_message(renderer *r, const char *role)
{
    put_control(r, r->chat->start);
    put_text(r, role, strlen(role));
}

static void put_message(renderer *r, const char *role, const char *channel, const char *content,
                        size_t n_bytes)
{
    begin_message(r, role);
    if (channel) {
        put_control(r, r->chat->channel);
        put_text(r, channel, strlen(channel));
    }
    put_control(r, r->chat->message);
    put_text(r, content, n_bytes);
    put_control(r, r->chat->end);
}

/* The system message of the published template. */
static void put_preamble(renderer *r, const ssw_chat_options *options)
{
    static const char *const efforts[] = {
        [SSW_CHAT_EFFORT_DEFAULT] = "medium",
        [SSW_CHAT_EFFORT_LOW] = "low",
        [SSW_CHAT_EFFORT_MEDIUM] = "medium",
        [SSW_CHAT_EFFORT_HIGH] = "high",
    };
    char date[DATE_TEXT_MAX] = "";
    time_t seconds = (time_t)options->date_unix_s;
    struct tm parts;
    ssw_strbuf text;
    if (!gmtime_r(&seconds, &parts) || strftime(date, sizeof date, "%Y-%m-%d", &parts) == 0)
        r->status = ssw_error_set(r->err, SSW_ERR_USAGE, "the date %lld is out of range",
                                  (long long)options->date_unix_s);
    ssw_strbuf_init(&text, STRETCH_BYTES_MAX);
    ssw_strbuf_append_format(
        &text,
        "You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\n"
        "Current date: %s\n\n"
        "Reasoning: %s\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message.",
        date, efforts[options->effort]);
    if (r->status == SSW_OK)
        r->status = ssw_strbuf_check(&text, "the system message", r->err);
    put_message(r, "system", NULL, ssw_strbuf_text(&text), text.n_bytes);
    ssw_strbuf_deinit(&text);
}

static void put_instructions(renderer *r, const ssw_chat_message *message)
{
    ssw_strbuf text;
    if (message->n_bytes == 0)
        return;
    ssw_strbuf_init(&text, STRETCH_BYTES_MAX);
    ssw_strbuf_append_text(&text, "# Instructions\n\n");
    ssw_strbuf_append(&text, message->content, message->n_bytes);
    ssw_strbuf_append_text(&text, "\n\n");
    if (r->status == SSW_OK)
        r->status = ssw_strbuf_check(&text, "the first message", r->err);
    put_message(r, "developer", NULL, ssw_strbuf_text(&text), text.n_bytes);
    ssw_strbuf_deinit(&text);
}

static void put_one(renderer *r, const ssw_chat_message *message, size_t index)
{
    bool is_published = r->chat->dialect == SSW_CHAT_PUBLISHED;
    switch (message->role) {
    case SSW_CHAT_SYSTEM:
    case SSW_CHAT_DEVELOPER:
        if (is_published && index == 0)
            put_instructions(r, message);
        else if (is_published && r->status == SSW_OK) /* the template would drop it in silence */
            r->status = ssw_error_set(
                r->err, SSW_ERR_UNSUPPORTED,
                "message %zu: this model takes a system or developer message only as the first", index);
        else
            put_message(r, "developer", NULL, message->content, message->n_bytes);
        break;
    case SSW_CHAT_USER:
        put_message(r, "user", NULL, message->content, message->n_bytes);
        break;
    case SSW_CHAT_ASSISTANT:
        put_message(r, "assistant", "final", message->content, message->n_bytes);
        break;
    case SSW_CHAT_TOOL:
    default:
        if (r->status == SSW_OK)
            r->status = ssw_error_set(r->err, SSW_ERR_UNSUPPORTED,
                                      "message %zu: tool messages are not supported", index);
    }
}

ssw_status ssw_chat_render(const ssw_chat *chat, const ssw_chat_message *messages, size_t n_messages,
                           const ssw_chat_options *options, ssw_tokens *out, ssw_error *err)
{
    renderer r = {.chat = chat, .out = out, .err = err};
    size_t n_before = out->n;
    if (n_messages > SSW_CHAT_MESSAGES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%zu messages; at most %d are taken", n_messages,
                             SSW_CHAT_MESSAGES_MAX);
    if (chat->dialect > SSW_CHAT_PLAIN) {
        r.status = ssw_chat_plain_render(chat, messages, n_messages, out, err);
    } else {
        if (chat->dialect == SSW_CHAT_PUBLISHED)
            put_preamble(&r, options);
        for (size_t i = 0; i < n_messages; i++)
            put_one(&r, &messages[i], i);
        begin_message(&r, "assistant");
    }
    if (r.status != SSW_OK)
        out->n = n_before;
    return r.status;
}
