/* Options of seesaw, llama-server and shimmy: all have the same names and meaning. */
#include "bench/run/offload_claim.h"

#include <stdlib.h>
#include <string.h>

/* The value of an option given as "--name N" or "--name=N"; NULL when it is not there. */
static const char *value_of(const ssw_plan_arm *arm, const char *name)
{
    size_t n = strlen(name);
    const char *value = NULL;
    for (size_t i = 0; i < arm->n_args; i++) {
        if (strcmp(arm->args[i], name) == 0)
            value = i + 1 < arm->n_args ? arm->args[i + 1] : "";
        else if (strncmp(arm->args[i], name, n) == 0 && arm->args[i][n] == '=')
            value = arm->args[i] + n + 1;
    }
    return value;
}

static const char *either(const ssw_plan_arm *arm, const char *name, const char *short_name)
{
    const char *value = value_of(arm, name);
    return value ? value : value_of(arm, short_name);
}

/* Of experts in host memory that are on the GPU as well; negative when that cannot be told. */
static int64_t cached_bytes(const ssw_plan_arm *arm)
{
    const char *text = value_of(arm, "--moe-cache-mib");
    char *end;
    long mib = text ? strtol(text, &end, 10) : 0;
    if (text && (end == text || *end || mib < 0 || mib > SSW_OFFLOAD_CACHE_MIB_MAX))
        return -1;
    return (int64_t)mib << 20;
}

int64_t ssw_offload_claim(const ssw_plan_arm *arm, const ssw_expert_layers *layers)
{
    const char *first_layers = either(arm, "--n-cpu-moe", "-ncmoe");
    long n = either(arm, "--cpu-moe", "-cmoe") ? SSW_OFFLOAD_LAYERS_MAX : 0;
    if (arm->url || !layers->known || either(arm, "--override-tensor", "-ot"))
        return SSW_EVIDENCE_NONE;
    if (first_layers && n == 0) {
        char *end;
        n = strtol(first_layers, &end, 10);
        if (end == first_layers || *end || n < 0)
            return SSW_EVIDENCE_NONE;
    }
    int64_t bytes = 0, cached = cached_bytes(arm);
    if (cached < 0)
        return SSW_EVIDENCE_NONE;
    for (int i = 0; i < SSW_OFFLOAD_LAYERS_MAX && i < n; i++)
        bytes += layers->layer_bytes[i];
    return bytes > cached ? bytes - cached : 0;
}
