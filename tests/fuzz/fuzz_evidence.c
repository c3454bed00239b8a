/* Lines of the evidence's files and manifests. What can be read must come out the same when it is written and
 * read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/manifest.h"
#include "bench/evidence/reading.h"
#include "bench/evidence/self_audit.h"
#include "bench/evidence/server_buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void expect_same(json_t *first, json_t *second)
{
    if (!first || !second || !json_equal(first, second))
        abort();
    json_decref(first);
    json_decref(second);
}

static void try_sample(const json_t *object)
{
    ssw_arena arena;
    ssw_sample sample, again;
    ssw_arena_init(&arena, 64 << 20);
    if (ssw_sample_from_json(&arena, object, &sample, NULL) == SSW_OK) {
        json_t *written = ssw_sample_to_json(&sample);
        if (!written || ssw_sample_from_json(&arena, written, &again, NULL))
            abort();
        expect_same(written, ssw_sample_to_json(&again));
        ssw_sample_first_text(&sample);
    }
    ssw_arena_deinit(&arena);
}

static void try_reading(const json_t *object)
{
    ssw_arena arena;
    ssw_reading reading, again;
    ssw_arena_init(&arena, 64 << 20);
    if (ssw_reading_from_json(&arena, object, &reading, NULL) == SSW_OK) {
        json_t *written = ssw_reading_to_json(&reading);
        if (!written || ssw_reading_from_json(&arena, written, &again, NULL))
            abort();
        expect_same(written, ssw_reading_to_json(&again));
    }
    ssw_arena_deinit(&arena);
}

/* A self-audit, and the buffers of a server_ready line. */
static void try_others(const json_t *object)
{
    ssw_arena arena;
    ssw_self_audit audit, again;
    ssw_server_buffer *buffers = NULL;
    size_t n_buffers;
    ssw_arena_init(&arena, 64 << 20);
    if (ssw_self_audit_from_json(object, &audit, NULL) == SSW_OK) {
        json_t *written = ssw_self_audit_to_json(&audit);
        if (!written || ssw_self_audit_from_json(written, &again, NULL))
            abort();
        expect_same(written, ssw_self_audit_to_json(&again));
    }
    if (ssw_server_buffers_from_json(&arena, object, &buffers, &n_buffers, NULL) == SSW_OK)
        json_decref(ssw_server_buffers_to_json(buffers, n_buffers));
    ssw_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes < 2)
        return 0;
    const char *text = (const char *)bytes + 1;
    if (bytes[0] == 'm') {
        ssw_manifest manifest;
        ssw_error err;
        ssw_manifest_init(&manifest);
        if (ssw_manifest_parse(&manifest, text, n_bytes - 1, &err) && strchr(err.message, '\n'))
            abort();
        ssw_manifest_deinit(&manifest);
        return 0;
    }
    json_t *object = json_loadb(text, n_bytes - 1, JSON_REJECT_DUPLICATES, NULL);
    if (object && bytes[0] == 's')
        try_sample(object);
    else if (object && bytes[0] == 'a')
        try_others(object);
    else if (object)
        try_reading(object);
    json_decref(object);
    return 0;
}
