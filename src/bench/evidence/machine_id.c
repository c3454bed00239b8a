/* See machine_id.h. */
#include "bench/evidence/machine_id.h"

#include <inttypes.h>
#include <string.h>

#include "base/sha256.h"
#include "base/strbuf.h"

enum { RECIPE_BYTES_MAX = 1 << 20, GIB_SHIFT = 30 };

static void put(ssw_strbuf *recipe, const char *text)
{
    ssw_strbuf_append_format(recipe, "%s\n", text ? text : "");
}

/* Whole GiB, because what the kernel keeps for itself changes with its version; -1: not known. */
static int64_t round_to_gib(int64_t n_bytes)
{
    return n_bytes < 0 ? -1 : (n_bytes >> GIB_SHIFT) + (n_bytes >> (GIB_SHIFT - 1) & 1);
}

static int64_t known_or_minus_1(int64_t value)
{
    return value < 0 ? -1 : value;
}

ssw_status ssw_machine_id(const ssw_manifest_machine *machine, ssw_machine_id_text out, ssw_error *err)
{
    ssw_strbuf recipe;
    ssw_sha256_text sum;
    ssw_strbuf_init(&recipe, RECIPE_BYTES_MAX);
    put(&recipe, machine->hostname_hash);
    put(&recipe, machine->cpu);
    ssw_strbuf_append_format(&recipe, "%" PRId64 "\n%" PRId64 "\n%" PRId64 "\n",
                             known_or_minus_1(machine->cores), known_or_minus_1(machine->threads),
                             round_to_gib(machine->memory_bytes));
    for (size_t i = 0; i < machine->n_gpus; i++) {
        put(&recipe, machine->gpus[i].name);
        put(&recipe, machine->gpus[i].uuid);
    }
    ssw_status status = ssw_strbuf_check(&recipe, "the machine's description", err);
    if (!status)
        status = ssw_sha256_bytes(ssw_strbuf_text(&recipe), recipe.n_bytes, sum, err);
    ssw_strbuf_deinit(&recipe);
    if (status)
        return status;
    memcpy(out, sum, SSW_MACHINE_ID_DIGITS);
    out[SSW_MACHINE_ID_DIGITS] = '\0';
    return SSW_OK;
}
