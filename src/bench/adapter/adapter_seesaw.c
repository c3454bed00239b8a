/* This project's own server, talked to as any other. docs/SERVER.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/adapter/adapter_internal.h"

static const char *const words[] = {"serve", "-m", "{model}", "--port", "{port}", NULL};

/* A row of the table that it prints: "  experts            CPU     repacked             8355840 8355840",
 * predicted and actual bytes last. */
static bool read_log_line(const char *line, ssw_server_buffer *out)
{
    char use[SSW_BUFFER_USE_MAX], device[SSW_BUFFER_DEVICE_MAX];
    long long predicted, actual;
    const char *name_end = strncmp(line, "  ", 2) == 0 && line[2] != ' ' ? strstr(line + 2, "  ") : NULL;
    if (!name_end || (size_t)(name_end - line - 2) >= sizeof use || sscanf(name_end, "%31s", device) != 1)
        return false;
    const char *digits = strstr(name_end, device) + strlen(device); /* "CUDA0" has one too */
    digits += strcspn(digits, "0123456789");
    if (sscanf(digits, "%lld %lld", &predicted, &actual) != 2 || actual < 0)
        return false;
    snprintf(use, sizeof use, "%.*s", (int)(name_end - line - 2), line + 2);
    if (strcmp(use, "total") == 0)
        return false;
    *out = (ssw_server_buffer){.bytes = actual};
    memcpy(out->use, use, sizeof use);
    memcpy(out->device, device, sizeof device);
    return true;
}

const ssw_adapter ssw_adapter_seesaw = {
    .name = "seesaw",
    .title = "seesaw serve",
    .program = "seesaw",
    .argv = words,
    SSW_ADAPTER_LLAMA_TRAITS,
    .read_log_line = read_log_line,
};
