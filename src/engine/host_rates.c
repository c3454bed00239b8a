/* See the header. */
#include "engine/host_rates.h"

#include <stdio.h>

#include "cpu/ops.h"

/* What a thread reads while the bus and the others read too. Not measured: the memory of one and the same
 * machine gives a third more or less from start to start (docs/GPU.md), which would be another class. */
#define BYTES_PER_S 5e9
/* Gathering activations before, and adding results up after the experts: of a number of activations (seen on
 * such processors: 0.3 to 0.45 ms of 512 tokens, docs/GPU.md's three models, 15 threads). */
#define GATHERING_S 3e-9

double ssw_rate_class(double measured, const double *classes, size_t n)
{
    double nearest = classes[0];
    for (size_t i = 1; i < n; i++) {
        if (measured * measured > classes[i - 1] * classes[i])
            nearest = classes[i];
    }
    return nearest;
}

/* Steps of about 2.5. Seen on Sapphire and Emerald Rapids, with neighbours quiet and busy: vectors 0.9 to
 * 1.1e11, tiles 1.6 to 2.8e11, which are one class each (0.57 to 1.42e11, 1.42 to 3.55e11). In steps of 1.5
 * one machine's starts fell into two. */
double ssw_host_rate_class(double measured)
{
    static const double classes[] = {0.9e9, 2.3e9, 5.8e9, 1.4e10, 3.6e10, 0.9e11, 2.25e11, 5.6e11, 1.4e12};
    return ssw_rate_class(measured, classes, sizeof classes / sizeof classes[0]);
}

void ssw_host_format_rates(const ssw_engine_cpu_rates *rates, char text[SSW_HOST_RATES_TEXT_MAX])
{
    int n = snprintf(text, SSW_HOST_RATES_TEXT_MAX, "%.4g", rates->vectors / 1e9);
    if (rates->tiles > 0)
        snprintf(text + n, SSW_HOST_RATES_TEXT_MAX - (size_t)n, ",%.4g", rates->tiles / 1e9);
}

bool ssw_host_is_in_tiles(const ssw_host_expert *expert)
{
    return expert->has_tiles && expert->n_pairs >= SSW_CPU_BF16_PAIRS_MIN;
}

double ssw_host_predict(const ssw_engine_cpu_rates *rates, const ssw_host_expert *expert, int n_threads,
                        ssw_engine_bound *bound)
{
    double rate = ssw_host_is_in_tiles(expert) ? rates->tiles : rates->vectors;
    double by_products = expert->products * expert->n_pairs / (rate * n_threads);
    double by_bytes = expert->bytes / (BYTES_PER_S * n_threads);
    *bound = ssw_host_is_in_tiles(expert) ? SSW_ENGINE_BOUND_TILES : SSW_ENGINE_BOUND_VECTORS;
    if (by_bytes >= by_products)
        *bound = SSW_ENGINE_BOUND_BYTES;
    return by_bytes >= by_products ? by_bytes : by_products;
}

double ssw_host_predict_gathering(int64_t n_numbers, int n_threads)
{
    return GATHERING_S * (double)n_numbers / n_threads;
}

/* ---- whether it holds ---- */

/* A whole class: less is what the rounding to one and a busy bus explain. */
#define WRONG_RATIO 2.5
/* Of shorter layers too much is what does not depend on their experts: sorting, barriers, sums. */
#define JUDGED_NS_MIN 1000000

static void warn(const ssw_host_watch *watch, ssw_engine_bound bound, double ratio)
{
    ssw_engine_cpu_rates better = watch->rates;
    double *rate = bound == SSW_ENGINE_BOUND_TILES ? &better.tiles : &better.vectors;
    char planned[SSW_HOST_RATES_TEXT_MAX], pinned[SSW_HOST_RATES_TEXT_MAX];
    ssw_host_format_rates(&watch->rates, planned);
    *rate = ssw_host_rate_class(*rate / ratio);
    ssw_host_format_rates(&better, pinned);
    ssw_log_write(&watch->log, SSW_LOG_WARN,
                  "the CPU's experts of prompts (on %s) took %.2f times as long as planned with "
                  "--cpu-moe-rate %s; the plan stays, since texts must not depend on time. If this lasts, "
                  "start again: with --cpu-moe-rate %s, or without the flag, which measures again",
                  ssw_engine_bound_name(bound), ratio, planned, pinned);
}

void ssw_host_watch_layer(ssw_host_watch *watch, ssw_engine_bound bound, int64_t predicted_ns,
                          int64_t actual_ns)
{
    if (predicted_ns <= 0)
        return;
    atomic_fetch_add_explicit(&watch->of[bound].n_layers, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&watch->of[bound].predicted_ns, predicted_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&watch->of[bound].actual_ns, actual_ns, memory_order_relaxed);
    if (bound == SSW_ENGINE_BOUND_BYTES || predicted_ns < JUDGED_NS_MIN)
        return;
    watch->of[bound].judged_predicted_ns += predicted_ns;
    watch->of[bound].judged_actual_ns += actual_ns;
    if (++watch->of[bound].n_judged < SSW_HOST_JUDGED_LAYERS)
        return;
    double ratio = (double)watch->of[bound].judged_actual_ns / (double)watch->of[bound].judged_predicted_ns;
    watch->of[bound].judged_predicted_ns = watch->of[bound].judged_actual_ns = 0;
    watch->of[bound].n_judged = 0;
    if (watch->of[bound].has_warned || (ratio < WRONG_RATIO && ratio > 1 / WRONG_RATIO))
        return;
    watch->of[bound].has_warned = true;
    warn(watch, bound, ratio);
}

void ssw_host_watch_read(const ssw_host_watch *watch, ssw_engine_bound bound, ssw_engine_prompt_times *out)
{
    out->n_layers = atomic_load_explicit(&watch->of[bound].n_layers, memory_order_relaxed);
    out->predicted_ns = atomic_load_explicit(&watch->of[bound].predicted_ns, memory_order_relaxed);
    out->actual_ns = atomic_load_explicit(&watch->of[bound].actual_ns, memory_order_relaxed);
}
