/* Plots: gnuplot's child processes, and the drawings made fit for a page. */
#include "bench/report/plots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "bench/report/plot_child.h"
#include "bench/report/plot_scripts.h"

#define SCRIPT_BYTES_MAX ((size_t)4 << 20)

static ssw_status write_script(const ssw_analysis *analysis, const ssw_plot_kind *kind, const char *terminal,
                               ssw_strbuf *script, ssw_error *err)
{
    ssw_strbuf_clear(script);
    ssw_strbuf_append_text(script, terminal);
    ssw_status status = kind->put(script, analysis, err);
    return status ? status : ssw_strbuf_check(script, "a plot's script", err);
}

static ssw_status draw_one(const ssw_analysis *analysis, const ssw_plot_kind *kind, const char *gnuplot,
                           bool with_png, ssw_plot *plot, ssw_error *err)
{
    char svg[128], png[160];
    snprintf(svg, sizeof svg, "set terminal svg size %d,%d dynamic font 'sans-serif,13' name 'seesaw'\n",
             kind->wide ? 1000 : 330, kind->wide ? 330 : 275);
    snprintf(
        png, sizeof png,
        "set terminal pngcairo size %d,775 font 'sans-serif,13' fontscale 1.9 linewidth 2 pointscale 2\n",
        kind->wide ? 2000 : 1000);
    ssw_strbuf script;
    ssw_strbuf_init(&script, SCRIPT_BYTES_MAX);
    ssw_status status = write_script(analysis, kind, svg, &script, err);
    if (!status)
        status = ssw_plot_run_child(gnuplot, &script, &plot->svg, &plot->svg_bytes, err);
    if (!status && with_png)
        status = write_script(analysis, kind, png, &script, err);
    if (!status && with_png)
        status = ssw_plot_run_child(gnuplot, &script, &plot->png, &plot->png_bytes, err);
    ssw_strbuf_deinit(&script);
    return status;
}

static void read_version(ssw_plots *out)
{
    static const char before[] = "Produced by GNUPLOT ";
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        const char *at = out->plots[i].svg ? strstr(out->plots[i].svg, before) : NULL;
        if (!at)
            continue;
        at += sizeof before - 1;
        int n = (int)strcspn(at, "<\n");
        while (n > 0 && at[n - 1] == ' ')
            n--;
        snprintf(out->made_with, sizeof out->made_with, "gnuplot %.*s", n > 40 ? 40 : n, at);
        return;
    }
}

void ssw_plots_name(const ssw_analysis *analysis, ssw_plots *plots)
{
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        plots->plots[i].name = ssw_plot_kinds[i].name;
        plots->plots[i].caption = ssw_plot_kinds[i].caption;
        plots->plots[i].wide = ssw_plot_kinds[i].wide;
        plots->plots[i].has_data = ssw_plot_kinds[i].has_data(analysis);
    }
    read_version(plots);
}

ssw_status ssw_plots_draw(const ssw_analysis *analysis, const char *gnuplot, bool with_png, ssw_plots *out,
                          ssw_error *err)
{
    *out = (ssw_plots){0};
    ssw_plots_name(analysis, out);
    ssw_status status = SSW_OK;
    ssw_error why = {0};
    for (int i = 0; i < SSW_PLOTS_COUNT && !status; i++) {
        if (out->plots[i].has_data)
            status = draw_one(analysis, &ssw_plot_kinds[i], gnuplot ? gnuplot : "gnuplot", with_png,
                              &out->plots[i], &why);
    }
    if (status == SSW_ERR_NOMEM)
        return ssw_error_set(err, status, "%s", why.message);
    if (status) { /* all or none */
        ssw_plots_deinit(out);
        snprintf(out->why_not, sizeof out->why_not, "%.250s", why.message);
    }
    read_version(out);
    if (!*out->made_with && !*out->why_not)
        snprintf(out->why_not, sizeof out->why_not, "there is nothing to draw");
    return SSW_OK;
}

void ssw_plots_deinit(ssw_plots *plots)
{
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        free(plots->plots[i].svg);
        free(plots->plots[i].png);
        plots->plots[i].svg = plots->plots[i].png = NULL;
    }
}

/* gnuplot names its markers gpPt0 ... and more; on one page with two drawings each needs ids of its own. */
static size_t match_id(const char *at)
{
    static const char *const ids[] = {"gpPt",    "gpDot",          "textbox",
                                      "greybox", "gnuplot_canvas", "seesaw_plot_"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (strncmp(at, ids[i], strlen(ids[i])) == 0)
            return strlen(ids[i]);
    }
    return 0;
}

char *ssw_plot_inline_svg(const ssw_plot *plot)
{
    const char *at = plot->svg ? strstr(plot->svg, "<svg") : NULL;
    if (!at)
        return NULL;
    ssw_strbuf out;
    ssw_strbuf_init(&out, 2 * SSW_PLOTS_BYTES_MAX);
    ssw_strbuf_append_format(&out, "<svg role=\"img\" aria-label=\"%s\"", plot->caption);
    for (at += strlen("<svg"); *at;) {
        size_t id = match_id(at);
        if (strncmp(at, "<title>", 7) == 0 &&
            strstr(at, "</title>")) { /* else each part shows its name under the pointer */
            at = strstr(at, "</title>") + strlen("</title>");
        } else if (id && (at[-1] == '\'' || at[-1] == '"' || at[-1] == '#')) {
            ssw_strbuf_append_format(&out, "%s-%.*s", plot->name, (int)id, at);
            at += id;
        } else {
            ssw_strbuf_append(&out, at++, 1);
        }
    }
    char *text = ssw_strbuf_take(&out);
    ssw_strbuf_deinit(&out);
    return text;
}
