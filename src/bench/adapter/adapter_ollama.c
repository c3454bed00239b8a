/* ollama, by its own route /api/generate. Source: docs/api.md and docs/faq.md of ollama (OLLAMA_HOST,
 * options, the durations in nanoseconds of the last object) and the lines that it logs while it loads. The
 * model is a name that ollama knows, and is loaded by the first request. */
#include <stdio.h>
#include <string.h>

#include "bench/adapter/adapter_internal.h"

static const char *const words[] = {"serve", NULL};
static const char *const variables[] = {"OLLAMA_HOST=127.0.0.1:{port}", NULL};

static json_t *make_request(const ssw_ask *ask)
{
    bool raw = ask->how == SSW_PLAN_ASK_COMPLETION; /* without the model's chat format */
    return json_pack("{s:s, s:s, s:b, s:b, s:{s:i, s:f, s:I}}", "model", ask->model, "prompt", ask->text,
                     "stream", 1, "raw", raw, "options", "num_predict", ask->max_tokens, "temperature",
                     ask->temperature, "seed", (json_int_t)ask->seed);
}

/* The text after key, up to its end or its quote; false when the line has none. */
static bool read_value(const char *line, const char *key, char *out, size_t size)
{
    const char *found = strstr(line, key);
    if (!found)
        return false;
    found += strlen(key);
    bool quoted = *found == '"';
    found += quoted;
    snprintf(out, size, "%.*s", (int)strcspn(found, quoted ? "\"" : " \n"), found);
    return *out != '\0';
}

/* msg="model weights" device=CUDA0 size="4.1 GiB" */
static bool read_log_line(const char *line, ssw_server_buffer *out)
{
    char size[32];
    if (!read_value(line, "size=", size, sizeof size) || !ssw_adapter_read_size(size, &out->bytes))
        return ssw_adapter_read_llama_log(line, out);
    return read_value(line, "msg=", out->use, sizeof out->use) &&
           read_value(line, "device=", out->device, sizeof out->device);
}

const ssw_adapter ssw_adapter_ollama = {
    .name = "ollama",
    .title = "ollama",
    .program = "ollama",
    .argv = words,
    .env = variables,
    .ready_path = "/api/version",
    .loads_at_first_request = true,
    .models_path = "/api/tags",
    .models_key = "models",
    .model_key = "name",
    .wire = SSW_WIRE_OLLAMA,
    .chat_path = "/api/generate",
    .completion_path = "/api/generate",
    .make_request = make_request,
    .finish_is_true = true,
    .prompt_cache = "on: ollama has no switch for it and does not say what it reused",
    .own_times = "prompt_eval_duration and eval_duration in the last object",
    .read_log_line = read_log_line,
};
