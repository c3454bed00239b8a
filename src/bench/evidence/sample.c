/* Samples to JSON and back. */
#include "bench/evidence/sample.h"

#include <stdlib.h>
#include <string.h>

#include "bench/evidence/json_fields.h"

static const char *const kind_names[SSW_FRAME_KIND_COUNT] = {"content", "reasoning", "tool", "finish", "role",
                                                             "empty",   "usage",     "done", "other"};

static const ssw_json_field sample_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_sample, id),     SSW_JSON_FIELD(TEXT_NEEDED, ssw_sample, arm),
    SSW_JSON_FIELD(COUNT, ssw_sample, block),        SSW_JSON_FIELD(COUNT, ssw_sample, position),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_sample, prompt), SSW_JSON_FIELD(COUNT, ssw_sample, run),
    SSW_JSON_FIELD(COUNT, ssw_sample, attempt),      SSW_JSON_FIELD(TEXT, ssw_sample, request),
    SSW_JSON_FIELD(I64, ssw_sample, http_status),    SSW_JSON_FIELD(TEXT, ssw_sample, error),
    SSW_JSON_FIELD(I64, ssw_sample, start_ns),       SSW_JSON_FIELD(I64, ssw_sample, send_ns),
    SSW_JSON_FIELD(I64, ssw_sample, sent_ns),        SSW_JSON_FIELD(I64, ssw_sample, end_ns),
    SSW_JSON_FIELD(TEXT, ssw_sample, finish_reason), SSW_JSON_FIELD(TEXT, ssw_sample, text),
    SSW_JSON_FIELD(TEXT, ssw_sample, reasoning),
};
static const ssw_json_field usage_fields[] = {
    SSW_JSON_FIELD(I64, ssw_usage, prompt_tokens),
    SSW_JSON_FIELD(I64, ssw_usage, completion_tokens),
    SSW_JSON_FIELD(I64, ssw_usage, cached_tokens),
};
static const ssw_json_field timings_fields[] = {
    SSW_JSON_FIELD(I64, ssw_timings, prompt_n),    SSW_JSON_FIELD(REAL, ssw_timings, prompt_ms),
    SSW_JSON_FIELD(I64, ssw_timings, predicted_n), SSW_JSON_FIELD(REAL, ssw_timings, predicted_ms),
    SSW_JSON_FIELD(I64, ssw_timings, cache_n),
};

typedef struct raw_frame {
    int64_t t_ns;
    int n_bytes;
    const char *kind, *text;
} raw_frame;

static const ssw_json_field raw_frame_fields[] = {
    SSW_JSON_FIELD(I64, raw_frame, t_ns),
    SSW_JSON_FIELD(COUNT, raw_frame, n_bytes),
    SSW_JSON_FIELD(TEXT_NEEDED, raw_frame, kind),
    SSW_JSON_FIELD(TEXT, raw_frame, text),
};

const char *ssw_frame_kind_name(ssw_frame_kind kind)
{
    return (unsigned)kind < SSW_FRAME_KIND_COUNT ? kind_names[kind] : "other";
}

bool ssw_sample_has_flag(const ssw_sample *sample, const char *flag)
{
    for (size_t i = 0; i < sample->n_flags; i++) {
        if (strcmp(sample->flags[i], flag) == 0)
            return true;
    }
    return false;
}

bool ssw_sample_add_flag(ssw_sample *sample, const char *flag)
{
    if (ssw_sample_has_flag(sample, flag))
        return true;
    if (sample->n_flags == SSW_SAMPLE_FLAGS_MAX)
        return false;
    sample->flags[sample->n_flags++] = flag;
    return true;
}

static bool is_text(const ssw_frame *frame)
{
    return frame->kind == SSW_FRAME_CONTENT || frame->kind == SSW_FRAME_REASONING ||
           frame->kind == SSW_FRAME_TOOL;
}

const ssw_frame *ssw_sample_first_text(const ssw_sample *sample)
{
    for (size_t i = 0; i < sample->n_frames; i++) {
        if (is_text(&sample->frames[i]))
            return &sample->frames[i];
    }
    return NULL;
}

const ssw_frame *ssw_sample_last_text(const ssw_sample *sample)
{
    for (size_t i = sample->n_frames; i > 0; i--) {
        if (is_text(&sample->frames[i - 1]))
            return &sample->frames[i - 1];
    }
    return NULL;
}

static json_t *frames_to_json(const ssw_sample *sample)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < sample->n_frames; i++) {
        const ssw_frame *frame = &sample->frames[i];
        json_t *item = json_object();
        bool ok = item && ssw_json_put(item, "t_ns", json_integer(frame->t_ns)) &&
                  ssw_json_put(item, "n_bytes", json_integer(frame->n_bytes)) &&
                  ssw_json_put(item, "kind", json_string(ssw_frame_kind_name(frame->kind))) &&
                  (!frame->text || ssw_json_put(item, "text", ssw_json_make_text(frame->text)));
        if (!ok) {
            json_decref(item);
            json_decref(array);
            return NULL;
        }
        if (json_array_append_new(array, item)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *record_or_null(bool there, const void *record, const ssw_json_field *fields, size_t n_fields)
{
    if (!there)
        return json_null();
    json_t *object = json_object();
    if (object && !ssw_json_put_fields(object, record, fields, n_fields)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *ssw_sample_to_json(const ssw_sample *sample)
{
    json_t *object = json_object();
    bool ok =
        object && ssw_json_put_fields(object, sample, SSW_JSON_FIELDS(sample_fields)) &&
        ssw_json_put(object, "phase", json_string(sample->warmup ? "warmup" : "measure")) &&
        ssw_json_put(object, "frames", frames_to_json(sample)) &&
        ssw_json_put(object, "usage",
                     record_or_null(sample->has_usage, &sample->usage, SSW_JSON_FIELDS(usage_fields))) &&
        ssw_json_put(
            object, "timings",
            record_or_null(sample->has_timings, &sample->timings, SSW_JSON_FIELDS(timings_fields))) &&
        ssw_json_put(object, "flags", ssw_json_words(sample->flags, sample->n_flags));
    if (ok && sample->logprobs)
        ok = ssw_json_put(object, "logprobs", json_loads(sample->logprobs, 0, NULL));
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static ssw_status read_frame(ssw_arena *arena, const json_t *item, ssw_frame *frame, ssw_error *err)
{
    raw_frame raw;
    ssw_status status = ssw_json_get_fields(arena, item, &raw, SSW_JSON_FIELDS(raw_frame_fields), err);
    if (status)
        return status;
    if (raw.t_ns == SSW_EVIDENCE_NONE)
        return ssw_error_set(err, SSW_ERR_FORMAT, "a frame has no \"t_ns\"");
    *frame = (ssw_frame){
        .t_ns = raw.t_ns, .n_bytes = (uint32_t)raw.n_bytes, .kind = SSW_FRAME_KIND_COUNT, .text = raw.text};
    for (int kind = 0; kind < SSW_FRAME_KIND_COUNT; kind++) {
        if (strcmp(raw.kind, kind_names[kind]) == 0)
            frame->kind = (ssw_frame_kind)kind;
    }
    return frame->kind == SSW_FRAME_KIND_COUNT
               ? ssw_error_set(err, SSW_ERR_FORMAT, "unknown frame kind \"%.40s\"", raw.kind)
               : SSW_OK;
}

static ssw_status read_frames(ssw_arena *arena, const json_t *object, ssw_sample *out, ssw_error *err)
{
    const json_t *array;
    ssw_status status = ssw_json_get_array(object, "frames", SSW_SAMPLE_FRAMES_MAX, &array, err);
    if (status || !array)
        return status;
    out->n_frames = json_array_size(array);
    ssw_frame *frames = ssw_arena_alloc(arena, out->n_frames + 1, sizeof *frames);
    if (!frames)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for frames");
    out->frames = frames;
    for (size_t i = 0; !status && i < out->n_frames; i++)
        status = read_frame(arena, json_array_get(array, i), &frames[i], err);
    return status;
}

static ssw_status read_records(ssw_arena *arena, const json_t *object, ssw_sample *out, ssw_error *err)
{
    const json_t *usage, *timings;
    ssw_status status = ssw_json_get_object(object, "usage", &usage, err);
    if (!status && usage) {
        out->has_usage = true;
        status = ssw_json_get_fields(arena, usage, &out->usage, SSW_JSON_FIELDS(usage_fields), err);
    }
    if (!status)
        status = ssw_json_get_object(object, "timings", &timings, err);
    if (!status && timings) {
        out->has_timings = true;
        status = ssw_json_get_fields(arena, timings, &out->timings, SSW_JSON_FIELDS(timings_fields), err);
    }
    return status;
}

static ssw_status read_logprobs(ssw_arena *arena, const json_t *object, ssw_sample *out, ssw_error *err)
{
    const json_t *array;
    ssw_status status = ssw_json_get_array(object, "logprobs", SSW_SAMPLE_FRAMES_MAX, &array, err);
    if (status || !array)
        return status;
    char *text = json_dumps(array, JSON_COMPACT);
    out->logprobs = text ? ssw_arena_copy_text(arena, text, strlen(text)) : NULL;
    free(text);
    return out->logprobs ? SSW_OK : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for logprobs");
}

ssw_status ssw_sample_from_json(ssw_arena *arena, const json_t *object, ssw_sample *out, ssw_error *err)
{
    *out = (ssw_sample){0};
    ssw_status status = ssw_json_get_fields(arena, object, out, SSW_JSON_FIELDS(sample_fields), err);
    if (status)
        return status;
    const char *phase = json_string_value(json_object_get(object, "phase"));
    if (!phase || (strcmp(phase, "warmup") != 0 && strcmp(phase, "measure") != 0))
        return ssw_error_set(err, SSW_ERR_FORMAT, "\"phase\" is neither \"warmup\" nor \"measure\"");
    out->warmup = *phase == 'w';
    if (!out->text)
        out->text = "";
    if (!out->reasoning)
        out->reasoning = "";
    status = read_frames(arena, object, out, err);
    if (!status)
        status = read_records(arena, object, out, err);
    if (!status)
        status = read_logprobs(arena, object, out, err);
    const char **flags = NULL;
    size_t n_flags = 0;
    if (!status)
        status = ssw_json_get_words(arena, object, "flags", SSW_SAMPLE_FLAGS_MAX, &n_flags, &flags, err);
    for (size_t i = 0; !status && i < n_flags; i++)
        ssw_sample_add_flag(out, flags[i]);
    return status;
}
