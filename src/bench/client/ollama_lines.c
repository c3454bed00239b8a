/* Ollama's stream: JSON objects, the last of which says done and how long everything took. */
#include <string.h>

#include "bench/client/completion_internal.h"

#define NS_PER_MS 1e6

static double milliseconds_of(const json_t *object, const char *key)
{
    int64_t value_ns = ssw_completion_integer_of(object, key);
    return value_ns == SSW_EVIDENCE_NONE ? -1 : (double)value_ns / NS_PER_MS;
}

/* Counts and times of the last object. What of the prompt came out of its cache is not in it. */
static void take_end(ssw_completion *completion, const json_t *root)
{
    const json_t *reason = ssw_completion_text_of(root, "done_reason");
    const char *text = reason ? json_string_value(reason) : "stop";
    completion->done = true;
    completion->finish_reason = ssw_arena_copy_text(completion->arena, text, strlen(text));
    completion->has_usage = completion->has_timings = true;
    completion->usage = (ssw_usage){
        .prompt_tokens = ssw_completion_integer_of(root, "prompt_eval_count"),
        .completion_tokens = ssw_completion_integer_of(root, "eval_count"),
        .cached_tokens = SSW_EVIDENCE_NONE,
    };
    completion->timings = (ssw_timings){
        .prompt_n = completion->usage.prompt_tokens,
        .predicted_n = completion->usage.completion_tokens,
        .cache_n = SSW_EVIDENCE_NONE,
        .prompt_ms = milliseconds_of(root, "prompt_eval_duration"),
        .predicted_ms = milliseconds_of(root, "eval_duration"),
    };
}

/* /api/generate has its texts at the top, /api/chat inside message. */
static void take_text(ssw_completion *completion, const json_t *root, ssw_frame *frame)
{
    const json_t *message = json_object_get(root, "message");
    const json_t *from = message ? message : root;
    const json_t *content = ssw_completion_text_of(from, message ? "content" : "response");
    const json_t *thinking = ssw_completion_text_of(from, "thinking");
    const char *thought =
        thinking ? ssw_completion_keep_text(completion->arena, thinking, &completion->reasoning) : NULL;
    if (content) {
        frame->kind = SSW_FRAME_CONTENT;
        frame->text = ssw_completion_keep_text(completion->arena, content, &completion->content);
    } else if (thinking) {
        frame->kind = SSW_FRAME_REASONING;
        frame->text = thought;
    } else if (json_array_size(json_object_get(from, "tool_calls")) > 0) {
        frame->kind = SSW_FRAME_TOOL;
    }
}

ssw_status ssw_completion_push_ollama(ssw_completion *completion, const char *data, size_t n_data,
                                      ssw_frame *frame, ssw_error *err)
{
    frame->text = NULL;
    frame->kind = SSW_FRAME_OTHER;
    json_t *root = json_loadb(data, n_data, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return SSW_OK;
    }
    bool done = json_is_true(json_object_get(root, "done"));
    if (json_is_string(json_object_get(root, "error")))
        completion->error = ssw_completion_quote_error(completion->arena, data, n_data);
    if (json_object_get(root, "done"))
        frame->kind = done ? SSW_FRAME_DONE : SSW_FRAME_EMPTY;
    take_text(completion, root, frame);
    if (done)
        take_end(completion, root);
    json_decref(root);
    ssw_status status = ssw_strbuf_check(&completion->content, "the reply", err);
    return status ? status : ssw_strbuf_check(&completion->reasoning, "the reply's reasoning", err);
}
