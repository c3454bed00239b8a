/* The adapters, and what several of them share. */
#ifndef SSW_BENCH_ADAPTER_ADAPTER_INTERNAL_H
#define SSW_BENCH_ADAPTER_ADAPTER_INTERNAL_H

#include "bench/adapter/adapter.h"

extern const ssw_adapter ssw_adapter_llama_server, ssw_adapter_ollama, ssw_adapter_openai, ssw_adapter_seesaw,
    ssw_adapter_shimmy, ssw_adapter_vllm;

/* What servers with OpenAI's routes have in common, for their tables. */
#define SSW_ADAPTER_OPENAI_ROUTES                                                                            \
    .models_path = "/v1/models", .models_key = "data", .model_key = "id", .wire = SSW_WIRE_OPENAI,           \
    .chat_path = "/v1/chat/completions"

/* And llama-server with those that speak like it. */
#define SSW_ADAPTER_LLAMA_TRAITS                                                                             \
    .has_cpu_moe = true, .ready_path = "/health", SSW_ADAPTER_OPENAI_ROUTES,                                 \
    .completion_path = "/v1/completions", .make_request = ssw_adapter_llama_request,                         \
    .has_fixed_length = true, .finish_is_true = true,                                                        \
    .prompt_cache = "off (cache_prompt: false in each request)", .own_times = "timings in the last frame"

/* Model, text, limit and temperature, streamed: what every server with OpenAI's routes understands. */
json_t *ssw_adapter_basic_request(const ssw_ask *ask);
/* The same with the seed and the wishes for usage and, in a chat, for log-probabilities. */
json_t *ssw_adapter_openai_request(const ssw_ask *ask);
/* The same with llama-server's cache_prompt and ignore_eos. */
json_t *ssw_adapter_llama_request(const ssw_ask *ask);

/* "load_tensors:        CUDA0 model buffer size =  5459.93 MiB", as llama.cpp's libraries print it. */
bool ssw_adapter_read_llama_log(const char *line, ssw_server_buffer *out);
/* value and unit ("4.1", "GiB") in bytes; false for another unit. */
bool ssw_adapter_read_size(const char *text, int64_t *out_bytes);

#endif
