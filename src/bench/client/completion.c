/* Chat-completion chunks. */
#include "bench/client/completion.h"

#include <string.h>

#include "bench/client/completion_internal.h"

void ssw_completion_init(ssw_completion *completion, ssw_arena *arena)
{
    *completion = (ssw_completion){.arena = arena};
    ssw_strbuf_init(&completion->content, SSW_COMPLETION_TEXT_BYTES_MAX);
    ssw_strbuf_init(&completion->reasoning, SSW_COMPLETION_TEXT_BYTES_MAX);
}

void ssw_completion_deinit(ssw_completion *completion)
{
    ssw_strbuf_deinit(&completion->content);
    ssw_strbuf_deinit(&completion->reasoning);
    json_decref(completion->logprobs);
}

int64_t ssw_completion_integer_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : SSW_EVIDENCE_NONE;
}

static double real_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : -1;
}

static void take_usage(ssw_completion *completion, const json_t *root)
{
    const json_t *usage = json_object_get(root, "usage"), *timings = json_object_get(root, "timings");
    if (json_is_object(usage)) {
        completion->has_usage = true;
        completion->usage = (ssw_usage){
            .prompt_tokens = ssw_completion_integer_of(usage, "prompt_tokens"),
            .completion_tokens = ssw_completion_integer_of(usage, "completion_tokens"),
            .cached_tokens =
                ssw_completion_integer_of(json_object_get(usage, "prompt_tokens_details"), "cached_tokens"),
        };
    }
    if (json_is_object(timings)) {
        completion->has_timings = true;
        completion->timings = (ssw_timings){
            .prompt_n = ssw_completion_integer_of(timings, "prompt_n"),
            .predicted_n = ssw_completion_integer_of(timings, "predicted_n"),
            .cache_n = ssw_completion_integer_of(timings, "cache_n"),
            .prompt_ms = real_of(timings, "prompt_ms"),
            .predicted_ms = real_of(timings, "predicted_ms"),
        };
    }
}

const json_t *ssw_completion_text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) && json_string_length(value) > 0 ? value : NULL;
}

const char *ssw_completion_keep_text(ssw_arena *arena, const json_t *value, ssw_strbuf *whole)
{
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    size_t n_nul = 0;
    for (size_t i = 0; i < n; i++)
        n_nul += text[i] == '\0';
    char *copy = ssw_arena_alloc(arena, n + 2 * n_nul + 1, 1);
    if (!copy)
        return NULL;
    char *out = copy;
    for (size_t i = 0; i < n; i++) {
        if (text[i]) {
            *out++ = text[i];
        } else {
            memcpy(out, "\xef\xbf\xbd", 3);
            out += 3;
        }
    }
    ssw_strbuf_append(whole, copy, (size_t)(out - copy));
    return copy;
}

/* Beyond the limit they are left out: the comparison then has fewer tokens, and says how many. */
static void take_logprobs(ssw_completion *completion, const json_t *choice)
{
    json_t *content = json_object_get(json_object_get(choice, "logprobs"), "content");
    if (!json_is_array(content) || json_array_size(content) == 0)
        return;
    if (!completion->logprobs)
        completion->logprobs = json_array();
    if (json_array_size(completion->logprobs) + json_array_size(content) <= SSW_COMPLETION_LOGPROBS_MAX)
        json_array_extend(completion->logprobs, content);
}

static void take_choice(ssw_completion *completion, const json_t *choice, ssw_frame *frame)
{
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *content = ssw_completion_text_of(delta ? delta : choice, delta ? "content" : "text");
    const json_t *reasoning = ssw_completion_text_of(delta, "reasoning_content");
    const json_t *tools = json_object_get(delta, "tool_calls");
    const json_t *finish = ssw_completion_text_of(choice, "finish_reason");
    take_logprobs(completion, choice);
    if (!reasoning)
        reasoning = ssw_completion_text_of(delta, "reasoning");
    if (finish)
        completion->finish_reason = ssw_arena_copy_text(completion->arena, json_string_value(finish),
                                                        strlen(json_string_value(finish)));
    const char *thought =
        reasoning ? ssw_completion_keep_text(completion->arena, reasoning, &completion->reasoning) : NULL;
    if (content) {
        frame->kind = SSW_FRAME_CONTENT;
        frame->text = ssw_completion_keep_text(completion->arena, content, &completion->content);
    } else if (reasoning) {
        frame->kind = SSW_FRAME_REASONING;
        frame->text = thought;
    } else if (json_array_size(tools) > 0) {
        frame->kind = SSW_FRAME_TOOL;
    } else if (finish) {
        frame->kind = SSW_FRAME_FINISH;
    } else {
        frame->kind = ssw_completion_text_of(delta, "role") ? SSW_FRAME_ROLE : SSW_FRAME_EMPTY;
    }
}

ssw_status ssw_completion_push(ssw_completion *completion, const char *data, size_t n_data, ssw_frame *frame,
                               ssw_error *err)
{
    frame->text = NULL;
    frame->kind = SSW_FRAME_OTHER;
    if (n_data == 6 && memcmp(data, "[DONE]", 6) == 0) {
        frame->kind = SSW_FRAME_DONE;
        completion->done = true;
        return SSW_OK;
    }
    json_t *root = json_loadb(data, n_data, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return SSW_OK;
    }
    if (json_is_object(json_object_get(root, "error")) || json_is_string(json_object_get(root, "error")))
        completion->error = ssw_completion_quote_error(completion->arena, data, n_data);
    take_usage(completion, root);
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    if (choice)
        take_choice(completion, choice, frame);
    else if (json_is_object(json_object_get(root, "usage")))
        frame->kind = SSW_FRAME_USAGE;
    json_decref(root);
    ssw_status status = ssw_strbuf_check(&completion->content, "the reply", err);
    return status ? status : ssw_strbuf_check(&completion->reasoning, "the reply's reasoning", err);
}

/* message, or error.message, or error itself; NULL when the body is not such JSON. */
static const json_t *find_message(const json_t *root)
{
    const json_t *error = json_object_get(root, "error");
    if (ssw_completion_text_of(error, "message"))
        return ssw_completion_text_of(error, "message");
    return ssw_completion_text_of(root, "error") ? ssw_completion_text_of(root, "error")
                                                 : ssw_completion_text_of(root, "message");
}

const char *ssw_completion_quote_error(ssw_arena *arena, const char *body, size_t n_bytes)
{
    json_t *root = json_loadb(body, n_bytes, JSON_ALLOW_NUL, NULL);
    const json_t *message = find_message(root);
    const char *text = message ? json_string_value(message) : body;
    size_t n = message ? json_string_length(message) : n_bytes;
    if (n > SSW_COMPLETION_ERROR_BYTES_MAX) {
        n = SSW_COMPLETION_ERROR_BYTES_MAX;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) /* not inside a character */
            n--;
    }
    char *line = ssw_arena_copy_text(arena, text, n);
    json_decref(root);
    for (size_t i = 0; line && i < n; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    }
    while (line && n > 0 && line[n - 1] == ' ')
        line[--n] = '\0';
    return line;
}
