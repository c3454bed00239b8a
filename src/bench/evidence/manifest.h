/* manifest.json: what was meant to run, and on what machine. Plain data; strings live in the manifest's
 * arena. docs/EVIDENCE.md describes every key. Unknown integers are SSW_EVIDENCE_NONE, unknown texts NULL:
 * `null` in the file. */
#ifndef SSW_BENCH_EVIDENCE_MANIFEST_H
#define SSW_BENCH_EVIDENCE_MANIFEST_H

#include "base/arena.h"
#include "base/status.h"
#include "bench/evidence/sample.h"
#include "bench/plan/plan.h"

enum {
    SSW_MANIFEST_SCHEMA = 1,
    SSW_MANIFEST_FILES_MAX = 1000,
    SSW_MANIFEST_GPUS_MAX = 64,
    SSW_MANIFEST_WORDS_MAX = 4096, /* of one command line */
    SSW_MANIFEST_BYTES_MAX = 64 << 20
};

typedef struct ssw_manifest_words { /* a command line or an environment ("NAME=VALUE") */
    size_t n;
    const char **words;
} ssw_manifest_words;

typedef struct ssw_manifest_file {
    const char *path;
    int64_t bytes;
    const char *sha256; /* 64 hex digits */
} ssw_manifest_file;

typedef struct ssw_manifest_model {
    const char *path, *name;
    size_t n_files; /* each split of the GGUF */
    ssw_manifest_file *files;
    const char *general_name; /* general.name, by which some servers call it; may be NULL */
    const char *architecture; /* NULL and NONE from here on when the model is not a local GGUF */
    int64_t parameters;
    int64_t expert_bytes;           /* of the tensors that --cpu-moe moves */
    int64_t expert_bytes_per_token; /* of those, what one token reads */
} ssw_manifest_model;

typedef struct ssw_manifest_arm { /* in the plan's order */
    const char *name;
    int port;
    ssw_manifest_words argv, env; /* the whole command line; the variables set for this arm */
    const char *adapter;          /* by which the server is talked to: "llama-server"; NULL in old evidence */
    const char *ask_path;         /* where its requests go */
    const char *prompt_cache, *own_times; /* what the adapter knows of both, in words */
    ssw_manifest_file server;             /* the executable; path NULL when the server ran already */
    const char *server_version;           /* first line of `SERVER --version`; NULL when it has none */
    const char *treatment; /* what differs from the first arm: "(first arm)", "adds: --cpu-moe" */
    int64_t offload_bytes; /* of expert tensors, that its arguments keep in host memory; NONE: not known */
} ssw_manifest_arm;

typedef struct ssw_manifest_gpu {
    int index;
    const char *name, *uuid, *driver;
    int64_t memory_bytes, power_limit_mw, clock_sm_max_mhz, clock_mem_max_mhz;
} ssw_manifest_gpu;

typedef struct ssw_manifest_machine {
    const char
        *hostname_hash; /* the first 12 hex digits of SHA-256(host name); machine_id.h tells machines apart */
    const char *kernel, *cpu, *governor, *container;
    int64_t sockets, cores, threads; /* of the machine */
    int64_t threads_usable;          /* by this process's affinity mask */
    int64_t cpu_khz_max;             /* the highest clock that the kernel reports */
    int64_t memory_bytes, swap_bytes;
    size_t n_gpus;
    ssw_manifest_gpu *gpus;
    const char *nvml;        /* NVML's version; NULL without it */
    const char *nvml_reason; /* why there is none; NULL when there is */
    const char *rapl;        /* "1 package, no DRAM": the energy counters; NULL without any */
    const char *rapl_reason; /* why there are none; NULL when there are, or an earlier version measured */
} ssw_manifest_machine;

typedef struct ssw_manifest_start {
    int block, position;
    const char *arm;
} ssw_manifest_start;

typedef struct ssw_manifest {
    int schema;
    const char *tool_name, *tool_version, *tool_commit;
    const char *created_utc;
    ssw_manifest_words argv;
    ssw_plan plan; /* prompts, numbers and each arm's own arguments */
    ssw_manifest_model model;
    size_t n_arms;
    ssw_manifest_arm arms[SSW_PLAN_ARMS_MAX];
    ssw_manifest_machine machine;
    size_t n_schedule;
    ssw_manifest_start *schedule;
    ssw_arena arena;
} ssw_manifest;

void ssw_manifest_init(ssw_manifest *manifest); /* numbers NONE, plan default without prompts and arms */
void ssw_manifest_deinit(ssw_manifest *manifest);

/* Index of an arm or prompt by its name or id, or -1. */
int ssw_manifest_find_arm(const ssw_manifest *manifest, const char *name);
int ssw_manifest_find_prompt(const ssw_manifest *manifest, const char *id);

/* Writes DIR/manifest.json, which must not exist yet. */
ssw_status ssw_manifest_write(const ssw_manifest *manifest, const char *dir, ssw_error *err);

/* From the file's text into an initialised manifest; checks the schema. */
ssw_status ssw_manifest_parse(ssw_manifest *manifest, const char *text, size_t n_bytes, ssw_error *err);

/* The same from DIR/manifest.json; errors name the file. */
ssw_status ssw_manifest_read(ssw_manifest *manifest, const char *dir, ssw_error *err);

#endif
