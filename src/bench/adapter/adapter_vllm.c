/* vLLM's OpenAI-compatible server. Source: its documentation, "OpenAI-Compatible Server" (routes, ignore_eos,
 * GET /health) and "Automatic Prefix Caching". It keeps no experts on the CPU by a flag of its own;
 * --cpu-offload-gb moves weights of any kind. */
#include <stdio.h>
#include <string.h>

#include "bench/adapter/adapter_internal.h"

static const char *const words[] = {
    "serve", "{model}", "--host", "127.0.0.1", "--port", "{port}", "--no-enable-prefix-caching", NULL};

static json_t *make_request(const ssw_ask *ask)
{
    json_t *root = ssw_adapter_openai_request(ask);
    if (root && ask->fixed_length && json_object_set_new(root, "ignore_eos", json_true())) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* "INFO 11-20 12:00:00 [gpu_model_runner.py:1782] Model loading took 14.9889 GiB and 4.1 seconds" */
static bool read_log_line(const char *line, ssw_server_buffer *out)
{
    static const char mark[] = "Model loading took ";
    const char *found = strstr(line, mark);
    if (!found || !ssw_adapter_read_size(found + sizeof mark - 1, &out->bytes))
        return false;
    out->device[0] = '\0';
    snprintf(out->use, sizeof out->use, "model");
    return true;
}

const ssw_adapter ssw_adapter_vllm = {
    .name = "vllm",
    .title = "vLLM",
    .program = "vllm",
    .argv = words,
    .ready_path = "/health",
    SSW_ADAPTER_OPENAI_ROUTES,
    .completion_path = "/v1/completions",
    .make_request = make_request,
    .has_fixed_length = true,
    .finish_is_true = true,
    .prompt_cache = "off (--no-enable-prefix-caching) where the bench starts it",
    .own_times = "none; usage only",
    .read_log_line = read_log_line,
};
