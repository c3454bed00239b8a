/* seesaw's inference engine: the whole public face.
 *
 * An engine is one loaded model with its placement, its worker pool and room for n_parallel sequences. There
 * are two ways in, not to be mixed on one engine:
 *   - sessions: evaluate tokens and read logits yourself (tests, perplexity, embeddings);
 *   - jobs: submit a prompt with sampling settings to the scheduler thread, get tokens by callback (the
 * server).
 *
 * Shapes are written [outer][inner]. Unless said otherwise, functions may be called from one thread at a
 * time. */
#ifndef SEESAW_ENGINE_H
#define SEESAW_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/log.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssw_engine ssw_engine;
typedef struct ssw_session ssw_session;
typedef struct ssw_job ssw_job;
struct ssw_tokenizer; /* token/tokenizer.h */
struct ssw_chat;      /* token/chat.h */

enum {
    SSW_ENGINE_PARALLEL_MAX = 64,
    SSW_ENGINE_TOP_LOGPROBS_MAX = 20,
    SSW_ENGINE_STOPS_MAX = 16,
    SSW_ENGINE_STOP_BYTES_MAX = 256,
    SSW_ENGINE_LAYERS_ALL = 1 << 20 /* n_cpu_moe, n_gpu_layers: every layer */
};

enum { SSW_ENGINE_OVERRIDES_MAX = 32 }; /* texts; place/override.h has the most patterns */

enum { SSW_ENGINE_CPU_MOE_AUTO = -1 }; /* n_cpu_moe: the smallest number that fits the GPU */

/* What to compute where a foreign engine differs from the publisher's code; docs/CONFORMANCE.md lists the
 * differences. */
typedef enum ssw_engine_compat {
    SSW_ENGINE_COMPAT_PUBLISHER,
    SSW_ENGINE_COMPAT_LLAMA_CPP /* what llama.cpp computes, for comparisons with it */
} ssw_engine_compat;

/* With what the CPU multiplies experts that several tokens share: multiply-adds per second and thread. */
typedef struct ssw_engine_cpu_rates {
    double vectors; /* vector instructions; of quantised weights in 8-bit integers */
    double tiles;   /* bf16 on AMX tiles */
} ssw_engine_cpu_rates;

typedef struct ssw_engine_options {
    const char *model_path;
    int32_t ctx_size;   /* tokens per sequence; 0: the model's own, at most 8192, and no longer than its short
                           RoPE factors */
    int32_t n_parallel; /* sequences at once; 0: 1 */
    int32_t n_batch;    /* tokens per prefill step; 0: 512 */
    int32_t n_threads;  /* 0: one per physical core; of four and more one is left free */
    /* layers on the GPU, counted from the last, the output head as one more; 0 by default.
     * SSW_ENGINE_LAYERS_ALL: all where there is a GPU, none where there is not */
    int32_t n_gpu_layers;
    uint64_t vram_bytes; /* the most that may be taken on the GPU; 0: what is free */
    int32_t n_cpu_moe;   /* SSW_ENGINE_CPU_MOE_AUTO, or keep the experts of the first N layers in host memory;
                            0: none */
    /* per cent of each such expert that the CPU computes, the GPU reads the rest over the bus meanwhile; 100:
     * all; negative, the default: by the number of threads and the kind of bus */
    int32_t cpu_moe_share;
    /* for whether CPU or GPU computes an expert of a prompt; 0, the default: measured at start, as a class */
    ssw_engine_cpu_rates cpu_moe_rates;
    double
        copy_bytes_per_s; /* to the GPU, for the same and for the share; 0, the default: measured likewise */
    /* of keys and of values in the KV cache of layers on the GPU: SSW_DTYPE_F16, the default, or
     * SSW_DTYPE_Q8_0; in host memory they are F16 */
    ssw_dtype cache_type_k, cache_type_v;
    int64_t gpu_patience_ns; /* how long GPU and CPU wait for one another before a step fails; 0: 30 s */
    /* "PATTERN=DEVICE[,PATTERN=DEVICE...]": tensors whose names a regular expression matches go to CPU, CUDA0
     * or GPU, whatever the numbers above say; the first that matches decides (place/override.h) */
    const char *override_tensors[SSW_ENGINE_OVERRIDES_MAX];
    int32_t n_override_tensors;
    uint64_t moe_cache_bytes; /* of GPU memory at most, for hot experts of layers whose experts are in host
                                 memory; 0: none */
    bool pin_threads;
    ssw_engine_compat compat;
    const char *chat_format; /* by name (token/chat.h), whatever the file's template says; NULL: as it says */
    bool use_reference_ops;  /* the plain C operations only, to compare with */
    ssw_log log;
} ssw_engine_options;

void ssw_engine_options_init(ssw_engine_options *options);
/* Whether a text can stand in override_tensors; SSW_ERR_USAGE says what is wrong with it. */
ssw_status ssw_engine_check_override(const char *text, ssw_error *err);

ssw_status ssw_engine_open(const ssw_engine_options *options, ssw_engine **out, ssw_error *err);
void ssw_engine_close(ssw_engine *engine); /* cancels what still runs; NULL is allowed */

/* ---- what was loaded ---- */

enum { SSW_ENGINE_PLACES_MAX = 32 };

/* One line of the placement table: a class of tensors on one device. */
typedef struct ssw_engine_place {
    const char *tensors; /* "attention", "experts", ..., "kv cache", "compute buffers" */
    const char *device;  /* "CPU", "CUDA0" */
    const char *how;     /* "mapped file", "repacked", "allocated" */
    uint64_t predicted_bytes;
    uint64_t actual_bytes;
} ssw_engine_place;

typedef struct ssw_engine_info {
    const char *architecture; /* "gpt-oss" */
    const char *name;         /* general.name, or the file's name */
    const char *isa;          /* which CPU operations run: "reference", "avx2", "avx512vnni" */
    int32_t n_layers, n_experts, n_experts_used, n_embd, n_vocab;
    int32_t ctx_size, ctx_train, n_parallel, n_batch, n_threads, n_threads_pinned;
    bool finds_top; /* ssw_eval_item.top can be asked for */
    uint64_t n_parameters;
    uint64_t model_bytes;
    uint64_t expert_bytes;           /* all routed experts' matrices */
    uint64_t expert_bytes_per_token; /* read for one decoded token */
    int32_t n_places;
    ssw_engine_place places[SSW_ENGINE_PLACES_MAX];
    int64_t load_ns;
    /* What prompts are planned with; 0 where no layer on the GPU has its experts in host memory. */
    double copy_bytes_per_s;
    ssw_engine_cpu_rates cpu_moe_rates; /* tiles: 0 as well where the processor or the types have none */
} ssw_engine_info;

const ssw_engine_info *ssw_engine_describe(const ssw_engine *engine);
const struct ssw_tokenizer *ssw_engine_tokenizer(const ssw_engine *engine);
const struct ssw_chat *
ssw_engine_chat(const ssw_engine *engine); /* NULL when the model has no known chat format */

/* ---- sessions ---- */

/* SSW_ERR_LIMIT when n_parallel sessions are open. */
ssw_status ssw_session_open(ssw_engine *engine, ssw_session **out, ssw_error *err);
void ssw_session_close(ssw_session *session);
int32_t ssw_session_length(const ssw_session *session); /* tokens in the cache */
/* Forgets all but the first n tokens. With sliding-window layers this works only if the window's rows are
 * still there: otherwise SSW_ERR_UNSUPPORTED and the session is left empty. */
ssw_status ssw_session_truncate(ssw_session *session, int32_t n, ssw_error *err);

enum { SSW_ENGINE_TOP_LOGITS = 64 };

typedef struct ssw_top_logit {
    float logit;
    int32_t token; /* -1: there are no more finite logits */
} ssw_top_logit;

/* Work for one sequence within a step. */
typedef struct ssw_eval_item {
    ssw_session *session;
    const int32_t *tokens; /* [n_tokens], appended to the session */
    int32_t n_tokens;
    float *logits;     /* out, or NULL: [n_vocab] for the last token */
    float *logits_all; /* out, or NULL: [n_tokens][n_vocab] */
    /* out, or NULL: [SSW_ENGINE_TOP_LOGITS] largest finite logits of the last token, falling, of equals the
     * lower token first; the others never leave the device. Only where the engine's info says finds_top, and
     * in a step whose items want no logits. */
    ssw_top_logit *top;
    float
        *hidden_sum; /* out, or NULL: [n_embd], sum over these tokens of the final normalised hidden state */
} ssw_eval_item;

/* Evaluates several sequences in one pass over the weights. Items must be of different sessions. On an error
 * the sessions' lengths are as before. Any n_tokens: longer than n_batch is split. */
ssw_status ssw_engine_eval(ssw_engine *engine, const ssw_eval_item *items, int32_t n_items, ssw_error *err);

/* ---- jobs ---- */

typedef struct ssw_sampling {
    float temperature;    /* 0: greedy */
    int32_t top_k;        /* 0: off */
    float top_p;          /* 1: off */
    float min_p;          /* 0: off */
    float repeat_penalty; /* 1: off */
    int32_t repeat_last_n;
    uint64_t seed;
} ssw_sampling;

void ssw_sampling_init(ssw_sampling *sampling); /* llama-server's defaults */

typedef struct ssw_job_request {
    const int32_t *prompt; /* copied */
    size_t n_prompt;
    int32_t max_tokens; /* < 0: until the context is full */
    bool ignore_eos;
    bool cache_prompt;  /* reuse the longest common prefix of an idle sequence */
    bool embed_only;    /* no generation: the end event carries the pooled hidden state */
    int32_t n_logprobs; /* 0: none; else that many alternatives, at most SSW_ENGINE_TOP_LOGPROBS_MAX */
    ssw_sampling sampling;
} ssw_job_request;

typedef enum ssw_finish {
    SSW_FINISH_STOP,
    SSW_FINISH_LENGTH,
    SSW_FINISH_CANCELLED,
    SSW_FINISH_ERROR
} ssw_finish;

typedef struct ssw_logprob {
    int32_t token;
    float logprob; /* natural, of the unmodified distribution (temperature 1, no filters) */
} ssw_logprob;

typedef struct ssw_job_timings {
    int32_t prompt_n; /* tokens evaluated; cached ones are in cache_n */
    int32_t cache_n;
    int32_t predicted_n;
    int64_t queue_ns;
    int64_t prompt_ns;
    int64_t predicted_ns;
} ssw_job_timings;

typedef struct ssw_job_event {
    bool is_end;
    /* a token (is_end false) */
    int32_t token;
    float logprob;
    const ssw_logprob *top; /* [n_top], most likely first */
    int32_t n_top;
    /* the end */
    ssw_finish finish;
    ssw_job_timings timings; /* of now; also filled for tokens */
    const float *embedding;  /* [n_embd] mean of the final hidden state, if embed_only */
    const ssw_error *error;  /* with SSW_FINISH_ERROR */
} ssw_job_event;

/* Called on the scheduler thread; must not block. Returning false cancels the job: the end event follows at
 * once with SSW_FINISH_STOP (the callback found a stop string). An end-of-generation token is not reported as
 * a token. */
typedef bool ssw_job_callback(void *context, const ssw_job_event *event);

enum { SSW_ENGINE_QUEUE_MAX = 256 };

/* Any thread. SSW_ERR_LIMIT when the queue is full or the prompt does not fit the context (the message says
 * which). */
ssw_status ssw_job_submit(ssw_engine *engine, const ssw_job_request *request, ssw_job_callback *callback,
                          void *context, ssw_job **out, ssw_error *err);
void ssw_job_cancel(ssw_job *job); /* any thread; takes effect within one token */
void ssw_job_close(ssw_job *job);  /* cancels, waits for the end event, frees */

typedef struct ssw_engine_load { /* for /metrics */
    int32_t n_running, n_queued;
    uint64_t prompt_tokens_total, predicted_tokens_total, jobs_total;
    int64_t prompt_ns_total, predicted_ns_total;
    int64_t kv_tokens_used;
} ssw_engine_load;

void ssw_engine_read_load(ssw_engine *engine, ssw_engine_load *load); /* any thread */

/* Hot experts in GPU memory; zeros where moe_cache_bytes made no cache. */
typedef struct ssw_engine_expert_cache {
    int32_t n_slots;                   /* experts that it holds */
    uint64_t hits_total, misses_total; /* uses of experts by tokens in steps of at most 8 */
    uint64_t uploads_total;            /* experts that were replaced */
} ssw_engine_expert_cache;

void ssw_engine_read_expert_cache(ssw_engine *engine, ssw_engine_expert_cache *out); /* any thread */

/* A layer on the GPU whose experts are in host memory, over all steps that only decode. What is left of a
 * step's time is the first layers' input, the head and the choice of tokens. */
typedef struct ssw_engine_layer_times {
    uint64_t n_steps;
    int64_t wait_ns; /* the CPU waits for the GPU: its part of the layer, and a signal in each direction */
    int64_t work_ns; /* the CPU computes experts */
} ssw_engine_layer_times;

/* Any thread; layer in [0, n_layers). Zeros for layers of another kind. */
void ssw_engine_read_layer_times(const ssw_engine *engine, int32_t layer, ssw_engine_layer_times *out);

/* What the CPU's time for a layer's experts follows from: weights read, or multiply-adds by either rate. */
typedef enum ssw_engine_bound {
    SSW_ENGINE_BOUND_BYTES,
    SSW_ENGINE_BOUND_VECTORS,
    SSW_ENGINE_BOUND_TILES,
    SSW_ENGINE_BOUNDS
} ssw_engine_bound;

const char *ssw_engine_bound_name(ssw_engine_bound bound); /* "bytes", "vectors", "tiles" */

/* The CPU's experts of such layers over all prompts, by what most of a layer's time follows from. */
typedef struct ssw_engine_prompt_times {
    uint64_t n_layers;
    int64_t predicted_ns, actual_ns;
} ssw_engine_prompt_times;

/* Any thread. */
void ssw_engine_read_prompt_times(const ssw_engine *engine, ssw_engine_bound bound,
                                  ssw_engine_prompt_times *out);

#ifdef __cplusplus
}
#endif
#endif
