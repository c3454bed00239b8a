/* Patterns and what they decide; the rules of what can be computed apart are in override_check.c. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "place/override.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct override {
    char text[SSW_PLACE_OVERRIDE_BYTES_MAX]; /* "PATTERN=DEVICE" */
    pcre2_code *pattern;
    int32_t device;
} override;

struct ssw_place_overrides {
    override list[SSW_PLACE_OVERRIDES_MAX];
    int32_t n;
    pcre2_match_data *match;
};

/* ---- reading ---- */

static int32_t find_device(const char *name)
{
    if (strcmp(name, "CPU") == 0)
        return SSW_PLACE_CPU;
    return strcmp(name, "CUDA0") == 0 || strcmp(name, "GPU") == 0 ? SSW_PLACE_GPU : -1;
}

static ssw_status compile(override *o, size_t n_pattern, ssw_error *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR reason[128] = "";
    o->pattern = pcre2_compile((PCRE2_SPTR)o->text, n_pattern, 0, &code, &at, NULL);
    if (o->pattern)
        return SSW_OK;
    pcre2_get_error_message(code, reason, sizeof reason);
    return ssw_error_set(err, SSW_ERR_USAGE, "override '%s': %s, at character %zu", o->text,
                         (const char *)reason, at + 1);
}

/* One PATTERN=DEVICE of n bytes. The last '=' counts, so that a pattern may have one. */
static ssw_status add_override(ssw_place_overrides *overrides, const char *text, size_t n, ssw_error *err)
{
    if (overrides->n == SSW_PLACE_OVERRIDES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d overrides", SSW_PLACE_OVERRIDES_MAX);
    if (n >= SSW_PLACE_OVERRIDE_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "override '%.40s...' is longer than %d bytes", text,
                             SSW_PLACE_OVERRIDE_BYTES_MAX - 1);
    override *o = &overrides->list[overrides->n];
    memcpy(o->text, text, n);
    o->text[n] = 0;
    const char *equals = strrchr(o->text, '=');
    if (!equals || equals == o->text)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "override '%s' is not PATTERN=DEVICE (a comma begins the next one: write the "
                             "pattern without)",
                             o->text);
    o->device = find_device(equals + 1);
    if (o->device < 0)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "override '%s': no device '%s'; there are CPU, CUDA0 and GPU", o->text,
                             equals + 1);
    ssw_status status = compile(o, (size_t)(equals - o->text), err);
    overrides->n += status == SSW_OK;
    return status;
}

ssw_status ssw_place_overrides_open(const char *const *texts, int32_t n_texts, ssw_place_overrides **out,
                                    ssw_error *err)
{
    *out = NULL;
    ssw_place_overrides *overrides = calloc(1, sizeof *overrides);
    if (overrides)
        overrides->match = pcre2_match_data_create(1, NULL);
    if (!overrides || !overrides->match) {
        free(overrides);
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for overrides of placement");
    }
    for (int32_t i = 0; i < n_texts; i++) {
        for (const char *at = texts[i];; at++) {
            size_t n = strcspn(at, ",");
            ssw_status status = add_override(overrides, at, n, err);
            if (status != SSW_OK) {
                ssw_place_overrides_close(overrides);
                return status;
            }
            at += n;
            if (!*at)
                break;
        }
    }
    *out = overrides;
    return SSW_OK;
}

void ssw_place_overrides_close(ssw_place_overrides *overrides)
{
    if (!overrides)
        return;
    for (int32_t i = 0; i < overrides->n; i++)
        pcre2_code_free(overrides->list[i].pattern);
    pcre2_match_data_free(overrides->match);
    free(overrides);
}

int32_t ssw_place_overrides_count(const ssw_place_overrides *overrides)
{
    return overrides->n;
}

/* ---- deciding ---- */

/* Below 0: PCRE2's error. */
static int matches(const ssw_place_overrides *overrides, int32_t i, const char *name)
{
    int found =
        pcre2_match(overrides->list[i].pattern, (PCRE2_SPTR)name, strlen(name), 0, 0, overrides->match, NULL);
    return found == PCRE2_ERROR_NOMATCH ? 0 : found < 0 ? found : 1;
}

static ssw_status decide(const ssw_place_overrides *overrides, ssw_place_item *item, ssw_error *err)
{
    for (int32_t i = 0; i < overrides->n; i++) {
        int found = matches(overrides, i, item->name);
        if (found < 0)
            return ssw_error_set(err, SSW_ERR_USAGE, "override '%s': PCRE2 gives up on tensor '%s' (%d)",
                                 overrides->list[i].text, item->name, found);
        if (found == 0)
            continue;
        item->is_forced = true;
        item->forced_device = overrides->list[i].device;
        item->forced_by = i;
        return SSW_OK;
    }
    return SSW_OK;
}

/* "blk.3.ffn_up_exps.bias" is the bias of "blk.3.ffn_up_exps.weight". */
static bool is_bias_of(const char *bias, const char *matrix)
{
    const char *dot = strrchr(bias, '.');
    return dot && strcmp(dot, ".bias") == 0 && strncmp(bias, matrix, (size_t)(dot - bias)) == 0 &&
           strcmp(matrix + (dot - bias), ".weight") == 0;
}

/* Whether b, which no pattern names, goes where a goes: an experts' bias with its matrix, a KV cache with
 * something of its layer that is no expert. */
static bool leads(const ssw_place_item *a, const ssw_place_item *b)
{
    if (!a->is_forced || !a->name || b->is_forced || a->layer != b->layer || b->layer < 0)
        return false;
    if (b->is_expert)
        return b->name && a->is_expert && is_bias_of(b->name, a->name);
    return !b->name && !a->is_expert;
}

ssw_status ssw_place_overrides_apply(const ssw_place_overrides *overrides, ssw_place_item *items,
                                     int32_t n_items, ssw_error *err)
{
    for (int32_t i = 0; i < n_items; i++) {
        ssw_status status = items[i].name ? decide(overrides, &items[i], err) : SSW_OK;
        if (status != SSW_OK)
            return status;
    }
    for (int32_t i = 0; i < n_items; i++) {
        for (int32_t k = 0; k < n_items && !items[i].is_forced; k++) {
            if (!leads(&items[k], &items[i]))
                continue;
            items[i].is_forced = true;
            items[i].forced_device = items[k].forced_device;
            items[i].forced_by = items[k].forced_by;
        }
    }
    return SSW_OK;
}

void ssw_place_overrides_describe(const ssw_place_overrides *overrides, int32_t index,
                                  const ssw_place_request *request, const ssw_place_item *items,
                                  int32_t n_items, ssw_place_override_effect *out)
{
    *out = (ssw_place_override_effect){0};
    memcpy(out->text, overrides->list[index].text, sizeof out->text);
    for (int32_t i = 0; i < n_items; i++) {
        const ssw_place_item *item = &items[i];
        if (!item->name || !item->is_forced)
            continue;
        if (item->forced_by != index) {
            out->is_shadowed |= matches(overrides, index, item->name) > 0;
            continue;
        }
        ssw_place_item free_item = *item;
        free_item.is_forced = false;
        out->n_decided++;
        if (ssw_place_device_of(request, &free_item) == item->device)
            continue;
        out->n_moved++;
        out->moved_bytes += item->bytes;
    }
    out->is_shadowed &= out->n_decided == 0;
}
