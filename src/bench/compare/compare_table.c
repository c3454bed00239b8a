/* See compare_table.h. */
#include "bench/compare/compare_table.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/csv.h"
#include "bench/report/number.h"

enum { COLUMNS = 13, CELL_MAX = 160, SETTINGS_BY_LETTER = 26, JSON_SCHEMA = 1, DATE_CHARS = 16 };

typedef char cell[CELL_MAX];

static const char *const heads[COLUMNS] = {
    "model",    "machine",          "date (UTC)", "arm",        "n",        "VRAM, MiB", "host, MiB",
    "TTFT, ms", "decode, tokens/s", "TPS",        "saved, MiB", "decode x", "marks"};

/* The first row with the same text. */
static size_t find_first(const ssw_compare_rows *rows, size_t row, ssw_compare_text text)
{
    size_t first = 0;
    while (strcmp(rows->rows[first].texts[text], rows->rows[row].texts[text]) != 0)
        first++;
    return first;
}

static bool is_first(const ssw_compare_rows *rows, size_t row, ssw_compare_text text)
{
    return find_first(rows, row, text) == row;
}

/* A row's setting, numbered from 0 in the order of first appearance. */
static size_t number_setting(const ssw_compare_rows *rows, size_t row)
{
    size_t number = 0, first = find_first(rows, row, SSW_COMPARE_SETTING);
    for (size_t i = 0; i < first; i++)
        number += is_first(rows, i, SSW_COMPARE_SETTING);
    return number;
}

ssw_compare_doubts ssw_compare_find_doubts(const ssw_compare_rows *rows)
{
    ssw_compare_doubts doubts = {0};
    for (size_t i = 0; i < rows->n; i++) {
        doubts.n_settings += is_first(rows, i, SSW_COMPARE_SETTING);
        doubts.n_unsound += strcmp(rows->rows[i].texts[SSW_COMPARE_STATE], "measured") != 0;
    }
    return doubts;
}

/* "A" to "Z", then numbers. */
static void name_setting(char out[16], size_t number)
{
    if (number < SETTINGS_BY_LETTER)
        snprintf(out, 16, "%c", (char)('A' + number));
    else
        snprintf(out, 16, "%zu", number + 1);
}

static void format_value(cell out, const ssw_compare_value *value, double unit)
{
    ssw_number_text mean, interval;
    double half = (value->ci_high - value->ci_low) / 2 / unit;
    if (!isfinite(value->mean)) {
        snprintf(out, CELL_MAX, "–");
        return;
    }
    ssw_number_format(mean, value->mean / unit, ssw_number_decimals(value->mean / unit, half));
    if (isfinite(half) && half > 0)
        snprintf(out, CELL_MAX, "%s %s", mean,
                 ssw_number_format_interval(interval, value->ci_low / unit, value->ci_high / unit));
    else
        snprintf(out, CELL_MAX, "%s", mean);
}

static void mark(cell out, const ssw_compare_rows *rows, size_t i, size_t n_settings)
{
    const char *state = rows->rows[i].texts[SSW_COMPARE_STATE];
    char name[16];
    out[0] = '\0';
    if (n_settings > 1) {
        name_setting(name, number_setting(rows, i));
        snprintf(out, CELL_MAX, "setting %s", name);
    }
    if (strcmp(state, "measured") != 0)
        snprintf(out + strlen(out), CELL_MAX - strlen(out), "%s%.60s", *out ? ", " : "", state);
}

/* Control characters and the table's own would break the lines; names come from files. */
static void put_plain(cell out, const char *text, int max)
{
    ssw_compare_copy_text(out, (size_t)max + 1, text);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f || strchr("|<`[*", *c))
            *c = '_';
    }
}

static void fill_cells(cell cells[COLUMNS], const ssw_compare_rows *rows, size_t i, size_t n_settings)
{
    const double mib = 1 << 20;
    const ssw_compare_row *row = &rows->rows[i];
    put_plain(cells[0], row->texts[SSW_COMPARE_MODEL], 64);
    put_plain(cells[1], row->texts[SSW_COMPARE_MACHINE], 12);
    put_plain(cells[2], row->texts[SSW_COMPARE_CREATED], DATE_CHARS);
    put_plain(cells[3], row->texts[SSW_COMPARE_ARM], 32);
    snprintf(cells[4], CELL_MAX, "%d", row->n_samples);
    format_value(cells[5], &row->figures[SSW_COMPARE_VRAM], mib);
    format_value(cells[6], &row->figures[SSW_COMPARE_HOST], mib);
    format_value(cells[7], &row->figures[SSW_COMPARE_TTFT], 1);
    format_value(cells[8], &row->figures[SSW_COMPARE_RATE], 1);
    format_value(cells[9], &row->figures[SSW_COMPARE_TPS], 1);
    format_value(cells[10], &row->figures[SSW_COMPARE_SAVED], mib);
    format_value(cells[11], &row->figures[SSW_COMPARE_RATE_RATIO], 1);
    mark(cells[12], rows, i, n_settings);
}

static int width_of(const char *text)
{
    int width = 0;
    for (const char *c = text; *c; c++)
        width += ((unsigned char)*c & 0xc0) != 0x80;
    return width;
}

static void put_line(ssw_strbuf *out, const cell cells[COLUMNS], const int widths[COLUMNS], bool md)
{
    for (int i = 0; i < COLUMNS; i++) {
        ssw_strbuf_append_text(out, md ? "| " : "");
        ssw_strbuf_append_text(out, cells[i]);
        for (int n = width_of(cells[i]); n < widths[i] && i + 1 < COLUMNS; n++)
            ssw_strbuf_append_text(out, " ");
        ssw_strbuf_append_text(out, md ? " " : i + 1 < COLUMNS ? "  " : "");
    }
    ssw_strbuf_append_text(out, md ? "|\n" : "\n");
}

/* The lines below the table: machines, then settings if they differ. */
static void put_legend(ssw_strbuf *out, const ssw_compare_rows *rows, size_t n_settings, bool md)
{
    const char *bullet = md ? "- " : "  ";
    for (size_t i = 0; i < rows->n; i++) {
        const ssw_compare_row *row = &rows->rows[i];
        if (!is_first(rows, i, SSW_COMPARE_RUN_ID))
            continue;
        cell model, machine, cpu, gpu, commit, server;
        put_plain(model, row->texts[SSW_COMPARE_MODEL], 64);
        put_plain(machine, row->texts[SSW_COMPARE_MACHINE], 12);
        put_plain(cpu, row->texts[SSW_COMPARE_CPU], 80);
        put_plain(gpu, row->texts[SSW_COMPARE_GPU], 80);
        put_plain(commit, row->texts[SSW_COMPARE_COMMIT], 40);
        put_plain(server, row->texts[SSW_COMPARE_SERVER], 100);
        ssw_strbuf_append_format(out, "%s%s, %.16s: machine %s, %s, GPU %s; server %s; seesaw at %s\n",
                                 bullet, model, row->texts[SSW_COMPARE_CREATED], machine, cpu,
                                 *gpu ? gpu : "none", server, *commit ? commit : "an unknown commit");
    }
    ssw_strbuf_append_format(
        out, "%sBrackets: 95 %%. \"saved\" and \"decode x\": against the first arm of the same run.\n",
        md ? "\n" : "  ");
    if (n_settings < 2)
        return;
    ssw_strbuf_append_format(out, "%sRows of different settings do not compare:\n", md ? "\n" : "");
    for (size_t i = 0; i < rows->n; i++) {
        char name[16];
        if (!is_first(rows, i, SSW_COMPARE_SETTING))
            continue;
        name_setting(name, number_setting(rows, i));
        ssw_strbuf_append_format(out, "%s%s: %s\n", bullet, name, rows->rows[i].texts[SSW_COMPARE_SETTING]);
    }
}

static ssw_status render_table(const ssw_compare_rows *rows, bool md, ssw_strbuf *out, ssw_error *err)
{
    size_t n_settings = ssw_compare_find_doubts(rows).n_settings;
    cell(*cells)[COLUMNS] = calloc(rows->n + 2, sizeof *cells);
    int widths[COLUMNS] = {0};
    if (!cells)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu rows", rows->n);
    for (int c = 0; c < COLUMNS; c++) {
        snprintf(cells[0][c], CELL_MAX, "%s", heads[c]);
        snprintf(cells[1][c], CELL_MAX, "---");
    }
    for (size_t i = 0; i < rows->n; i++)
        fill_cells(cells[i + 2], rows, i, n_settings);
    for (size_t i = 0; !md && i < rows->n + 2; i++) {
        for (int c = 0; c < COLUMNS; c++)
            widths[c] = width_of(cells[i][c]) > widths[c] ? width_of(cells[i][c]) : widths[c];
    }
    for (size_t i = 0; i < rows->n + 2; i++) {
        if (md || i != 1)
            put_line(out, (const cell *)cells[i], widths, md);
    }
    free(cells);
    ssw_strbuf_append_text(out, "\n");
    put_legend(out, rows, n_settings, md);
    return SSW_OK;
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Bytes of an index that are no UTF-8 are not known text. */
static json_t *text_or_null(const char *text)
{
    json_t *value = json_string(text);
    return value ? value : json_null();
}

static json_t *row_to_json(const ssw_compare_row *row)
{
    json_t *object = json_pack("{s:o, s:i, s:i}", "dir", text_or_null(row->dir), "position", row->position,
                               "n", row->n_samples);
    for (int i = 0; object && i < SSW_COMPARE_TEXTS; i++)
        json_object_set_new(object, ssw_compare_text_key((ssw_compare_text)i), text_or_null(row->texts[i]));
    for (int i = 0; object && i < SSW_COMPARE_FIGURES; i++) {
        const ssw_compare_value *value = &row->figures[i];
        json_object_set_new(object, ssw_compare_figure_key((ssw_compare_figure)i),
                            json_pack("{s:o, s:o, s:o}", "mean", real_or_null(value->mean), "ci_low",
                                      real_or_null(value->ci_low), "ci_high", real_or_null(value->ci_high)));
    }
    return object;
}

static ssw_status render_json(const ssw_compare_rows *rows, ssw_strbuf *out, ssw_error *err)
{
    ssw_compare_doubts doubts = ssw_compare_find_doubts(rows);
    json_t *array = json_array();
    for (size_t i = 0; i < rows->n; i++)
        json_array_append_new(array, row_to_json(&rows->rows[i]));
    json_t *root =
        json_pack("{s:i, s:I, s:I, s:o}", "schema", JSON_SCHEMA, "settings", (json_int_t)doubts.n_settings,
                  "unsound_rows", (json_int_t)doubts.n_unsound, "rows", array);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for JSON");
    ssw_strbuf_append_text(out, text);
    ssw_strbuf_append_text(out, "\n");
    free(text);
    return SSW_OK;
}

static void render_csv(const ssw_compare_rows *rows, ssw_strbuf *out)
{
    ssw_strbuf_append_text(out, "dir,position,n");
    for (int i = 0; i < SSW_COMPARE_TEXTS; i++)
        ssw_strbuf_append_format(out, ",%s", ssw_compare_text_key((ssw_compare_text)i));
    for (int i = 0; i < SSW_COMPARE_FIGURES; i++) {
        const char *key = ssw_compare_figure_key((ssw_compare_figure)i);
        ssw_strbuf_append_format(out, ",%s,%s_ci_low,%s_ci_high", key, key, key);
    }
    ssw_strbuf_append_text(out, "\r\n");
    for (size_t r = 0; r < rows->n; r++) {
        const ssw_compare_row *row = &rows->rows[r];
        ssw_csv_put_text(out, row->dir);
        ssw_strbuf_append_format(out, ",%d,%d", row->position, row->n_samples);
        for (int i = 0; i < SSW_COMPARE_TEXTS; i++) {
            ssw_strbuf_append_text(out, ",");
            ssw_csv_put_text(out, row->texts[i]);
        }
        for (int i = 0; i < SSW_COMPARE_FIGURES; i++) {
            ssw_csv_put_real(out, row->figures[i].mean);
            ssw_csv_put_real(out, row->figures[i].ci_low);
            ssw_csv_put_real(out, row->figures[i].ci_high);
        }
        ssw_strbuf_append_text(out, "\r\n");
    }
}

ssw_status ssw_compare_render(const ssw_compare_rows *rows, ssw_compare_format format, ssw_strbuf *out,
                              ssw_error *err)
{
    ssw_status status = SSW_OK;
    if (format == SSW_COMPARE_JSON)
        status = render_json(rows, out, err);
    else if (format == SSW_COMPARE_CSV)
        render_csv(rows, out);
    else
        status = render_table(rows, format == SSW_COMPARE_MD, out, err);
    return status ? status : ssw_strbuf_check(out, "the table", err);
}
