/* What a run is meant to measure: arms, prompts, and how often. Pure: no clock, no I/O.
 *
 * The default plan is the test that the authors of shimmy published in October 2025 for --cpu-moe: four
 * prompts, three runs, 100 tokens at temperature 0.3, streamed; a baseline on port 11436 and an offloaded
 * server on port 11437. Strings live in the plan's own arena. */
#ifndef SSW_BENCH_PLAN_PLAN_H
#define SSW_BENCH_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum {
    SSW_PLAN_ARMS_MAX = 16,
    SSW_PLAN_PROMPTS_MAX = 1024,
    SSW_PLAN_RUNS_MAX = 1000,
    SSW_PLAN_MIN_RUNS_MIN = 4,
    SSW_PLAN_WARMUPS_MAX = 100,
    SSW_PLAN_ARM_WORDS_MAX = 256, /* arguments and environment variables of one arm */
    SSW_PLAN_ARM_NAME_MAX = 32,   /* letters, digits, '-' and '_' */
    SSW_PLAN_TOKENS_MAX = 1 << 20,
    SSW_PLAN_PROMPT_BYTES_MAX = 1 << 20,
    SSW_PLAN_FILE_BYTES_MAX = 8 << 20,
    SSW_PLAN_FIRST_PORT = 11436,
    SSW_PLAN_URL_MAX = 512,
    SSW_PLAN_TOP_LOGPROBS_MAX = 20, /* OpenAI's limit */
    SSW_PLAN_MODELS_MAX = 256,      /* of a plan file for a queue */
    SSW_PLAN_ALLOWED_MAX = 32       /* differences between arms that are no treatment */
};
#define SSW_PLAN_NO_COUNT     INT64_C(-1)
#define SSW_PLAN_DURATION_MAX INT64_C(86400000000000) /* a day in ns: the longest pause or time-out */

/* ABBA: blocks in which each arm is started once and answers each prompt once, the order mirrored from block
 * to block. SEQUENTIAL: the published form, all of the first arm, then all of the second. */
typedef enum ssw_plan_design { SSW_PLAN_ABBA, SSW_PLAN_SEQUENTIAL } ssw_plan_design;

/* How a prompt reaches the model: as a chat of one message, in the model's chat format, or as it is. */
typedef enum ssw_plan_ask { SSW_PLAN_ASK_CHAT, SSW_PLAN_ASK_COMPLETION } ssw_plan_ask;

/* What of the model's files is in the page cache when a server starts: whatever is left of earlier starts,
 * all of it, or nothing. */
typedef enum ssw_plan_page_cache {
    SSW_PLAN_CACHE_AS_IS,
    SSW_PLAN_CACHE_WARM,
    SSW_PLAN_CACHE_COLD
} ssw_plan_page_cache;

/* A/A: the first arm once more, under the name SSW_PLAN_AA_NAME. AUTO: where the design has blocks, two arms
 * or more are declared, none of them is the first again, and there is room; and during the run for as long as
 * it takes no more than SSW_PLAN_AA_NS_MAX, as the first block foretells. */
typedef enum ssw_plan_aa { SSW_PLAN_AA_OFF, SSW_PLAN_AA_AUTO, SSW_PLAN_AA_ON } ssw_plan_aa;
#define SSW_PLAN_AA_NAME   "aa"
#define SSW_PLAN_AA_NS_MAX INT64_C(900000000000) /* 15 minutes */

typedef struct ssw_plan_prompt {
    const char *id;           /* "q1", "q2", ...: unique in the plan */
    const char *label;        /* "short", ...: for tables */
    const char *text;         /* UTF-8 */
    int64_t published_tokens; /* what the published test says, SSW_PLAN_NO_COUNT if it says nothing */
    int64_t tokens;           /* by the model's tokenizer; SSW_PLAN_NO_COUNT until counted */
} ssw_plan_prompt;

typedef struct ssw_plan_arm {
    const char *name;
    const char *server; /* in place of the run's own: as --server takes it, NAME:PATH instead of NAME=PATH;
                           NULL: none */
    const char *url;    /* of a server that runs already; NULL: one is started, with what follows */
    int port;
    size_t n_args;
    const char **args; /* what follows the common part of the server's command line */
    size_t n_env;
    const char **env; /* "NAME=VALUE", added to the bench's own environment */
} ssw_plan_arm;

typedef struct ssw_plan_sweep { /* the first n arms: one flag with these values */
    const char *flag;           /* "--n-cpu-moe"; NULL: no sweep */
    size_t n;
    const char *values[SSW_PLAN_ARMS_MAX];
} ssw_plan_sweep;

typedef struct ssw_plan_quality { /* a plan file's key "quality": texts as they stand there, NULL where it
                                     says nothing */
    bool wanted;
    const char *samples, *tokens, *temperature, *margin, *problems, *embeddings_url;
} ssw_plan_quality;

typedef struct ssw_plan {
    ssw_plan_design design;
    uint64_t seed;   /* orders the blocks and the prompts, and is sent to the server with each request */
    int runs;        /* of each prompt on each arm, over all server starts */
    int warmup_runs; /* requests after each server start that no figure uses */
    int max_tokens;
    double temperature;
    ssw_plan_ask ask;
    ssw_plan_page_cache page_cache;
    int top_logprobs; /* ask for so many log-probabilities of each token; 0: for none */
    int fixed_length; /* 1: ask the server to ignore the end of text, so that each reply has max_tokens */
    ssw_plan_aa aa;   /* OFF after init */
    double equivalence_margin; /* 0.02: within 2 % counts as equal; 0: no margin is declared */
    double precision; /* 0.03: stop when the interval is within 3 % of the ratio, after `runs` at the latest;
                         0: do not */
    int min_runs;     /* before the first look at the interval */
    int64_t pause_ns; /* between a server's end and the next one's start */
    int64_t ready_timeout_ns;  /* from spawn to GET /health = 200 */
    int64_t hang_timeout_ns;   /* longest silence inside a request */
    int64_t stop_grace_ns;     /* between SIGTERM and SIGKILL */
    int64_t memory_timeout_ns; /* longest wait for memory to come back after a stop */
    size_t n_prompts;
    ssw_plan_prompt *prompts;
    size_t n_arms;
    ssw_plan_arm arms[SSW_PLAN_ARMS_MAX];
    ssw_plan_sweep sweep;
    bool sweep_is_new; /* its arms are still to be made */
    int64_t fit_bytes; /* what the smallest value of the sweep shall fit in; 0: nothing was asked */
    size_t n_allowed;  /* names of options and variables in which arms may differ besides the treatment */
    const char *allowed[SSW_PLAN_ALLOWED_MAX];
    size_t n_models; /* that a plan file names, for a queue of runs; no part of a run */
    const char *models[SSW_PLAN_MODELS_MAX];
    const char *quant;        /* and their quantisations: "Q4_K_M,Q8_0"; NULL: as they are */
    ssw_plan_quality quality; /* likewise; who runs it checks the values */
    ssw_arena arena;
} ssw_plan;

/* Everything of the default plan but its prompts and arms, which ssw_plan_finish adds where none were given.
 */
void ssw_plan_init(ssw_plan *plan);
void ssw_plan_deinit(ssw_plan *plan);

const char *ssw_plan_design_name(ssw_plan_design design); /* "abba", "sequential" */
ssw_status ssw_plan_parse_design(const char *text, ssw_plan_design *out, ssw_error *err);
const char *ssw_plan_ask_name(ssw_plan_ask ask); /* "chat", "completion" */
ssw_status ssw_plan_parse_ask(const char *text, ssw_plan_ask *out, ssw_error *err);
const char *ssw_plan_page_cache_name(ssw_plan_page_cache page_cache); /* "as-is", "warm", "cold" */
ssw_status ssw_plan_parse_page_cache(const char *text, ssw_plan_page_cache *out, ssw_error *err);
const char *ssw_plan_length_name(int fixed_length); /* "fixed", "natural" */
ssw_status ssw_plan_parse_length(const char *text, int *fixed_length, ssw_error *err);

const char *ssw_plan_aa_name(ssw_plan_aa aa); /* "off", "auto", "on" */
ssw_status ssw_plan_parse_aa(const char *text, ssw_plan_aa *out, ssw_error *err);

/* words: arguments, before them NAME=VALUE words for the server's environment, separated by blanks; '...',
 * "..." and \ quote as in a shell, and nothing is expanded. */
ssw_status ssw_plan_add_arm(ssw_plan *plan, const char *name, const char *words, ssw_error *err);
/* The same from "NAME=WORDS" or "NAME@SERVER=WORDS" (the option --arm). */
ssw_status ssw_plan_add_arm_option(ssw_plan *plan, const char *option, ssw_error *err);

/* An arm that is a server which runs already, from "NAME=URL", "NAME@SERVER=URL" or "URL" (then its name is
 * "running"). The URL is http://HOST[:PORT][/PATH]; a path comes before those that the server's adapter asks
 * for. */
ssw_status ssw_plan_add_url_option(ssw_plan *plan, const char *option, ssw_error *err);
/* Which server the last arm is. */
ssw_status ssw_plan_set_server(ssw_plan *plan, const char *server, size_t n_bytes, ssw_error *err);
ssw_status ssw_plan_add_url(ssw_plan *plan, const char *name, const char *url, ssw_error *err);

/* name: "-t", "--ctx-size" or "OMP_NUM_THREADS". */
ssw_status ssw_plan_allow_difference(ssw_plan *plan, const char *name, ssw_error *err);

/* label may be NULL: then it is the prompt's number. */
ssw_status ssw_plan_add_prompt(ssw_plan *plan, const char *label, const char *text, size_t n_bytes,
                               int64_t published_tokens, ssw_error *err);

/* A prompt file's content: a JSON or YAML list of strings (it begins with '[' or "- "), or one prompt per
 * line, where empty lines and lines that begin with '#' are left out. name is for messages. */
ssw_status ssw_plan_read_prompts(ssw_plan *plan, const char *name, const char *text, size_t n_bytes,
                                 ssw_error *err);

/* A plan file's content (YAML); what it does not name keeps its value. docs/BENCH.md lists the keys. */
ssw_status ssw_plan_read_yaml(ssw_plan *plan, const char *name, const char *text, size_t n_bytes,
                              ssw_error *err);

/* Adds the default prompts and arms where there are none, gives ports from first_port on (0:
 * SSW_PLAN_FIRST_PORT) to arms without one, and checks every field. */
ssw_status ssw_plan_finish(ssw_plan *plan, int first_port, ssw_error *err);

/* Adds the A/A arm to a finished plan, as plan->aa says, on the port after the last. */
ssw_status ssw_plan_add_same_arm(ssw_plan *plan, ssw_error *err);
/* Whether two arms get the same arguments and variables. */
bool ssw_plan_is_same_arm(const ssw_plan_arm *a, const ssw_plan_arm *b);

/* How many blocks are complete at the first look at the interval's width: min_runs, made even, since blocks
 * are balanced in twos. Later looks follow after every second block. */
int ssw_plan_first_look(const ssw_plan *plan);

#endif
