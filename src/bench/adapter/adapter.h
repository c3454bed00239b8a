/* What the bench must know of each server: how it is started, when it is ready, how it is asked, how its
 * prompt cache is switched off, what it tells of itself. One short file for each server; everything else in
 * the bench treats servers alike.
 *
 * The facts are those of each server's own documentation, named in its file. */
#ifndef SSW_BENCH_ADAPTER_ADAPTER_H
#define SSW_BENCH_ADAPTER_ADAPTER_H

#include <jansson.h>

#include "bench/client/http_client.h"
#include "bench/evidence/server_buffer.h"
#include "bench/plan/plan.h"

typedef struct ssw_ask { /* one request, whoever answers it */
    const char *model, *text;
    ssw_plan_ask how;
    int max_tokens;
    double temperature;
    int64_t seed;
    bool fixed_length; /* ignore the end of text */
    int top_logprobs;  /* of each token, so many alternatives with their log-probabilities; 0: none */
} ssw_ask;

typedef struct ssw_adapter {
    const char *name;    /* of --server, and in the manifest */
    const char *title;   /* for people */
    const char *program; /* the executable's file name; NULL: it has none and must be given */
    /* starting: what follows the executable, before the arm's own arguments, and variables. {model} and
     * {port} are filled in. NULL-terminated */
    const char *const *argv;
    const char *const *env;
    bool has_cpu_moe; /* it knows --cpu-moe and --n-cpu-moe */
    /* ready: GET ready_path = 200; where the model is loaded only by the first request, one is sent before
     * the server counts as loaded */
    const char *ready_path;
    bool loads_at_first_request;
    const char *models_path, *models_key, *model_key; /* names of models: models_key[].model_key */
    /* asking */
    ssw_wire wire;
    const char *chat_path, *completion_path;
    json_t *(*make_request)(const ssw_ask *ask); /* NULL when out of memory */
    bool has_fixed_length;                       /* it can ignore the end of text */
    bool finish_is_true;      /* finish_reason "stop" says that the reply ended by itself */
    const char *prompt_cache; /* how it is switched off, or that it cannot be: a phrase */
    const char *own_times;    /* where its own times are: a phrase */
    /* its log: true when the line speaks of a buffer. NULL: none does */
    bool (*read_log_line)(const char *line, ssw_server_buffer *out);
} ssw_adapter;

/* By name; NULL when there is none. */
const ssw_adapter *ssw_adapter_find(const char *name);
/* By an executable's path: the adapter whose program has that file name, else llama-server's, whose command
 * line
 * (-m, --port) and requests others copy. */
const ssw_adapter *ssw_adapter_of_program(const char *path);
/* "seesaw, llama-server, ..." for messages. */
const char *ssw_adapter_names(void);

const char *ssw_adapter_ask_path(const ssw_adapter *adapter, ssw_plan_ask how);

/* The JSON body; the caller frees it. NULL when out of memory. */
char *ssw_adapter_make_body(const ssw_adapter *adapter, const ssw_ask *ask);

/* pattern with {model} and {port} filled in, in the arena; NULL when out of memory. */
const char *ssw_adapter_fill(ssw_arena *arena, const char *pattern, const char *model, int port);

#endif
