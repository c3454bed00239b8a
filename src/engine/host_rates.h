/* How fast the CPU multiplies experts of prompts: what plans predict from its rates, and whether that holds.
 *
 * Which side computes an expert decides how its sums round. So a measurement at start becomes a coarse class
 * before anything is planned with it, and what serving shows is said, never planned with. No clock, no
 * threads: figures come from callers. */
#ifndef SSW_ENGINE_HOST_RATES_H
#define SSW_ENGINE_HOST_RATES_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/log.h"
#include "seesaw/engine.h"

/* The one of n rising classes that is nearest by ratio. */
double ssw_rate_class(double measured, const double *classes, size_t n);
/* Multiply-adds per second and thread, in steps of about 2.5; the lowest for what was not measured. */
double ssw_host_rate_class(double measured);

enum { SSW_HOST_RATES_TEXT_MAX = 64 };
/* As --cpu-moe-rate takes them, in billions: "90,225", or "90" without tiles. */
void ssw_host_format_rates(const ssw_engine_cpu_rates *rates, char text[SSW_HOST_RATES_TEXT_MAX]);

typedef struct ssw_host_expert { /* the CPU's rows of an expert, in one pass */
    int32_t n_pairs;             /* tokens that chose it */
    double products;             /* multiply-adds of one of them */
    double bytes;
    bool has_tiles; /* for its types; taken from SSW_CPU_BF16_PAIRS_MIN pairs on */
} ssw_host_expert;

bool ssw_host_is_in_tiles(const ssw_host_expert *expert);
/* What all threads together take. bound: what that follows from. */
double ssw_host_predict(const ssw_engine_cpu_rates *rates, const ssw_host_expert *expert, int n_threads,
                        ssw_engine_bound *bound);

/* The same of what comes before and after a layer's experts. n_numbers: in the activations of its tokens. */
double ssw_host_predict_gathering(int64_t n_numbers, int n_threads);

/* Layers of prompts as predicted and as they were. One writer; counters may be read from any thread. */
typedef struct ssw_host_watch {
    ssw_log log;
    ssw_engine_cpu_rates rates; /* what was predicted with */
    struct {
        atomic_uint_least64_t n_layers;
        atomic_int_least64_t predicted_ns, actual_ns;
        int64_t judged_predicted_ns, judged_actual_ns; /* of the layers since the last verdict */
        int32_t n_judged;
        bool has_warned;
    } of[SSW_ENGINE_BOUNDS];
} ssw_host_watch;

enum { SSW_HOST_JUDGED_LAYERS = 128 }; /* for a verdict */

/* bound: of most of the prediction. Warns once of each rate that is far off. */
void ssw_host_watch_layer(ssw_host_watch *watch, ssw_engine_bound bound, int64_t predicted_ns,
                          int64_t actual_ns);
void ssw_host_watch_read(const ssw_host_watch *watch, ssw_engine_bound bound, ssw_engine_prompt_times *out);

#endif
