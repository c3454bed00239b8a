/* shimmy. Source: its README and its command line's help. Its chat chunks carry neither usage nor times, and
 * every stream ends with finish_reason "stop"; a model is loaded when it is first asked for. */
#include "bench/adapter/adapter_internal.h"

static const char *const words[] = {"serve", "--bind", "127.0.0.1:{port}", "--model-path", "{model}", NULL};

const ssw_adapter ssw_adapter_shimmy = {
    .name = "shimmy",
    .title = "shimmy",
    .program = "shimmy",
    .argv = words,
    .has_cpu_moe = true,
    .ready_path = "/health",
    .loads_at_first_request = true,
    SSW_ADAPTER_OPENAI_ROUTES,
    .make_request = ssw_adapter_basic_request,
    .prompt_cache = "not told: it has no switch for it and does not say what it reused",
    .own_times = "none",
    .read_log_line = ssw_adapter_read_llama_log,
};
