/* Request bodies to ssw_generation_request. */
#include "serve/generation_request.h"

#include <stdlib.h>
#include <string.h>

#include "serve/request_fields.h"

static bool no_memory(ssw_http_fault *fault)
{
    return ssw_fault_set(fault, 500, NULL, "memory ran out while reading the request");
}

/* ---- messages ---- */

static bool read_role(const json_t *message, size_t index, ssw_chat_role *role, ssw_http_fault *fault)
{
    static const struct {
        const char *name;
        ssw_chat_role role;
    } roles[] = {
        {"system", SSW_CHAT_SYSTEM},       {"developer", SSW_CHAT_DEVELOPER}, {"user", SSW_CHAT_USER},
        {"assistant", SSW_CHAT_ASSISTANT}, {"tool", SSW_CHAT_TOOL},           {"function", SSW_CHAT_TOOL},
    };
    const char *name = json_string_value(json_object_get(message, "role"));
    for (size_t i = 0; name && i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(name, roles[i].name) != 0)
            continue;
        *role = roles[i].role;
        return true;
    }
    return ssw_fault_set(fault, 400, "messages",
                         "'messages[%zu].role' must be one of system, developer, user, assistant, tool",
                         index);
}

/* [{"type": "text", "text": ...}, ...] joined. */
static bool join_parts(const json_t *parts, size_t index, ssw_arena *arena, ssw_chat_message *out,
                       ssw_http_fault *fault)
{
    size_t n_parts = json_array_size(parts), n_bytes = 0;
    if (n_parts > SSW_REQUEST_CONTENT_PARTS_MAX)
        return ssw_fault_set(fault, 400, "messages",
                             "'messages[%zu].content' has %zu parts, at most %d are read", index, n_parts,
                             (int)SSW_REQUEST_CONTENT_PARTS_MAX);
    for (size_t i = 0; i < n_parts; i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");
        if (type && strcmp(type, "text") != 0)
            return ssw_fault_set(
                fault, 400, "messages",
                "'messages[%zu].content[%zu]' is of a type that this model does not read; only text is",
                index, i);
        if (!json_is_string(text))
            return ssw_fault_set(fault, 400, "messages", "'messages[%zu].content[%zu].text' must be a string",
                                 index, i);
        n_bytes += json_string_length(text);
    }
    char *joined = ssw_arena_alloc(arena, n_bytes + 1, 1);
    if (!joined)
        return no_memory(fault);
    out->content = joined;
    out->n_bytes = n_bytes;
    for (size_t i = 0; i < n_parts; i++) {
        const json_t *text = json_object_get(json_array_get(parts, i), "text");
        memcpy(joined, json_string_value(text), json_string_length(text));
        joined += json_string_length(text);
    }
    return true;
}

static bool read_message(const json_t *message, size_t index, ssw_arena *arena, ssw_chat_message *out,
                         ssw_http_fault *fault)
{
    if (!json_is_object(message))
        return ssw_fault_set(fault, 400, "messages", "'messages[%zu]' must be an object", index);
    if (!read_role(message, index, &out->role, fault))
        return false;
    const json_t *content = ssw_field_find(message, "content");
    if (json_is_string(content)) {
        out->content = json_string_value(content);
        out->n_bytes = json_string_length(content);
        return true;
    }
    if (json_is_array(content))
        return join_parts(content, index, arena, out, fault);
    if (!content && out->role == SSW_CHAT_ASSISTANT) { /* as after a tool call */
        out->content = "";
        return true;
    }
    return ssw_fault_set(fault, 400, "messages",
                         "'messages[%zu].content' must be a string or an array of text parts", index);
}

static bool read_messages(ssw_generation_request *request, ssw_http_fault *fault)
{
    const json_t *messages = ssw_field_find(request->root, "messages");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return ssw_fault_set(fault, 400, "messages", "'messages' must be an array with at least one message");
    size_t n = json_array_size(messages);
    if (n > SSW_CHAT_MESSAGES_MAX)
        return ssw_fault_set(fault, 400, "messages", "'messages' has %zu messages, at most %d are read", n,
                             (int)SSW_CHAT_MESSAGES_MAX);
    request->messages = ssw_arena_alloc(&request->arena, n, sizeof *request->messages);
    if (!request->messages)
        return no_memory(fault);
    for (size_t i = 0; i < n; i++) {
        if (!read_message(json_array_get(messages, i), i, &request->arena, &request->messages[i], fault))
            return false;
    }
    request->n_messages = n;
    return true;
}

/* ---- plain prompts ---- */

static bool read_prompt_ids(ssw_generation_request *request, const json_t *ids, ssw_http_fault *fault)
{
    size_t n = json_array_size(ids);
    if (n > SSW_REQUEST_PROMPT_TOKENS_MAX)
        return ssw_fault_set(fault, 400, "prompt", "'prompt' has %zu tokens, at most %d are read", n,
                             (int)SSW_REQUEST_PROMPT_TOKENS_MAX);
    request->prompt_ids = ssw_arena_alloc(&request->arena, n, sizeof *request->prompt_ids);
    if (!request->prompt_ids)
        return no_memory(fault);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return ssw_fault_set(fault, 400, "prompt", "'prompt[%zu]' must be a token's number", i);
        request->prompt_ids[i] = (int32_t)json_integer_value(id);
    }
    request->n_prompt_ids = n;
    return true;
}

static bool read_prompt(ssw_generation_request *request, ssw_http_fault *fault)
{
    const json_t *prompt = ssw_field_find(request->root, "prompt");
    if (json_is_array(prompt) && json_array_size(prompt) == 1 && !json_is_integer(json_array_get(prompt, 0)))
        prompt = json_array_get(prompt, 0);
    if (json_is_array(prompt) && json_is_integer(json_array_get(prompt, 0)))
        return read_prompt_ids(request, prompt, fault);
    if (json_is_array(prompt) && json_is_string(json_array_get(prompt, 0)))
        return ssw_fault_set(fault, 400, "prompt",
                             "'prompt' must be one prompt; several in one request are not served");
    if (!json_is_string(prompt))
        return ssw_fault_set(fault, 400, "prompt", "'prompt' must be a string or an array of tokens");
    request->prompt = json_string_value(prompt);
    request->n_prompt_bytes = json_string_length(prompt);
    return true;
}

/* ---- how to generate ---- */

/* `where` is the body, or ollama's `options` in it. */
static bool read_sampling(ssw_generation_request *request, const json_t *where, ssw_http_fault *fault)
{
    ssw_sampling *sampling = &request->sampling;
    int64_t top_k = sampling->top_k, repeat_last_n = sampling->repeat_last_n, seed = -1;
    if (!ssw_field_number(where, "temperature", 0.0, 100.0, &sampling->temperature, fault) ||
        !ssw_field_number(where, "top_p", 0.0, 1.0, &sampling->top_p, fault) ||
        !ssw_field_number(where, "min_p", 0.0, 1.0, &sampling->min_p, fault) ||
        !ssw_field_number(where, "repeat_penalty", 0.01, 100.0, &sampling->repeat_penalty, fault) ||
        !ssw_field_int(where, "repeat_last_n", 0, INT32_MAX, &repeat_last_n, fault) ||
        !ssw_field_int(where, "top_k", -1, INT32_MAX, &top_k, fault) ||
        !ssw_field_int(where, "seed", INT64_MIN, INT64_MAX, &seed, fault))
        return false;
    sampling->top_k = top_k > 0 ? (int32_t)top_k : 0;
    sampling->repeat_last_n = (int32_t)repeat_last_n;
    if (seed >= 0) {
        sampling->seed = (uint64_t)seed;
        request->has_seed = true;
    }
    return true;
}

static bool read_max_tokens(ssw_generation_request *request, const json_t *where, const char *const *names,
                            size_t n_names, ssw_http_fault *fault)
{
    int64_t max_tokens = request->max_tokens;
    for (size_t i = 0; i < n_names; i++) { /* the last one given wins */
        if (!ssw_field_int(where, names[i], -1, INT32_MAX, &max_tokens, fault))
            return false;
    }
    request->max_tokens = (int32_t)max_tokens;
    return true;
}

static bool add_stop(ssw_generation_request *request, const json_t *stop, ssw_http_fault *fault)
{
    if (!json_is_string(stop))
        return ssw_fault_set(fault, 400, "stop", "'stop' must be a string or an array of strings");
    size_t n_bytes = json_string_length(stop);
    if (n_bytes > SSW_ENGINE_STOP_BYTES_MAX)
        return ssw_fault_set(fault, 400, "stop", "a stop string has %zu bytes, at most %d are allowed",
                             n_bytes, (int)SSW_ENGINE_STOP_BYTES_MAX);
    if (n_bytes == 0) /* would stop at once; clients send it for "none" */
        return true;
    if (request->n_stops == SSW_ENGINE_STOPS_MAX)
        return ssw_fault_set(fault, 400, "stop", "'stop' has more than %d strings",
                             (int)SSW_ENGINE_STOPS_MAX);
    request->stops[request->n_stops++] = (ssw_stop_text){json_string_value(stop), n_bytes};
    return true;
}

static bool read_stops(ssw_generation_request *request, const json_t *where, ssw_http_fault *fault)
{
    const json_t *stop = ssw_field_find(where, "stop");
    if (!stop)
        return true;
    if (!json_is_array(stop))
        return add_stop(request, stop, fault);
    for (size_t i = 0; i < json_array_size(stop); i++) {
        if (!add_stop(request, json_array_get(stop, i), fault))
            return false;
    }
    return true;
}

static bool read_effort(ssw_generation_request *request, ssw_http_fault *fault)
{
    const char *effort = NULL;
    if (!ssw_field_string(request->root, "reasoning_effort", &effort, fault))
        return false;
    if (!effort)
        return true;
    if (strcmp(effort, "low") == 0 || strcmp(effort, "minimal") == 0 || strcmp(effort, "none") == 0)
        request->effort = SSW_CHAT_EFFORT_LOW;
    else if (strcmp(effort, "medium") == 0)
        request->effort = SSW_CHAT_EFFORT_MEDIUM;
    else if (strcmp(effort, "high") == 0)
        request->effort = SSW_CHAT_EFFORT_HIGH;
    else
        return ssw_fault_set(fault, 400, "reasoning_effort",
                             "'reasoning_effort' must be low, medium or high");
    return true;
}

static bool read_one_choice(const json_t *root, ssw_http_fault *fault)
{
    int64_t n = 1;
    if (!ssw_field_int(root, "n", INT64_MIN, INT64_MAX, &n, fault))
        return false;
    return n == 1 || ssw_fault_set(fault, 400, "n", "'n' must be 1; one answer per request is served");
}

static bool read_common(ssw_generation_request *request, ssw_http_fault *fault)
{
    static const char *const limits[] = {"n_predict", "max_tokens", "max_completion_tokens"};
    const json_t *stream_options = NULL;
    const char *model = NULL;
    if (!read_one_choice(request->root, fault) || !read_sampling(request, request->root, fault) ||
        !read_max_tokens(request, request->root, limits, 3, fault) ||
        !read_stops(request, request->root, fault) ||
        !ssw_field_string(request->root, "model", &model, fault) ||
        !ssw_field_bool(request->root, "ignore_eos", &request->ignore_eos, fault) ||
        !ssw_field_bool(request->root, "cache_prompt", &request->cache_prompt, fault) ||
        !ssw_field_bool(request->root, "stream", &request->stream, fault) ||
        !ssw_field_object(request->root, "stream_options", &stream_options, fault))
        return false;
    return !stream_options || ssw_field_bool(stream_options, "include_usage", &request->include_usage, fault);
}

/* ---- the three bodies ---- */

static bool read_chat(ssw_generation_request *request, ssw_http_fault *fault)
{
    int64_t n_top = 0;
    if (!read_messages(request, fault) || !read_common(request, fault) || !read_effort(request, fault) ||
        !ssw_field_bool(request->root, "logprobs", &request->wants_logprobs, fault) ||
        !ssw_field_int(request->root, "top_logprobs", 0, SSW_ENGINE_TOP_LOGPROBS_MAX, &n_top, fault))
        return false;
    if (n_top > 0 && !request->wants_logprobs)
        return ssw_fault_set(fault, 400, "top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
    request->n_top_logprobs = (int32_t)n_top;
    return true;
}

static bool read_completion(ssw_generation_request *request, ssw_http_fault *fault)
{
    if (!read_prompt(request, fault) || !read_common(request, fault))
        return false;
    const json_t *logprobs = ssw_field_find(request->root, "logprobs");
    if (json_is_boolean(logprobs)) {
        request->wants_logprobs = json_is_true(logprobs);
        return true;
    }
    int64_t n_top = -1;
    if (!ssw_field_int(request->root, "logprobs", 0, SSW_ENGINE_TOP_LOGPROBS_MAX, &n_top, fault))
        return false;
    request->wants_logprobs = n_top >= 0;
    request->n_top_logprobs = n_top > 0 ? (int32_t)n_top : 0;
    return true;
}

/* A prompt, with ollama's `system`, becomes a chat unless `raw` is set. */
static bool wrap_prompt(ssw_generation_request *request, ssw_http_fault *fault)
{
    const char *system = NULL;
    bool raw = false;
    if (!read_prompt(request, fault) || !ssw_field_string(request->root, "system", &system, fault) ||
        !ssw_field_bool(request->root, "raw", &raw, fault))
        return false;
    if (raw || !request->prompt)
        return true;
    request->messages = ssw_arena_alloc(&request->arena, 2, sizeof *request->messages);
    if (!request->messages)
        return no_memory(fault);
    if (system && system[0])
        request->messages[request->n_messages++] =
            (ssw_chat_message){SSW_CHAT_SYSTEM, system, strlen(system)};
    request->messages[request->n_messages++] =
        (ssw_chat_message){SSW_CHAT_USER, request->prompt, request->n_prompt_bytes};
    return true;
}

static bool read_generate(ssw_generation_request *request, ssw_http_fault *fault)
{
    static const char *const limits[] = {"num_predict"};
    const json_t *options = NULL;
    request->stream = true; /* ollama's default */
    bool has_messages = ssw_field_find(request->root, "messages") != NULL;
    if (!(has_messages ? read_messages(request, fault) : wrap_prompt(request, fault)))
        return false;
    if (!read_common(request, fault) || !ssw_field_object(request->root, "options", &options, fault))
        return false;
    return !options ||
           (read_sampling(request, options, fault) && read_max_tokens(request, options, limits, 1, fault) &&
            read_stops(request, options, fault));
}

bool ssw_generation_request_parse(ssw_request_kind kind, const char *body, size_t n_bytes,
                                  ssw_generation_request *out, ssw_http_fault *fault)
{
    *out = (ssw_generation_request){.kind = kind, .max_tokens = -1, .cache_prompt = true};
    ssw_sampling_init(&out->sampling);
    ssw_arena_init(&out->arena, SSW_REQUEST_ARENA_BYTES_MAX);
    bool ok = ssw_field_parse_body(body, n_bytes, &out->root, fault);
    if (ok) {
        ok = kind == SSW_REQUEST_CHAT         ? read_chat(out, fault)
             : kind == SSW_REQUEST_COMPLETION ? read_completion(out, fault)
                                              : read_generate(out, fault);
    }
    if (!ok)
        ssw_generation_request_deinit(out);
    return ok;
}

void ssw_generation_request_deinit(ssw_generation_request *request)
{
    json_decref(request->root);
    request->root = NULL;
    ssw_arena_deinit(&request->arena);
}
