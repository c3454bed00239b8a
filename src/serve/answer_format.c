/* Answers as JSON. Text given in is whole UTF-8 characters; ssw_wire_text repairs it if not. */
#include "serve/answer_format.h"

#include "base/clock.h"
#include "serve/wire_text.h"

static double to_ms(int64_t ns)
{
    return (double)ns / (double)SSW_NS_PER_MS;
}

static void add_phase(json_t *timings, const char *name, int32_t n, int64_t ns)
{
    char key[64];
    double ms = to_ms(ns);
    snprintf(key, sizeof key, "%s_n", name);
    json_object_set_new(timings, key, json_integer(n));
    snprintf(key, sizeof key, "%s_ms", name);
    json_object_set_new(timings, key, json_real(ms));
    snprintf(key, sizeof key, "%s_per_token_ms", name);
    json_object_set_new(timings, key, json_real(n > 0 ? ms / n : 0.0));
    snprintf(key, sizeof key, "%s_per_second", name);
    json_object_set_new(timings, key, json_real(ns > 0 ? 1e3 * n / ms : 0.0));
}

json_t *ssw_answer_timings(const ssw_job_timings *timings)
{
    json_t *object = json_object();
    json_object_set_new(object, "cache_n", json_integer(timings->cache_n));
    add_phase(object, "prompt", timings->prompt_n, timings->prompt_ns);
    add_phase(object, "predicted", timings->predicted_n, timings->predicted_ns);
    json_object_set_new(object, "queue_ms", json_real(to_ms(timings->queue_ns)));
    return object;
}

json_t *ssw_answer_usage(const ssw_answer *answer)
{
    int32_t n_completion = answer->timings.predicted_n;
    return json_pack("{s:i, s:i, s:i, s:{s:i}}", "prompt_tokens", answer->n_prompt, "completion_tokens",
                     n_completion, "total_tokens", answer->n_prompt + n_completion, "prompt_tokens_details",
                     "cached_tokens", answer->timings.cache_n);
}

/* ---- log-probabilities ---- */

/* Completions have them as parallel arrays. Offsets count UTF-16 units at OpenAI; here they are left out. */
static json_t *legacy_logprobs(const json_t *entries)
{
    json_t *tokens = json_array(), *logprobs = json_array(), *tops = json_array();
    size_t i, j;
    const json_t *entry, *alternative;
    json_array_foreach(entries, i, entry)
    {
        json_array_append(tokens, json_object_get(entry, "token"));
        json_array_append(logprobs, json_object_get(entry, "logprob"));
        json_t *top = json_object();
        json_array_foreach(json_object_get(entry, "top_logprobs"), j, alternative)
        {
            const char *text = json_string_value(json_object_get(alternative, "token"));
            if (text && !json_object_get(top, text)) /* the likelier one keeps the name */
                json_object_set(top, text, json_object_get(alternative, "logprob"));
        }
        json_array_append_new(tops, top);
    }
    return json_pack("{s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", logprobs, "top_logprobs", tops);
}

/* The member "logprobs" of a choice; steals entries. */
static void set_logprobs(const ssw_answer *answer, json_t *choice, json_t *entries)
{
    if (!answer->wants_logprobs || !entries) {
        json_decref(entries);
        json_object_set_new(choice, "logprobs", json_null());
    } else if (answer->kind == SSW_REQUEST_CHAT) {
        json_object_set_new(choice, "logprobs", json_pack("{s:o}", "content", entries));
    } else {
        json_object_set_new(choice, "logprobs", legacy_logprobs(entries));
        json_decref(entries);
    }
}

/* ---- OpenAI ---- */

static const char *object_name(const ssw_answer *answer, bool is_chunk)
{
    if (answer->kind != SSW_REQUEST_CHAT)
        return "text_completion";
    return is_chunk ? "chat.completion.chunk" : "chat.completion";
}

/* choice is stolen; NULL: no choices. */
static json_t *wrap_choice(const ssw_answer *answer, bool is_chunk, json_t *choice)
{
    json_t *choices = json_array();
    if (choice)
        json_array_append_new(choices, choice);
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", answer->id, "object", object_name(answer, is_chunk),
                     "created", (json_int_t)answer->created_unix_s, "model", answer->model, "choices",
                     choices);
}

static json_t *make_choice(const ssw_answer *answer, const char *member, json_t *value, json_t *logprobs,
                           const char *finish_reason)
{
    json_t *choice = json_pack("{s:i, s:o, s:s?}", "index", 0, member, value, "finish_reason", finish_reason);
    set_logprobs(answer, choice, logprobs);
    return choice;
}

static json_t *openai_piece(const ssw_answer *answer, const char *content, size_t n_content,
                            const char *reasoning, size_t n_reasoning, json_t *logprobs)
{
    if (answer->kind == SSW_REQUEST_COMPLETION)
        return wrap_choice(answer, true,
                           make_choice(answer, "text", ssw_wire_text(content, n_content), logprobs, NULL));
    json_t *delta = json_object();
    if (n_reasoning > 0)
        json_object_set_new(delta, "reasoning_content", ssw_wire_text(reasoning, n_reasoning));
    if (n_content > 0)
        json_object_set_new(delta, "content", ssw_wire_text(content, n_content));
    return wrap_choice(answer, true, make_choice(answer, "delta", delta, logprobs, NULL));
}

static json_t *openai_whole(const ssw_answer *answer, const char *content, size_t n_content,
                            const char *reasoning, size_t n_reasoning, json_t *logprobs)
{
    json_t *choice;
    if (answer->kind == SSW_REQUEST_COMPLETION) {
        choice =
            make_choice(answer, "text", ssw_wire_text(content, n_content), logprobs, answer->finish_reason);
    } else {
        json_t *message =
            json_pack("{s:s, s:o}", "role", "assistant", "content", ssw_wire_text(content, n_content));
        if (n_reasoning > 0)
            json_object_set_new(message, "reasoning_content", ssw_wire_text(reasoning, n_reasoning));
        choice = make_choice(answer, "message", message, logprobs, answer->finish_reason);
    }
    json_t *whole = wrap_choice(answer, false, choice);
    json_object_set_new(whole, "usage", ssw_answer_usage(answer));
    json_object_set_new(whole, "timings", ssw_answer_timings(&answer->timings));
    return whole;
}

/* ---- ollama ---- */

static json_t *ollama_piece(const ssw_answer *answer, const char *content, size_t n_content,
                            const char *reasoning, size_t n_reasoning, bool is_done)
{
    char created[SSW_CLOCK_TEXT_MAX];
    ssw_clock_format_utc(answer->created_unix_s * SSW_NS_PER_S, created);
    json_t *piece = json_pack("{s:s, s:s, s:o, s:b}", "model", answer->model, "created_at", created,
                              "response", ssw_wire_text(content, n_content), "done", (int)is_done);
    if (n_reasoning > 0)
        json_object_set_new(piece, "thinking", ssw_wire_text(reasoning, n_reasoning));
    return piece;
}

static json_t *ollama_last(const ssw_answer *answer, const char *content, size_t n_content,
                           const char *reasoning, size_t n_reasoning)
{
    json_t *last = ollama_piece(answer, content, n_content, reasoning, n_reasoning, true);
    const ssw_job_timings *timings = &answer->timings;
    json_t *figures =
        json_pack("{s:s, s:I, s:i, s:i, s:I, s:i, s:I}", "done_reason", answer->finish_reason,
                  "total_duration", (json_int_t)answer->total_ns, "load_duration", 0, "prompt_eval_count",
                  answer->n_prompt, "prompt_eval_duration", (json_int_t)timings->prompt_ns, "eval_count",
                  timings->predicted_n, "eval_duration", (json_int_t)timings->predicted_ns);
    json_object_update(last, figures);
    json_decref(figures);
    json_object_set_new(last, "timings", ssw_answer_timings(timings));
    return last;
}

/* ---- the door ---- */

json_t *ssw_answer_piece(const ssw_answer *answer, const char *content, size_t n_content,
                         const char *reasoning, size_t n_reasoning, json_t *logprobs)
{
    if (answer->kind != SSW_REQUEST_GENERATE)
        return openai_piece(answer, content, n_content, reasoning, n_reasoning, logprobs);
    json_decref(logprobs);
    return ollama_piece(answer, content, n_content, reasoning, n_reasoning, false);
}

json_t *ssw_answer_role_piece(const ssw_answer *answer)
{
    json_t *delta = json_pack("{s:s, s:s}", "role", "assistant", "content", "");
    return wrap_choice(answer, true, make_choice(answer, "delta", delta, NULL, NULL));
}

json_t *ssw_answer_last_piece(const ssw_answer *answer, json_t *logprobs)
{
    if (answer->kind == SSW_REQUEST_GENERATE) {
        json_decref(logprobs);
        return ollama_last(answer, "", 0, "", 0);
    }
    bool is_chat = answer->kind == SSW_REQUEST_CHAT;
    json_t *choice = make_choice(answer, is_chat ? "delta" : "text",
                                 is_chat ? json_object() : json_string(""), logprobs, answer->finish_reason);
    json_t *piece = wrap_choice(answer, true, choice);
    json_object_set_new(piece, "timings", ssw_answer_timings(&answer->timings));
    return piece;
}

json_t *ssw_answer_usage_piece(const ssw_answer *answer)
{
    json_t *piece = wrap_choice(answer, true, NULL);
    json_object_set_new(piece, "usage", ssw_answer_usage(answer));
    json_object_set_new(piece, "timings", ssw_answer_timings(&answer->timings));
    return piece;
}

json_t *ssw_answer_whole(const ssw_answer *answer, const char *content, size_t n_content,
                         const char *reasoning, size_t n_reasoning, json_t *logprobs)
{
    if (answer->kind != SSW_REQUEST_GENERATE)
        return openai_whole(answer, content, n_content, reasoning, n_reasoning, logprobs);
    json_decref(logprobs);
    return ollama_last(answer, content, n_content, reasoning, n_reasoning);
}
