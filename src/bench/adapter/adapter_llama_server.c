/* llama.cpp's server. Source: tools/server/README.md of llama.cpp (routes, cache_prompt, ignore_eos, timings,
 * GET /health), and the lines that its libraries print while they load. */
#include <stdio.h>
#include <string.h>

#include "bench/adapter/adapter_internal.h"

static const char *const words[] = {"-m", "{model}", "--port", "{port}", NULL};

/* The last word before end, from begin on, without its blanks; *n is its length. */
static const char *word_before(const char *begin, const char *end, size_t *n)
{
    while (end > begin && end[-1] == ' ')
        end--;
    const char *word = end;
    while (word > begin && word[-1] != ' ' && word[-1] != ':')
        word--;
    *n = (size_t)(end - word);
    return word;
}

/* Older libraries leave out "model": "llm_load_tensors:      CUDA0 buffer size = ...". */
bool ssw_adapter_read_llama_log(const char *line, ssw_server_buffer *out)
{
    const char *mark = strstr(line, " buffer size = ");
    const char *colon = mark ? memchr(line, ':', (size_t)(mark - line)) : NULL;
    if (!colon || !ssw_adapter_read_size(mark + strlen(" buffer size = "), &out->bytes))
        return false;
    size_t n_use, n_device;
    const char *use = word_before(colon + 1, mark, &n_use);
    const char *device = word_before(colon + 1, use, &n_device);
    if (n_device == 0) {
        device = use;
        n_device = n_use;
        use = "model";
        n_use = strlen(use);
    }
    if (n_device == 0 || n_device >= sizeof out->device || n_use >= sizeof out->use)
        return false;
    snprintf(out->device, sizeof out->device, "%.*s", (int)n_device, device);
    snprintf(out->use, sizeof out->use, "%.*s", (int)n_use, use);
    return true;
}

const ssw_adapter ssw_adapter_llama_server = {
    .name = "llama-server",
    .title = "llama-server",
    .program = "llama-server",
    .argv = words,
    SSW_ADAPTER_LLAMA_TRAITS,
    .read_log_line = ssw_adapter_read_llama_log,
};
