/* Self-audits to JSON and back. */
#include "bench/evidence/self_audit.h"

#include "bench/evidence/json_fields.h"

static const ssw_json_field audit_fields[] = {
    SSW_JSON_FIELD(I64, ssw_self_audit, ttft_ns),
    SSW_JSON_FIELD(I64, ssw_self_audit, gap_ns),
};
static const ssw_json_field request_fields[] = {
    SSW_JSON_FIELD(I64, ssw_audit_request, send_ns),
    SSW_JSON_FIELD(I64, ssw_audit_request, received_ns),
    SSW_JSON_FIELD(I64, ssw_audit_request, tokens_told),
    SSW_JSON_FIELD(I64, ssw_audit_request, n_frames),
};

static json_t *times_to_json(const int64_t *times_ns)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < SSW_AUDIT_TOKENS; i++) {
        if (!ssw_json_push(array, json_integer(times_ns[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *request_to_json(const ssw_audit_request *request)
{
    json_t *object = json_object();
    bool ok = object && ssw_json_put_fields(object, request, SSW_JSON_FIELDS(request_fields)) &&
              ssw_json_put(object, "sent_ns", times_to_json(request->sent_ns)) &&
              ssw_json_put(object, "seen_ns", times_to_json(request->seen_ns));
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *ssw_self_audit_to_json(const ssw_self_audit *audit)
{
    json_t *object = json_object(), *requests = json_array();
    bool ok = object && requests && ssw_json_put_fields(object, audit, SSW_JSON_FIELDS(audit_fields));
    for (size_t i = 0; ok && i < audit->n_requests; i++)
        ok = ssw_json_push(requests, request_to_json(&audit->requests[i]));
    ok = ok && json_object_set(object, "requests", requests) == 0;
    json_decref(requests);
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static ssw_status read_times(const json_t *object, const char *key, int64_t *times_ns, ssw_error *err)
{
    const json_t *array, *item;
    size_t i;
    ssw_status status = ssw_json_get_array(object, key, SSW_AUDIT_TOKENS, &array, err);
    if (!status && json_array_size(array) != SSW_AUDIT_TOKENS)
        status = ssw_error_set(err, SSW_ERR_FORMAT, "\"%s\" has not %d times", key, SSW_AUDIT_TOKENS);
    if (status)
        return status;
    json_array_foreach(array, i, item)
    {
        if (!json_is_integer(item))
            return ssw_error_set(err, SSW_ERR_FORMAT, "\"%s\": entry %zu is no integer", key, i);
        times_ns[i] = json_integer_value(item);
    }
    return SSW_OK;
}

ssw_status ssw_self_audit_from_json(const json_t *object, ssw_self_audit *out, ssw_error *err)
{
    const json_t *requests, *item;
    size_t i;
    *out = (ssw_self_audit){0};
    ssw_status status = ssw_json_get_fields(NULL, object, out, SSW_JSON_FIELDS(audit_fields), err);
    if (!status)
        status = ssw_json_get_array(object, "requests", SSW_AUDIT_REQUESTS, &requests, err);
    if (status)
        return status;
    json_array_foreach(requests, i, item)
    {
        ssw_audit_request *request = &out->requests[out->n_requests++];
        status = ssw_json_get_fields(NULL, item, request, SSW_JSON_FIELDS(request_fields), err);
        if (!status)
            status = read_times(item, "sent_ns", request->sent_ns, err);
        if (!status)
            status = read_times(item, "seen_ns", request->seen_ns, err);
        if (status)
            return ssw_error_prefix(err, "\"requests\": entry %zu", i);
    }
    return SSW_OK;
}
