/* Lines of a hostile server's log, as every adapter reads them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/adapter/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static const char *const names[] = {"seesaw", "llama-server", "shimmy", "vllm", "ollama", "openai"};
    char *line = malloc(n_bytes + 1);
    if (!line)
        return 0;
    memcpy(line, bytes, n_bytes);
    line[n_bytes] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ssw_server_buffer buffer;
        if (!ssw_adapter_find(names[i])->read_log_line(line, &buffer))
            continue;
        if (!memchr(buffer.device, '\0', sizeof buffer.device) ||
            !memchr(buffer.use, '\0', sizeof buffer.use) || buffer.bytes < 0)
            abort();
    }
    free(line);
    return 0;
}
