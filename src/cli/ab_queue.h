/* `seesaw ab` over several models and quantisations: one run for each, one after the other, and one table
 * across.
 *
 * Each entry is a process of its own, this program again with `ab -m MODEL`, so that a run in a queue is the
 * same as one by itself. Its signals come from here: Ctrl-C ends the running entry in order, and then the
 * queue. */
#ifndef SSW_CLI_AB_QUEUE_H
#define SSW_CLI_AB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { SSW_QUEUE_ENTRIES_MAX = 1000 };
#define SSW_QUEUE_AS_IS "as-is" /* among quantisations: the model itself */

/* "Q4_K_M,Q8_0,as-is": every name must be a type mix; the message names the nearest. */
ssw_status ssw_ab_check_quant(const char *list, ssw_error *err);

typedef struct ssw_ab_queue {
    const char *const *models;
    size_t n_models;
    const char *quant; /* a list that was checked; NULL: the models themselves */
    const char *out;   /* the folder in which queue-ab-DATE-TIME is made */
    bool json;
    int argc; /* the whole command line, of which the entries get what is theirs */
    char **argv;
} ssw_ab_queue;

/* How many runs of the queue follow this process's; 0 outside of one. Takes it out of the environment. */
int ssw_ab_queue_take_rest(void);

/* Returns the exit status: 130 when interrupted, else the highest of the entries'. */
int ssw_ab_run_queue(const ssw_ab_queue *queue);

/* Whether dir is a queue's folder. */
bool ssw_ab_is_queue(const char *dir);
/* Runs what a queue still lacks: entries that were not begun, and those that are not complete. */
int ssw_ab_resume_queue(const char *dir, bool json);

#endif
