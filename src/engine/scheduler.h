/* The engine's side of jobs: where an engine keeps its scheduler.
 *
 * The scheduler (scheduler.c) implements the jobs section of seesaw/engine.h on top of sessions and
 * ssw_engine_eval. Its thread starts with the first ssw_job_submit and is the only one that then uses the
 * engine's sessions. The engine only keeps the slot: init at open, deinit first thing in close, while
 * sessions still work. */
#ifndef SSW_ENGINE_SCHEDULER_H
#define SSW_ENGINE_SCHEDULER_H

#include <pthread.h>

#include "seesaw/engine.h"

typedef struct ssw_scheduler ssw_scheduler;

typedef struct ssw_scheduler_slot {
    pthread_mutex_t lock; /* guards the pointer while it is set */
    ssw_scheduler *scheduler;
} ssw_scheduler_slot;

ssw_status ssw_scheduler_slot_init(ssw_scheduler_slot *slot, ssw_error *err);
/* Cancels what runs or waits (each job gets its end event), joins the thread, closes its sessions. */
void ssw_scheduler_slot_deinit(ssw_scheduler_slot *slot);

/* Implemented by the engine: the slot embedded in it. */
ssw_scheduler_slot *ssw_engine_scheduler_slot(ssw_engine *engine);

#endif
