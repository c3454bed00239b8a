/* The register of printed numbers. */
#include "bench/report/figures.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ssw_figures_init(ssw_figures *figures, ssw_arena *arena)
{
    *figures = (ssw_figures){.arena = arena};
    figures->failed = !hcreate_r(SSW_FIGURES_MAX, &figures->index);
}

void ssw_figures_deinit(ssw_figures *figures)
{
    hdestroy_r(&figures->index);
    *figures = (ssw_figures){.arena = figures->arena, .failed = true};
}

const ssw_figure *ssw_figures_put(ssw_figures *figures, const ssw_figure *figure, const char *key_format, ...)
{
    char key[SSW_FIGURE_KEY_MAX];
    va_list args;
    va_start(args, key_format);
    int n = vsnprintf(key, sizeof key, key_format, args);
    va_end(args);
    if (figures->failed || !isfinite(figure->value))
        return NULL;
    if (n < 0 || n >= (int)sizeof key || figures->n == SSW_FIGURES_MAX) {
        figures->failed = true;
        return NULL;
    }
    ENTRY *found;
    if (hsearch_r((ENTRY){.key = key}, FIND, &found, &figures->index))
        return found->data;
    ssw_figure *kept = ssw_arena_alloc(figures->arena, 1, sizeof *kept);
    char *kept_key = ssw_arena_copy_text(figures->arena, key, (size_t)n);
    if (!kept || !kept_key || !hsearch_r((ENTRY){kept_key, kept}, ENTER, &found, &figures->index)) {
        figures->failed = true;
        return NULL;
    }
    *kept = *figure;
    kept->key = kept_key;
    kept->next = figures->last;
    figures->last = kept;
    figures->n++;
    return kept;
}

static bool put_real(json_t *object, const char *key, double value)
{
    return !isfinite(value) || json_object_set_new(object, key, json_real(value)) == 0;
}

static json_t *figure_to_json(const ssw_figure *figure)
{
    json_t *object = json_object();
    if (!object)
        return NULL;
    bool ok = put_real(object, "value", figure->value) && put_real(object, "sd", figure->sd) &&
              put_real(object, "ci_low", figure->ci_low) && put_real(object, "ci_high", figure->ci_high) &&
              json_object_set_new(object, "unit", json_string(figure->unit)) == 0 &&
              json_object_set_new(object, "formula", json_string(figure->formula)) == 0 &&
              json_object_set_new(object, "n", json_integer((json_int_t)figure->n)) == 0;
    if (!ok)
        json_decref(object);
    return ok ? object : NULL;
}

json_t *ssw_figures_to_json(const ssw_figures *figures)
{
    json_t *object = figures->failed ? NULL : json_object();
    for (const ssw_figure *figure = figures->last; object && figure; figure = figure->next) {
        if (json_object_set_new(object, figure->key, figure_to_json(figure)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}
