/* Writing a report's files, and its section of another file. */
#include "bench/report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/evidence/text_file.h"
#include "bench/report/report_make.h"

static ssw_status write_all(int fd, const char *path, const char *bytes, size_t n_bytes, ssw_error *err)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = write(fd, bytes + done, n_bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot write", path);
        done += (size_t)n;
    }
    return SSW_OK;
}

ssw_status ssw_report_put_file(const char *path, const char *bytes, size_t n_bytes, ssw_error *err)
{
    char beside[PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot write", beside);
    ssw_status status = write_all(fd, beside, bytes, n_bytes, err);
    if (close(fd) != 0 && !status)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot write", beside);
    if (!status && rename(beside, path) != 0)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot replace", path);
    if (status)
        unlink(beside);
    return status;
}

ssw_status ssw_report_insert(const char *path, const char *name, const char *text, ssw_error *err)
{
    char begin[256], end[256], *old = NULL;
    size_t n_old = 0;
    snprintf(begin, sizeof begin, "<!-- seesaw:begin %.100s -->", name);
    snprintf(end, sizeof end, "<!-- seesaw:end %.100s -->", name);
    if (access(path, F_OK) == 0) {
        ssw_status status = ssw_text_file_read(path, SSW_REPORT_BYTES_MAX, &old, &n_old, err);
        if (status)
            return status;
    }
    const char *from = old ? strstr(old, begin) : NULL, *to = from ? strstr(from, end) : NULL;
    if (old && (strlen(old) != n_old || (from && !to))) {
        bool binary = strlen(old) != n_old;
        free(old);
        return ssw_error_set(err, SSW_ERR_FORMAT, binary ? "%s: not a text file" : "%s: %s has no end marker",
                             path, begin);
    }
    ssw_strbuf out;
    ssw_strbuf_init(&out, 2 * SSW_REPORT_BYTES_MAX);
    ssw_strbuf_append(&out, old ? old : "", from ? (size_t)(from - old) : n_old);
    if (!from && n_old)
        ssw_strbuf_append_text(&out, old[n_old - 1] == '\n' ? "\n" : "\n\n");
    ssw_strbuf_append_format(&out, "%s\n\n%s\n%s", begin, text, end);
    ssw_strbuf_append_text(&out, to ? to + strlen(end) : "\n");
    ssw_status status = ssw_strbuf_check(&out, path, err);
    if (!status)
        status = ssw_report_put_file(path, ssw_strbuf_text(&out), out.n_bytes, err);
    ssw_strbuf_deinit(&out);
    free(old);
    return status;
}

static ssw_status put_in(const char *folder, const char *name, const char *bytes, size_t n_bytes,
                         ssw_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", folder);
    return ssw_report_put_file(path, bytes, n_bytes, err);
}

static ssw_status put_plots(const char *folder, const ssw_plots *plots, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (int i = 0; i < SSW_PLOTS_COUNT && !status; i++) {
        const ssw_plot *plot = &plots->plots[i];
        char name[64];
        snprintf(name, sizeof name, "%s.svg", plot->name);
        if (plot->svg)
            status = put_in(folder, name, plot->svg, plot->svg_bytes, err);
        snprintf(name, sizeof name, "%s.png", plot->name);
        if (plot->png && !status)
            status = put_in(folder, name, plot->png, plot->png_bytes, err);
    }
    return status;
}

static ssw_status put_pages(const char *folder, unsigned formats, const ssw_report_pages *pages,
                            ssw_error *err)
{
    ssw_status status = put_plots(folder, &pages->plots, err);
    if (!status && formats & SSW_REPORT_MD)
        status = put_in(folder, "report.md", ssw_strbuf_text(&pages->md), pages->md.n_bytes, err);
    if (!status && formats & SSW_REPORT_HTML)
        status = put_in(folder, "report.html", ssw_strbuf_text(&pages->html), pages->html.n_bytes, err);
    if (!status && formats & SSW_REPORT_JSON)
        status = put_in(folder, "figures.json", ssw_strbuf_text(&pages->json), pages->json.n_bytes, err);
    if (!status && formats & SSW_REPORT_CSV)
        status = put_in(folder, "samples.csv", ssw_strbuf_text(&pages->samples_csv),
                        pages->samples_csv.n_bytes, err);
    if (!status && formats & SSW_REPORT_CSV)
        status = put_in(folder, "figures.csv", ssw_strbuf_text(&pages->figures_csv),
                        pages->figures_csv.n_bytes, err);
    return status;
}

ssw_status ssw_report_write(const char *dir, const ssw_report_options *options, ssw_error *err)
{
    static const ssw_report_options everything = {.formats = SSW_REPORT_ALL};
    char folder[PATH_MAX];
    ssw_report_pages pages;
    if (!options)
        options = &everything;
    if (snprintf(folder, sizeof folder, "%s/report", dir) >= (int)sizeof folder)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    const ssw_report_make_options make = {.gnuplot = options->gnuplot, .with_png = true};
    ssw_status status = ssw_report_make(dir, &make, &pages, err);
    if (!status && mkdir(folder, 0755) != 0 && errno != EEXIST)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot make the folder", folder);
    if (!status)
        status = put_pages(folder, options->formats ? options->formats : SSW_REPORT_ALL, &pages, err);
    if (!status && options->into)
        status = ssw_report_insert(options->into, options->section ? options->section : pages.section_name,
                                   ssw_strbuf_text(&pages.section), err);
    ssw_report_pages_deinit(&pages);
    return status;
}
