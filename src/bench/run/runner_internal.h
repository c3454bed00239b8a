/* What the runner's files share. */
#ifndef SSW_BENCH_RUN_RUNNER_INTERNAL_H
#define SSW_BENCH_RUN_RUNNER_INTERNAL_H

#include "bench/adapter/adapter.h"
#include "bench/evidence/evidence_writer.h"
#include "bench/run/child_process.h"
#include "bench/run/runner.h"
#include "bench/telemetry/memory_sampler.h"

enum { SSW_RUN_MODEL_NAME_MAX = 256, SSW_RUN_ID_MAX = 160 };

typedef struct ssw_runner {
    const ssw_run_options *options;
    const ssw_manifest *manifest;
    const ssw_plan *plan;
    ssw_run_result *result;
    ssw_evidence_writer writer;
    ssw_jsonl telemetry;
    ssw_sampler *sampler;
    int n_samples; /* lines written, all phases */
    /* the server under way */
    ssw_schedule_start start;
    ssw_child *server;
    ssw_client *client;
    const ssw_adapter *adapter;
    pid_t running_pid;                         /* of a server that ran already; 0: not known */
    int64_t log_offset;                        /* where this start's lines begin in the server's log */
    int64_t page_cache_bytes;                  /* of the model, before the start */
    char served_model[SSW_RUN_MODEL_NAME_MAX]; /* "" when the server does not say */
    int64_t idle_available_bytes, idle_vram_bytes;
    /* decided on the way; see block_end.c */
    int left_out_arm, left_out_from; /* the A/A arm takes no part from that block on; arm −1: it does */
    bool stopped;                    /* a look at the interval's width ended the run */
} ssw_runner;

void ssw_runner_tell(ssw_runner *runner, ssw_run_event event);
/* Waits until then; SSW_ERR_CANCELLED when cancel_fd becomes readable. */
ssw_status ssw_runner_wait_until(ssw_runner *runner, int64_t t_ns, ssw_error *err);

/* Evidence of older programs names none: then requests are llama-server's. */
const ssw_adapter *ssw_runner_adapter_of(const ssw_manifest_arm *arm);
const ssw_manifest_arm *ssw_runner_arm(const ssw_runner *runner); /* of runner->start */

/* Asks which models the server serves and picks the one asked for; sets the outcome when it is not there. */
ssw_status ssw_runner_check_model(ssw_runner *runner, ssw_error *err);

/* Starts the server of runner->start and waits until it is ready; sets the outcome when that fails. */
ssw_status ssw_runner_start_server(ssw_runner *runner, ssw_error *err);
/* Stops it, writes the line, waits for memory. status is what ended its use: SSW_OK, or why. */
ssw_status ssw_runner_stop_server(ssw_runner *runner, ssw_status status, ssw_error *err);

/* Takes up what earlier sessions of a resumed run decided. */
void ssw_runner_recall_decisions(ssw_runner *runner);
/* Whether runner->start is one that the run does without. */
bool ssw_runner_leaves_out(const ssw_runner *runner);
/* After the last start of a block: lets the A/A arm go when it costs too much time, and looks at the
 * interval's width. cost_ns: of the A/A arm's start in this block; SSW_EVIDENCE_NONE when it did not run now.
 */
ssw_status ssw_runner_end_block(ssw_runner *runner, int64_t cost_ns, ssw_error *err);

/* The JSON body of a request; run and prompt also make its seed, the same for every arm. The caller frees it.
 */
char *ssw_runner_make_request(const ssw_runner *runner, int prompt, int run, const char *text,
                              int max_tokens);
/* Sets the validity flags that the sample and the telemetry show. */
void ssw_runner_flag_sample(const ssw_runner *runner, ssw_sample *sample, const ssw_sampler_watch *watch,
                            int64_t clock_step_ns);

#endif
