/* The terminal of `seesaw ab`. The figures of the live table are a first look (tokens as the server counts
 * them); the report computes its own from the evidence. */
#include "cli/ab_screen.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"

enum { TABLE_BYTES_MAX = 1 << 16, LABEL_WIDTH = 14, ROWS_MAX = 12, BAR_WIDTH = 24, LINE_BYTES_MAX = 1024 };
enum { BLOCK_TOLD = -1, BLOCK_UNKNOWN = -2 };
#define REDRAW_NS (100 * SSW_NS_PER_MS)

#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

typedef struct cell { /* one arm and prompt */
    int n;
    double ttft_ms_sum, tps_sum;
} cell;

struct ssw_ab_screen {
    FILE *out, *log;
    const ssw_manifest *manifest;
    bool live, colours;
    cell *cells; /* [arms][prompts] */
    int n_drawn; /* lines of the table that are on the screen */
    int64_t begin_ns, drawn_ns;
    int n_done, n_total, n_done_before;
    int first_block;      /* of this session, or BLOCK_TOLD: the time left has been, or BLOCK_UNKNOWN */
    int n_rest;           /* runs of a queue after this one */
    int64_t run_begin_ns; /* its preparation included */
    char doing[160];
    int n_frames; /* of the request under way */
};

ssw_status ssw_ab_screen_open(FILE *out, const ssw_manifest *manifest, ssw_ab_screen **screen, ssw_error *err)
{
    ssw_ab_screen *s = calloc(1, sizeof *s);
    *screen = NULL;
    if (s)
        s->cells = calloc(manifest->plan.n_arms * manifest->plan.n_prompts + 1, sizeof *s->cells);
    if (!s || !s->cells) {
        free(s);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the display");
    }
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    s->out = out;
    s->manifest = manifest;
    s->live = isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
    s->colours = s->live && !(no_color && *no_color);
    s->n_done_before = -1;
    s->first_block = BLOCK_UNKNOWN;
    *screen = s;
    return SSW_OK;
}

void ssw_ab_screen_expect(ssw_ab_screen *screen, int n_rest, int64_t run_begin_ns)
{
    screen->n_rest = n_rest;
    screen->run_begin_ns = run_begin_ns;
}

void ssw_ab_screen_close(ssw_ab_screen *screen)
{
    if (!screen)
        return;
    ssw_ab_screen_close_log(screen);
    free(screen->cells);
    free(screen);
}

ssw_status ssw_ab_screen_open_log(ssw_ab_screen *screen, const char *path, ssw_error *err)
{
    screen->log = fopen(path, "ae");
    return screen->log ? SSW_OK : ssw_error_set(err, SSW_ERR_IO, "%s: cannot be written", path);
}

void ssw_ab_screen_close_log(ssw_ab_screen *screen)
{
    if (screen->log)
        fclose(screen->log);
    screen->log = NULL;
}

/* ---- the table ---- */

static const char *code(const ssw_ab_screen *screen, const char *escape)
{
    return screen->colours ? escape : "";
}

static void append_duration(double seconds, ssw_strbuf *out)
{
    int64_t whole_s = (int64_t)(seconds + 0.5);
    if (whole_s >= 3600)
        ssw_strbuf_append_format(out, "%d h %02d min", (int)(whole_s / 3600), (int)(whole_s / 60 % 60));
    else if (whole_s >= 60)
        ssw_strbuf_append_format(out, "%d min %02d s", (int)(whole_s / 60), (int)(whole_s % 60));
    else
        ssw_strbuf_append_format(out, "%d s", (int)whole_s);
}

/* ", about 1 min 20 s left", from the pace of this session's requests; in a queue also that of all of it, as
 * if the runs after this one took as long. */
static void append_eta(const ssw_ab_screen *screen, ssw_strbuf *out)
{
    int n_here = screen->n_done - screen->n_done_before;
    if (screen->n_done_before < 0 || n_here < 1)
        return;
    double per_request_s =
        (double)(ssw_clock_now_ns() - screen->begin_ns) / (double)SSW_NS_PER_S / (double)n_here;
    double left_s = per_request_s * (double)(screen->n_total - screen->n_done);
    double before_s = (double)(screen->begin_ns - screen->run_begin_ns) / (double)SSW_NS_PER_S;
    ssw_strbuf_append_text(out, ", about ");
    append_duration(left_s, out);
    ssw_strbuf_append_text(out, " left");
    if (screen->n_rest == 0)
        return;
    ssw_strbuf_append_text(out, ", ");
    append_duration(left_s + screen->n_rest * (before_s + per_request_s * (double)screen->n_total), out);
    ssw_strbuf_append_format(out, " with the %d run%s after this one at its pace", screen->n_rest,
                             screen->n_rest == 1 ? "" : "s");
}

/* Once, when every arm has been seen in a block: where nothing is drawn, and into the log. */
static void tell_eta(ssw_ab_screen *screen, int block)
{
    if (screen->first_block == BLOCK_UNKNOWN)
        screen->first_block = block;
    if (screen->first_block == BLOCK_TOLD || block == screen->first_block)
        return;
    ssw_strbuf text;
    ssw_strbuf_init(&text, LINE_BYTES_MAX);
    append_eta(screen, &text);
    screen->first_block = BLOCK_TOLD;
    if (text.n_bytes)
        ssw_ab_screen_line(screen, "[%d/%d]%s", screen->n_done, screen->n_total,
                           ssw_strbuf_text(&text) + 1); /* without the comma */
    ssw_strbuf_deinit(&text);
}

static void append_bar(const ssw_ab_screen *screen, ssw_strbuf *out)
{
    int filled = screen->n_total ? BAR_WIDTH * screen->n_done / screen->n_total : 0;
    ssw_strbuf_append_text(out, code(screen, GREEN));
    for (int i = 0; i < BAR_WIDTH; i++)
        ssw_strbuf_append_text(out, i < filled ? "#" : ".");
    ssw_strbuf_append_format(out, "%s %d/%d", code(screen, PLAIN), screen->n_done, screen->n_total);
    append_eta(screen, out);
    ssw_strbuf_append_format(out, "  %s%s%s\n", code(screen, DIM), screen->doing, code(screen, PLAIN));
}

static void append_rows(const ssw_ab_screen *screen, const char *bold, const char *plain, ssw_strbuf *out)
{
    const ssw_plan *plan = &screen->manifest->plan;
    ssw_strbuf_append_format(out, "%s%-*s", bold, LABEL_WIDTH, "");
    for (size_t a = 0; a < plan->n_arms; a++)
        ssw_strbuf_append_format(out, "  %22.22s", plan->arms[a].name);
    ssw_strbuf_append_format(out, "%s\n", plain);
    for (size_t p = 0; p < plan->n_prompts && p < ROWS_MAX; p++) {
        ssw_strbuf_append_format(out, "%-*.*s", LABEL_WIDTH, LABEL_WIDTH, plan->prompts[p].label);
        for (size_t a = 0; a < plan->n_arms; a++) {
            const cell *c = &screen->cells[a * plan->n_prompts + p];
            if (c->n)
                ssw_strbuf_append_format(out, "  %8.1f ms %7.1f t/s", c->ttft_ms_sum / c->n,
                                         c->tps_sum / c->n);
            else
                ssw_strbuf_append_format(out, "  %22s", "-");
        }
        ssw_strbuf_append_text(out, "\n");
    }
    if (plan->n_prompts > ROWS_MAX)
        ssw_strbuf_append_format(out, "... and %zu prompts more\n", plan->n_prompts - ROWS_MAX);
}

static void erase_table(ssw_ab_screen *screen)
{
    if (screen->n_drawn)
        fprintf(screen->out, "\r\033[%dA\033[J", screen->n_drawn);
    screen->n_drawn = 0;
}

static void draw_table(ssw_ab_screen *screen)
{
    if (!screen->live || !screen->n_total)
        return;
    ssw_strbuf text;
    ssw_strbuf_init(&text, TABLE_BYTES_MAX);
    append_rows(screen, code(screen, BOLD), code(screen, PLAIN), &text);
    append_bar(screen, &text);
    erase_table(screen);
    /* lines longer than the terminal is wide are cut, not wrapped: the table's height must be known to erase
     * it */
    fprintf(screen->out, "\033[?7l%s\033[?7h", ssw_strbuf_text(&text));
    for (const char *c = ssw_strbuf_text(&text); *c; c++)
        screen->n_drawn += *c == '\n';
    fflush(screen->out);
    screen->drawn_ns = ssw_clock_now_ns();
    ssw_strbuf_deinit(&text);
}

/* ---- lines ---- */

static void put(ssw_ab_screen *screen, const char *text, const char *end)
{
    erase_table(screen);
    fprintf(screen->out, "%s%s", text, end);
    fflush(screen->out);
    if (screen->log) {
        fprintf(screen->log, "%s%s", text, end);
        fflush(screen->log);
    }
}

void ssw_ab_screen_line(ssw_ab_screen *screen, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    put(screen, line, "\n");
}

void ssw_ab_screen_text(ssw_ab_screen *screen, const char *text)
{
    size_t n = strlen(text);
    put(screen, text, n && text[n - 1] == '\n' ? "" : "\n");
}

/* ---- events ---- */

static const char *arm_name(const ssw_ab_screen *screen, int arm)
{
    return screen->manifest->plan.arms[arm].name;
}

static int64_t tokens_of(const ssw_sample *sample)
{
    if (sample->has_usage && sample->usage.completion_tokens != SSW_EVIDENCE_NONE)
        return sample->usage.completion_tokens;
    int64_t n = 0;
    for (size_t i = 0; i < sample->n_frames; i++)
        n += sample->frames[i].kind <= SSW_FRAME_TOOL;
    return n;
}

static void show_sample(ssw_ab_screen *screen, const ssw_run_event *event)
{
    const ssw_sample *sample = event->sample;
    const ssw_frame *first = ssw_sample_first_text(sample), *last = ssw_sample_last_text(sample);
    int prompt = sample->warmup ? -1 : ssw_manifest_find_prompt(screen->manifest, sample->prompt);
    const char *label = prompt < 0 ? "warm-up" : screen->manifest->plan.prompts[prompt].label;
    if (sample->error || !first || sample->send_ns == SSW_EVIDENCE_NONE) {
        ssw_ab_screen_line(screen, "[%d/%d] %-9s %-14s %s", event->n_done, event->n_total,
                           arm_name(screen, event->arm), label,
                           sample->error ? sample->error : "an empty reply");
        return;
    }
    double ttft_ms = (double)(first->t_ns - sample->send_ns) / (double)SSW_NS_PER_MS;
    double e2e_s = (double)(last->t_ns - sample->send_ns) / (double)SSW_NS_PER_S;
    int64_t n = tokens_of(sample);
    double tps = e2e_s > 0 ? (double)n / e2e_s : 0;
    char flags[256] = "";
    for (size_t i = 0; i < sample->n_flags; i++) {
        size_t used = strlen(flags);
        snprintf(flags + used, sizeof flags - used, "%s%s", i ? ", " : "  ! ", sample->flags[i]);
    }
    if (prompt >= 0) {
        cell *c = &screen->cells[(size_t)event->arm * screen->manifest->plan.n_prompts + (size_t)prompt];
        c->n++;
        c->ttft_ms_sum += ttft_ms;
        c->tps_sum += tps;
    }
    ssw_ab_screen_line(screen, "[%d/%d] %-9s %-14s TTFT %8.2f ms  %4lld tokens  %7.2f t/s%s", event->n_done,
                       event->n_total, arm_name(screen, event->arm), label, ttft_ms, (long long)n, tps,
                       flags);
}

static void do_now(ssw_ab_screen *screen, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void do_now(ssw_ab_screen *screen, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(screen->doing, sizeof screen->doing, format, args);
    va_end(args);
}

static void show_server(ssw_ab_screen *screen, const ssw_run_event *event)
{
    const char *name = arm_name(screen, event->arm);
    if (event->kind == SSW_RUN_SERVER_START) {
        do_now(screen, "%s loads", name);
    } else if (event->kind == SSW_RUN_SERVER_READY && event->value_ns == SSW_EVIDENCE_NONE) {
        ssw_ab_screen_line(screen, "[%d/%d] %-9s answers at %s (block %d, position %d)", event->n_done,
                           event->n_total, name, screen->manifest->plan.arms[event->arm].url, event->block,
                           event->position);
    } else if (event->kind == SSW_RUN_SERVER_READY) {
        ssw_ab_screen_line(screen, "[%d/%d] %-9s ready on port %d after %.2f s (block %d, position %d)",
                           event->n_done, event->n_total, name, screen->manifest->plan.arms[event->arm].port,
                           (double)event->value_ns / (double)SSW_NS_PER_S, event->block, event->position);
    } else if (event->kind == SSW_RUN_SERVER_STOP) {
        do_now(screen, "%s stopped, waiting for its memory", name);
        if (strcmp(event->text, "done") != 0)
            ssw_ab_screen_line(screen, "[%d/%d] %-9s stopped: %s", event->n_done, event->n_total, name,
                               event->text);
    } else if (event->value_ns == SSW_EVIDENCE_NONE) {
        ssw_ab_screen_line(screen, "[%d/%d] %-9s its memory did not come back in %.0f s: going on",
                           event->n_done, event->n_total, name,
                           (double)screen->manifest->plan.memory_timeout_ns / (double)SSW_NS_PER_S);
    }
}

void ssw_ab_screen_observe(void *context, const ssw_run_event *event)
{
    ssw_ab_screen *screen = context;
    screen->n_done = event->n_done;
    screen->n_total = event->n_total;
    if (screen->n_done_before < 0) {
        screen->n_done_before = event->n_done;
        screen->begin_ns = ssw_clock_now_ns();
    }
    switch (event->kind) {
    case SSW_RUN_SERVER_START:
        tell_eta(screen, event->block);
        show_server(screen, event);
        break;
    case SSW_RUN_REQUEST_BEGIN:
        screen->n_frames = 0;
        do_now(screen, "%s", event->sample->id);
        return; /* nothing is drawn between here and the first byte */
    case SSW_RUN_FRAME:
        screen->n_frames++;
        if (!screen->live || ssw_clock_now_ns() - screen->drawn_ns < REDRAW_NS)
            return;
        do_now(screen, "%s, frame %d", event->sample->id, screen->n_frames);
        break;
    case SSW_RUN_REQUEST_END:
        show_sample(screen, event);
        break;
    case SSW_RUN_PAUSE:
        do_now(screen, "pause of %.1f s", (double)event->value_ns / (double)SSW_NS_PER_S);
        break;
    case SSW_RUN_NOTE:
        ssw_ab_screen_line(screen, "%s", event->text);
        break;
    default:
        show_server(screen, event);
    }
    draw_table(screen);
}

void ssw_ab_screen_finish(ssw_ab_screen *screen)
{
    ssw_strbuf text;
    erase_table(screen);
    if (!screen->n_total)
        return;
    screen->live = false;
    ssw_strbuf_init(&text, TABLE_BYTES_MAX);
    ssw_strbuf_append_text(
        &text, "\nmean so far (TTFT, and tokens by the server's count per second to the last one)\n");
    append_rows(screen, "", "", &text);
    ssw_ab_screen_text(screen, ssw_strbuf_text(&text));
    ssw_strbuf_deinit(&text);
}
