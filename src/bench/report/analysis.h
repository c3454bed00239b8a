/* Everything that a report says, computed from an evidence folder: groups, comparisons, memory, validity. No
 * output here.
 *
 * Index order is always [arm][prompt][run]; arm 0 is the one that the others are compared with. NAN stands
 * for what was not measured. Plain data, owned by the handle; immutable after open. */
#ifndef SSW_BENCH_REPORT_ANALYSIS_H
#define SSW_BENCH_REPORT_ANALYSIS_H

#include "bench/evidence/evidence_reader.h"
#include "bench/quality/quality_analysis.h"
#include "bench/stats/comparison.h"
#include "bench/stats/metrics.h"
#include "bench/stats/summary.h"

enum { SSW_ANALYSIS_FLAGS_MAX = 32, SSW_ANALYSIS_OUTLIERS_MAX = 64 };

typedef enum ssw_memory {                 /* all in bytes */
                          SSW_MEMORY_PSS, /* anonymous + file + shared, where all three were read */
                          SSW_MEMORY_PSS_ANON,
                          SSW_MEMORY_PSS_FILE,
                          SSW_MEMORY_PSS_SHMEM,
                          SSW_MEMORY_RSS,
                          SSW_MEMORY_SWAP,
                          SSW_MEMORY_VRAM,        /* of the process tree; where those figures are hidden, the
                                                     device's above its idle level */
                          SSW_MEMORY_VRAM_DEVICE, /* in use on all GPUs, whoever uses it */
                          SSW_MEMORY_COUNT
} ssw_memory;

/* Per server start and phase: the median of the readings while idle, loaded and between requests, else their
 * maximum. */
enum {
    SSW_MEMORY_PEAK = SSW_PHASE_COUNT,
    SSW_MEMORY_PHASES = SSW_PHASE_COUNT + 1
}; /* PEAK: over loaded and after */

typedef struct ssw_memory_groups {
    ssw_summary phases[SSW_MEMORY_COUNT][SSW_MEMORY_PHASES]; /* over server starts */
} ssw_memory_groups;

typedef struct ssw_memory_comparison {
    ssw_ratio ratio;   /* over blocks */
    ssw_summary saved; /* bytes of arm 0 less this arm's, over blocks */
} ssw_memory_comparison;

/* Did the treatment move what it says? Rule 5 of docs/METHOD.md. */
typedef enum ssw_offload_proof {
    SSW_OFFLOAD_NOT_CLAIMED,  /* the arguments say nothing of experts, or their size is not known */
    SSW_OFFLOAD_NO_GPU,       /* there was nothing to move from, and no VRAM to measure */
    SSW_OFFLOAD_NOT_MEASURED, /* a GPU, but no VRAM reading */
    SSW_OFFLOAD_AGREES,
    SSW_OFFLOAD_DISAGREES,  /* VRAM did not fall by what was claimed */
    SSW_OFFLOAD_NOT_IN_HOST /* it did, but host memory never held it */
} ssw_offload_proof;

#define SSW_OFFLOAD_TOLERANCE 0.10 /* of the claimed bytes */

typedef enum ssw_energy { SSW_ENERGY_GPU, SSW_ENERGY_PACKAGE, SSW_ENERGY_DRAM, SSW_ENERGY_COUNT } ssw_energy;

typedef enum ssw_level { /* readings of the first GPU while requests ran, in their own units */
                         SSW_LEVEL_CLOCK_SM,
                         SSW_LEVEL_CLOCK_MEM,
                         SSW_LEVEL_POWER,
                         SSW_LEVEL_TEMPERATURE,
                         SSW_LEVEL_PCIE_RX,
                         SSW_LEVEL_PCIE_TX,
                         SSW_LEVEL_COUNT
} ssw_level;

typedef struct ssw_energy_results {
    ssw_summary per_token[SSW_ENERGY_COUNT]; /* J, over requests */
    ssw_ratio ratios[SSW_ENERGY_COUNT];      /* to the first arm, over blocks */
    ssw_summary levels[SSW_LEVEL_COUNT];     /* over readings */
    uint64_t throttle;                       /* NVML's bits, of all readings together */
} ssw_energy_results;

typedef struct ssw_arm_results {
    ssw_summary metrics[SSW_METRIC_COUNT];       /* over all prompts and runs */
    ssw_summary metrics_clean[SSW_METRIC_COUNT]; /* without flagged samples */
    ssw_comparison comparisons[SSW_METRIC_COUNT];
    ssw_summary load_ms; /* over server starts */
    ssw_memory_groups memory;
    ssw_memory_comparison memory_comparisons[SSW_MEMORY_COUNT][SSW_MEMORY_PHASES];
    double claimed_bytes; /* of expert tensors, in host memory by its arguments and not by the first arm's;
                             NAN */
    ssw_offload_proof proof;
    bool same_as_first; /* same arguments and environment: an A/A comparison */
    int n_measured, n_failed, n_flagged, n_token_disagreements;
    int n_crashed; /* servers that crashed or hung */
} ssw_arm_results;

typedef struct ssw_prompt_results {
    ssw_summary metrics[SSW_METRIC_COUNT];
    ssw_comparison comparisons[SSW_METRIC_COUNT]; /* pairs of this prompt */
} ssw_prompt_results;

typedef struct ssw_flag_count {
    const char *flag;
    int counts[SSW_PLAN_ARMS_MAX];
} ssw_flag_count;

typedef struct ssw_outlier {
    const char *sample_id;
    ssw_metric metric;
    double value, expected; /* expected: the median of its arm and prompt */
} ssw_outlier;

typedef struct ssw_audit_results { /* over all sessions' self-audits; absolute errors */
    int n_requests, n_misread;     /* misread: not the tokens that were sent */
    ssw_summary ttft_ms, itl_ms;   /* over requests */
    ssw_summary frame_ms;          /* over frames */
} ssw_audit_results;

/* An arm among the others as points of memory against a rate, and what its memory costs. */
typedef struct ssw_tradeoff {
    size_t rate_dominated_by; /* an arm that is at least as good in both by the means, and in one of them
                                 better beyond its 95 % interval; the arm itself when there is none: it is on
                                 the front */
    size_t ttft_dominated_by;
    ssw_summary exchange; /* ms more per token for each GiB less than arm 0, over blocks; n = 0 where nothing
                             was shown to be saved */
    double highest_bytes; /* reading of the headline memory after load; NAN when there is none */
} ssw_tradeoff;

/* TTFT of an arm less that of arm 0 against the prompt's tokens, a straight line through all pairs. */
typedef struct ssw_length_cost {
    size_t n;                     /* pairs; 0 when all prompts are of one length */
    double ms_per_token, ms_at_0; /* slope and intercept */
    double ci_low, ci_high;       /* of the slope, 95 %; NAN when n < 3 */
} ssw_length_cost;

typedef struct ssw_analysis {
    ssw_evidence *evidence;
    ssw_quality *quality; /* NULL: the run has no quality phase */
    size_t n_arms, n_prompts, n_runs, n_starts;
    double (*values)[SSW_METRIC_COUNT]; /* [arm][prompt][run] */
    const ssw_sample **samples;         /* [arm][prompt][run]; NULL where none was measured */
    int64_t *tokens;                    /* [arm][prompt][run]; NONE where unknown */
    double (*memory)[SSW_MEMORY_COUNT][SSW_MEMORY_PHASES]; /* [start] */
    ssw_arm_results *arms;                                 /* [arm] */
    ssw_energy_results *energy;                            /* [arm] */
    ssw_prompt_results *prompts;                           /* [arm][prompt] */
    ssw_tradeoff *tradeoffs;                               /* [arm] */
    ssw_length_cost *length_costs;                         /* [arm]; of arm 0 nothing */
    bool tokens_are_ours;           /* every reply was counted by the model's tokenizer */
    bool prompt_tokens_are_servers; /* prefill counts come from usage, chat format included */
    size_t n_flags;
    ssw_flag_count flags[SSW_ANALYSIS_FLAGS_MAX];
    size_t n_outliers;
    ssw_outlier outliers[SSW_ANALYSIS_OUTLIERS_MAX];
    int n_expected, n_measured;
    ssw_offload_proof proof; /* of proof_arm */
    size_t proof_arm; /* the first arm whose claim is refuted, else the first that claims; 0 when none */
    ssw_audit_results audit;
    const char *vram_source; /* as the readings name it; NULL when there are none */
    ssw_arena arena;
} ssw_analysis;

ssw_status ssw_analysis_open(const char *dir, ssw_analysis **out, ssw_error *err);
void ssw_analysis_close(ssw_analysis *analysis); /* NULL is allowed */

size_t ssw_analysis_index(const ssw_analysis *analysis, size_t arm, size_t prompt, size_t run);
const char *ssw_memory_key(ssw_memory memory);  /* "pss", "vram" */
const char *ssw_memory_name(ssw_memory memory); /* "host memory (PSS)" */
const char *ssw_memory_phase_key(int phase);    /* "loaded", "peak" */

/* The memory that a headline speaks of: VRAM where it was measured, else PSS, else RSS; COUNT when nothing
 * was. */
ssw_memory ssw_analysis_headline_memory(const ssw_analysis *analysis);

/* Without a GPU: host memory differs by at most SSW_OFFLOAD_TOLERANCE of the experts' bytes, or its interval
 * holds 0 and stays below half of them. saved: of the arm that adds --cpu-moe. */
bool ssw_analysis_says_nothing_moved(const ssw_analysis *analysis, const ssw_summary *saved);

/* The arm's text frames came many at once: the mean of their median gaps is below half the mean ITL. */
bool ssw_analysis_has_bursts(const ssw_analysis *analysis, size_t arm);

/* The rate that a headline speaks of: the decode rate, or TPS where frames of some arm came in bursts, since
 * then the first and the last frame say little about decoding. */
ssw_metric ssw_analysis_headline_rate(const ssw_analysis *analysis);

/* The arm that is the first one again (A/A), or 0 when there is none. */
size_t ssw_analysis_find_same(const ssw_analysis *analysis);

/* The metrics of which a report says more: their bootstrap intervals and what a run of this size can show. */
bool ssw_analysis_is_headline(ssw_metric metric);

/* The parts, in the order in which open calls them. */
ssw_status ssw_analysis_compare(ssw_analysis *analysis, ssw_error *err);
ssw_status ssw_analysis_measure_memory(ssw_analysis *analysis, ssw_error *err);
ssw_status ssw_analysis_audit(ssw_analysis *analysis, ssw_error *err);
ssw_status ssw_analysis_measure_energy(ssw_analysis *analysis, ssw_error *err);
ssw_status ssw_analysis_check_validity(ssw_analysis *analysis, ssw_error *err);
void ssw_analysis_prove_offload(ssw_analysis *analysis);
ssw_status ssw_analysis_trade_off(ssw_analysis *analysis, ssw_error *err);

/* Tokens of a prompt as the server prefilled it, by its usage; else those of its text. NAN when unknown. */
double ssw_analysis_prompt_tokens(const ssw_analysis *analysis, size_t prompt);

/* The arm with the smallest value of the sweep (by number; in the order given where one is none) whose
 * highest reading is at most the plan's fit_bytes; n_arms when none is. */
size_t ssw_analysis_find_fit(const ssw_analysis *analysis);

/* How far VRAM saved may be from the claim, in bytes. */
double ssw_analysis_offload_tolerance(double claimed);
bool ssw_analysis_offload_is_refuted(ssw_offload_proof proof);

#endif
