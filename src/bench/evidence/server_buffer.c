/* Buffers to JSON and back. */
#include "bench/evidence/server_buffer.h"

#include <stdio.h>

#include "bench/evidence/json_fields.h"

json_t *ssw_server_buffers_to_json(const ssw_server_buffer *buffers, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++) {
        json_t *item = json_object();
        bool ok = item && ssw_json_put(item, "device", ssw_json_make_text(buffers[i].device)) &&
                  ssw_json_put(item, "use", ssw_json_make_text(buffers[i].use)) &&
                  ssw_json_put(item, "bytes", json_integer(buffers[i].bytes));
        if (!ok) {
            json_decref(item);
            item = NULL;
        }
        if (!ssw_json_push(array, item)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

ssw_status ssw_server_buffers_from_json(ssw_arena *arena, const json_t *object, ssw_server_buffer **out,
                                        size_t *n, ssw_error *err)
{
    const json_t *array, *item;
    size_t i;
    *n = 0;
    ssw_status status = ssw_json_get_array(object, "buffers", SSW_BUFFERS_MAX, &array, err);
    if (status || !array)
        return status;
    *out = ssw_arena_alloc(arena, json_array_size(array) + 1, sizeof **out);
    if (!*out)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for \"buffers\"");
    json_array_foreach(array, i, item)
    {
        const char *device = json_string_value(json_object_get(item, "device"));
        const char *use = json_string_value(json_object_get(item, "use"));
        const json_t *bytes = json_object_get(item, "bytes");
        if (!device || !use || !json_is_integer(bytes) || json_integer_value(bytes) < 0)
            return ssw_error_set(err, SSW_ERR_FORMAT, "\"buffers\": entry %zu has no device, use or bytes",
                                 i);
        ssw_server_buffer *buffer = &(*out)[(*n)++];
        snprintf(buffer->device, sizeof buffer->device, "%s", device);
        snprintf(buffer->use, sizeof buffer->use, "%s", use);
        buffer->bytes = json_integer_value(bytes);
    }
    return SSW_OK;
}
