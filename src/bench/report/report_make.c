/* From a folder to pages in memory. */
#include "bench/report/report_make.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/text_file.h"
#include "bench/report/compose.h"
#include "bench/report/csv.h"
#include "bench/report/page_data.h"

#define PAGE_ARENA_BYTES_MAX ((size_t)1 << 30)
enum { FIGURES_SCHEMA = 1 };

typedef struct workshop { /* what lives while the pages are made */
    ssw_analysis *analysis;
    ssw_sums sums;
    ssw_arena arena;
    ssw_figures figures;
    ssw_page page, section;
} workshop;

static ssw_status open_workshop(const char *dir, workshop *shop, ssw_error *err)
{
    *shop = (workshop){0};
    ssw_arena_init(&shop->arena, PAGE_ARENA_BYTES_MAX);
    ssw_figures_init(&shop->figures, &shop->arena);
    ssw_page_init(&shop->page, &shop->arena);
    ssw_page_init(&shop->section, &shop->arena);
    ssw_status status = ssw_analysis_open(dir, &shop->analysis, err);
    return status ? status : ssw_sums_compute(dir, &shop->sums, err);
}

static void close_workshop(workshop *shop)
{
    ssw_analysis_close(shop->analysis);
    ssw_figures_deinit(&shop->figures);
    ssw_arena_deinit(&shop->arena);
}

static ssw_status load_plots(const ssw_analysis *analysis, const char *folder, ssw_plots *plots,
                             ssw_error *err)
{
    ssw_plots_name(analysis, plots);
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s.svg", folder, plots->plots[i].name) >= (int)sizeof path)
            return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", folder);
        if (!plots->plots[i].has_data)
            continue;
        ssw_status status = ssw_text_file_read(path, SSW_PLOTS_BYTES_MAX, &plots->plots[i].svg,
                                               &plots->plots[i].svg_bytes, err);
        if (status)
            return status;
    }
    return SSW_OK;
}

static ssw_status get_plots(const workshop *shop, const ssw_report_make_options *options, ssw_plots *plots,
                            ssw_error *err)
{
    if (options->no_plots) {
        *plots = (ssw_plots){0};
        ssw_plots_name(shop->analysis, plots);
        snprintf(plots->why_not, sizeof plots->why_not, "%s", options->no_plots);
        return SSW_OK;
    }
    ssw_status status = ssw_plots_draw(shop->analysis, options->gnuplot, options->with_png, plots, err);
    if (!status && options->plots_from) {
        ssw_plots_deinit(plots);
        *plots = (ssw_plots){0};
        status = load_plots(shop->analysis, options->plots_from, plots, err);
        ssw_plots_name(shop->analysis, plots);
    }
    return status;
}

static json_t *worth_to_json(const workshop *shop)
{
    static const char *const names[] = {"measured", "inconclusive", "invalid", "server-failed"};
    return json_string(names[ssw_compose_worth(shop->analysis)]);
}

static ssw_status render_json(const workshop *shop, const ssw_plots *plots, ssw_strbuf *out, ssw_error *err)
{
    json_t *root = json_object(), *sums = json_object();
    bool ok = root && sums;
    for (size_t i = 0; ok && i < shop->sums.n; i++)
        ok =
            json_object_set_new(sums, shop->sums.items[i].name, json_string(shop->sums.items[i].sha256)) == 0;
    ok = ok && json_object_set_new(root, "schema", json_integer(FIGURES_SCHEMA)) == 0 &&
         json_object_set(root, "evidence_sha256", sums) == 0 &&
         json_object_set_new(
             root, "plots",
             json_pack("{s:s,s:s}", "made_with", plots->made_with, "why_not", plots->why_not)) == 0 &&
         json_object_set_new(root, "worth", worth_to_json(shop)) == 0 &&
         json_object_set_new(root, "figures", ssw_figures_to_json(&shop->figures)) == 0;
    char *text = ok ? json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(1)) : NULL;
    json_decref(root);
    json_decref(sums);
    if (!text)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for figures.json");
    ssw_strbuf_append_text(out, text);
    ssw_strbuf_append_text(out, "\n");
    free(text);
    return ssw_strbuf_check(out, "figures.json", err);
}

static ssw_status render_csv(const workshop *shop, ssw_report_pages *out, ssw_error *err)
{
    ssw_csv_put_samples(shop->analysis, &out->samples_csv);
    ssw_status status = ssw_csv_put_figures(&shop->figures, &out->figures_csv, err);
    if (!status)
        status = ssw_strbuf_check(&out->samples_csv, "samples.csv", err);
    return status ? status : ssw_strbuf_check(&out->figures_csv, "figures.csv", err);
}

static void name_section(const workshop *shop, char name[128])
{
    const char *model = shop->analysis->evidence->manifest.model.name;
    snprintf(name, 128, "%.100s", model && *model ? model : "model");
    for (char *c = name; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            *c = '-';
    }
}

static ssw_status render(workshop *shop, ssw_report_pages *out, ssw_error *err)
{
    char title[256];
    const char *model = shop->analysis->evidence->manifest.model.name;
    ssw_composer composer = {shop->analysis, &shop->figures, &shop->page, &out->plots, &shop->sums};
    ssw_compose_page(&composer);
    composer.page = &shop->section;
    ssw_compose_section(&composer);
    snprintf(title, sizeof title, "%.120s: an A/B test by seesaw", model ? model : "model");
    name_section(shop, out->section_name);
    ssw_status status = ssw_page_render_md(&shop->page, 1, &out->md, err);
    if (!status)
        status = ssw_page_render_md(&shop->section, 2, &out->section, err);
    ssw_strbuf data;
    ssw_strbuf_init(&data, SSW_REPORT_BYTES_MAX);
    if (!status)
        status = ssw_page_data_render(shop->analysis, &data, err);
    if (!status)
        status = ssw_strbuf_check(&data, "the page's data", err);
    if (!status)
        status = ssw_page_render_html(&shop->page, title, ssw_strbuf_text(&data), &out->html, err);
    ssw_strbuf_deinit(&data);
    if (!status)
        status = render_json(shop, &out->plots, &out->json, err);
    return status ? status : render_csv(shop, out, err);
}

ssw_status ssw_report_make(const char *dir, const ssw_report_make_options *options, ssw_report_pages *out,
                           ssw_error *err)
{
    *out = (ssw_report_pages){0};
    ssw_strbuf_init(&out->md, SSW_REPORT_BYTES_MAX);
    ssw_strbuf_init(&out->html, SSW_REPORT_BYTES_MAX);
    ssw_strbuf_init(&out->json, SSW_REPORT_BYTES_MAX);
    ssw_strbuf_init(&out->samples_csv, SSW_REPORT_BYTES_MAX);
    ssw_strbuf_init(&out->figures_csv, SSW_REPORT_BYTES_MAX);
    ssw_strbuf_init(&out->section, SSW_REPORT_BYTES_MAX);
    workshop shop;
    ssw_status status = open_workshop(dir, &shop, err);
    if (!status)
        status = get_plots(&shop, options, &out->plots, err);
    if (!status)
        status = render(&shop, out, err);
    close_workshop(&shop);
    return status;
}

void ssw_report_pages_deinit(ssw_report_pages *pages)
{
    ssw_strbuf_deinit(&pages->md);
    ssw_strbuf_deinit(&pages->html);
    ssw_strbuf_deinit(&pages->json);
    ssw_strbuf_deinit(&pages->samples_csv);
    ssw_strbuf_deinit(&pages->figures_csv);
    ssw_strbuf_deinit(&pages->section);
    ssw_plots_deinit(&pages->plots);
}

ssw_status ssw_report_summary(const char *dir, ssw_strbuf *out, ssw_report_worth *worth, ssw_error *err)
{
    workshop shop;
    ssw_strbuf text;
    ssw_strbuf_init(&text, SSW_REPORT_BYTES_MAX);
    ssw_status status = open_workshop(dir, &shop, err);
    if (!status) {
        ssw_composer composer = {shop.analysis, &shop.figures, &shop.page, NULL, &shop.sums};
        ssw_compose_summary(&composer, SSW_REPORT_SUMMARY_LINES_MAX, &text);
        if (worth)
            *worth = ssw_compose_worth(shop.analysis);
        status = ssw_strbuf_check(&text, "the summary", err);
        ssw_strbuf_append(out, ssw_strbuf_text(&text), text.n_bytes);
    }
    close_workshop(&shop);
    ssw_strbuf_deinit(&text);
    return status;
}
