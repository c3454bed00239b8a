/* Any server with OpenAI's routes, asked with nothing but OpenAI's fields. Source: OpenAI's API reference,
 * "Create chat completion" and "Create completion". */
#include "bench/adapter/adapter_internal.h"

static const char *const words[] = {"-m", "{model}", "--port", "{port}", NULL};

const ssw_adapter ssw_adapter_openai = {
    .name = "openai",
    .title = "a server with OpenAI's routes",
    .argv = words,
    .has_cpu_moe = true, /* not known: the arm's arguments are its own affair */
    .ready_path = "/v1/models",
    SSW_ADAPTER_OPENAI_ROUTES,
    .completion_path = "/v1/completions",
    .make_request = ssw_adapter_openai_request,
    .finish_is_true = true,
    .prompt_cache = "not told: OpenAI's routes have no switch for it; usage may say what was reused",
    .own_times = "none; usage only",
    .read_log_line = ssw_adapter_read_llama_log,
};
