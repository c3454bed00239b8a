/* What `seesaw ab` shows while it runs: one line for each event, and on a terminal a live table below them.
 *
 * Every line also goes to the run's log, without colours. Colours and cursor movement only where the stream
 * is a terminal (and NO_COLOR is not set, and TERM is not "dumb"). Owned by the main thread. */
#ifndef SSW_CLI_AB_SCREEN_H
#define SSW_CLI_AB_SCREEN_H

#include <stdio.h>

#include "bench/run/runner.h"

typedef struct ssw_ab_screen ssw_ab_screen;

/* out: stdout, or stderr with --json. manifest is borrowed. */
ssw_status ssw_ab_screen_open(FILE *out, const ssw_manifest *manifest, ssw_ab_screen **screen,
                              ssw_error *err);
void ssw_ab_screen_close(ssw_ab_screen *screen);

/* n_rest runs of a queue follow this one, which began then: the time left is told for all of them too. */
void ssw_ab_screen_expect(ssw_ab_screen *screen, int n_rest, int64_t run_begin_ns);

/* Lines from now on also go to this file (append). */
ssw_status ssw_ab_screen_open_log(ssw_ab_screen *screen, const char *path, ssw_error *err);
void ssw_ab_screen_close_log(ssw_ab_screen *screen); /* what is shown after this is not in the log */

void ssw_ab_screen_line(ssw_ab_screen *screen, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ssw_ab_screen_text(ssw_ab_screen *screen, const char *text); /* several lines */

/* An ssw_run_observer; context is the screen. */
void ssw_ab_screen_observe(void *context, const ssw_run_event *event);

/* Takes the live table away and prints it a last time as lines. */
void ssw_ab_screen_finish(ssw_ab_screen *screen);

#endif
