/* Hostile metadata: whatever the reader accepts, facts and forecast must hold together. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/memory_forecast.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void check(const ssw_model_facts *facts, const ssw_forecast *forecast)
{
    uint64_t classes_bytes = 0;
    for (int i = 0; i < SSW_TENSOR_CLASS_COUNT; i++)
        classes_bytes += facts->classes[i].n_bytes;
    if (classes_bytes != facts->all.n_bytes || facts->expert_bytes > facts->all.n_bytes ||
        facts->expert_bytes_per_token > facts->expert_bytes || facts->n_active > facts->all.n_elements)
        abort();
    for (int32_t n = 0; n < forecast->n_arms; n++) {
        const ssw_forecast_arm *arm = &forecast->arms[n];
        if (arm->vram_bytes + arm->ram_bytes != facts->all.n_bytes + forecast->kv_bytes)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    ssw_error err = {0};
    ssw_gguf *gguf;
    if (ssw_gguf_open_memory("input", bytes, n_bytes, &gguf, &err) != SSW_OK)
        return 0;
    ssw_model_facts *facts = malloc(sizeof *facts);
    ssw_forecast *forecast = malloc(sizeof *forecast);
    ssw_forecast_options options = {.ctx_size = 1 << 24,
                                    .cache_type_k = SSW_DTYPE_F16,
                                    .cache_type_v = SSW_DTYPE_F16,
                                    .host_bytes_per_s = 1e11};
    if (!facts || !forecast)
        abort();
    if (ssw_model_facts_read(gguf, facts, &err) == SSW_OK) {
        if (ssw_forecast_make(gguf, facts, &options, forecast, &err) != SSW_OK)
            abort();
        check(facts, forecast);
        options.cache_type_k = options.cache_type_v = SSW_DTYPE_Q8_0;
        ssw_status status = ssw_forecast_make(gguf, facts, &options, forecast, &err);
        if (status == SSW_OK)
            check(facts, forecast);
        else if (status != SSW_ERR_UNSUPPORTED)
            abort();
    } else if (strncmp(err.message, "input: ", 7) != 0 || strchr(err.message, '\n')) {
        abort();
    }
    free(forecast);
    free(facts);
    ssw_gguf_close(gguf);
    return 0;
}
