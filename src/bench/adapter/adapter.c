/* The table of adapters, and what is the same for all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/adapter/adapter_internal.h"

enum { WORD_BYTES_MAX = 8192 };

static const ssw_adapter *const adapters[] = {&ssw_adapter_seesaw, &ssw_adapter_llama_server,
                                              &ssw_adapter_shimmy, &ssw_adapter_vllm,
                                              &ssw_adapter_ollama, &ssw_adapter_openai};

const ssw_adapter *ssw_adapter_find(const char *name)
{
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++) {
        if (strcmp(adapters[i]->name, name) == 0)
            return adapters[i];
    }
    return NULL;
}

const ssw_adapter *ssw_adapter_of_program(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++) {
        if (adapters[i]->program && strcmp(adapters[i]->program, file) == 0)
            return adapters[i];
    }
    return &ssw_adapter_llama_server;
}

const char *ssw_adapter_names(void)
{
    return "seesaw, llama-server, shimmy, vllm, ollama, openai";
}

const char *ssw_adapter_ask_path(const ssw_adapter *adapter, ssw_plan_ask how)
{
    return how == SSW_PLAN_ASK_COMPLETION ? adapter->completion_path : adapter->chat_path;
}

char *ssw_adapter_make_body(const ssw_adapter *adapter, const ssw_ask *ask)
{
    json_t *root = adapter->make_request(ask);
    char *body = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return body;
}

const char *ssw_adapter_fill(ssw_arena *arena, const char *pattern, const char *model, int port)
{
    ssw_strbuf word;
    ssw_strbuf_init(&word, WORD_BYTES_MAX);
    while (*pattern) {
        if (strncmp(pattern, "{model}", 7) == 0) {
            ssw_strbuf_append_text(&word, model);
            pattern += 7;
        } else if (strncmp(pattern, "{port}", 6) == 0) {
            ssw_strbuf_append_format(&word, "%d", port);
            pattern += 6;
        } else {
            ssw_strbuf_append(&word, pattern++, 1);
        }
    }
    const char *kept = word.failed ? NULL : ssw_arena_copy_text(arena, ssw_strbuf_text(&word), word.n_bytes);
    ssw_strbuf_deinit(&word);
    return kept;
}

json_t *ssw_adapter_basic_request(const ssw_ask *ask)
{
    if (ask->how == SSW_PLAN_ASK_COMPLETION)
        return json_pack("{s:s, s:s, s:i, s:f, s:b}", "model", ask->model, "prompt", ask->text, "max_tokens",
                         ask->max_tokens, "temperature", ask->temperature, "stream", 1);
    return json_pack("{s:s, s:[{s:s, s:s}], s:i, s:f, s:b}", "model", ask->model, "messages", "role", "user",
                     "content", ask->text, "max_tokens", ask->max_tokens, "temperature", ask->temperature,
                     "stream", 1);
}

json_t *ssw_adapter_openai_request(const ssw_ask *ask)
{
    json_t *root = ssw_adapter_basic_request(ask);
    bool ok = root && json_object_set_new(root, "seed", json_integer(ask->seed)) == 0 &&
              json_object_set_new(root, "stream_options", json_pack("{s:b}", "include_usage", 1)) == 0;
    if (ok && ask->top_logprobs > 0 && ask->how == SSW_PLAN_ASK_CHAT)
        ok = json_object_set_new(root, "logprobs", json_true()) == 0 &&
             json_object_set_new(root, "top_logprobs", json_integer(ask->top_logprobs)) == 0;
    if (!ok) {
        json_decref(root);
        return NULL;
    }
    return root;
}

json_t *ssw_adapter_llama_request(const ssw_ask *ask)
{
    json_t *root = ssw_adapter_openai_request(ask);
    bool ok = root && json_object_set_new(root, "cache_prompt", json_false()) == 0 &&
              (!ask->fixed_length || json_object_set_new(root, "ignore_eos", json_true()) == 0);
    if (!ok) {
        json_decref(root);
        return NULL;
    }
    return root;
}

bool ssw_adapter_read_size(const char *text, int64_t *out_bytes)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776}};
    char unit[8];
    double value;
    if (sscanf(text, " %lf %7[A-Za-z]", &value, unit) != 2 || !(value >= 0 && value < 1e9))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            *out_bytes = (int64_t)(value * units[i].bytes + 0.5);
            return true;
        }
    }
    return false;
}
