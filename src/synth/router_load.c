/* See router_load.h. */
#include "synth/router_load.h"

#include <math.h>
#include <stdbool.h>

#include "synth/random_blocks.h"

#define LOAD_MIN      1e-4
#define QUANTILE_EDGE 8.0
enum { QUANTILE_STEPS = 60 };

double ssw_router_normal_quantile(double p)
{
    double low = -QUANTILE_EDGE, high = QUANTILE_EDGE;
    for (int i = 0; i < QUANTILE_STEPS; i++) {
        double middle = 0.5 * (low + high);
        if (0.5 * erfc(-middle / sqrt(2.0)) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

/* Scales the loads below the maximum until all sum to n_used. */
static void spread_excess(double *load, int n_experts, int n_used, double load_max)
{
    for (int pass = 0; pass < n_experts; pass++) {
        double capped = 0, rest = 0;
        for (int i = 0; i < n_experts; i++) {
            if (load[i] >= load_max)
                capped += load_max;
            else
                rest += load[i];
        }
        if (rest <= 0)
            break;
        double factor = (n_used - capped) / rest;
        bool moved = false;
        for (int i = 0; i < n_experts; i++) {
            bool was_free = load[i] < load_max;
            load[i] = was_free ? load[i] * factor : load_max;
            moved = moved || (was_free && load[i] > load_max);
        }
        if (!moved)
            break;
    }
}

void ssw_router_load_fill(double *load, int n_experts, int n_used, double skew, double load_max,
                          uint64_t seed)
{
    int order[SSW_ROUTER_EXPERTS_MAX];
    double sum = 0;
    for (int i = 0; i < n_experts; i++)
        order[i] = i;
    for (int i = n_experts - 1; i > 0; i--) {
        int j = (int)(ssw_random_mix(seed, (uint64_t)i) % (uint64_t)(i + 1));
        int other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    for (int i = 0; i < n_experts; i++)
        sum += pow(1.0 + i, -skew);
    for (int i = 0; i < n_experts; i++)
        load[order[i]] = n_used * pow(1.0 + i, -skew) / sum;
    spread_excess(load, n_experts, n_used, load_max);
    for (int i = 0; i < n_experts; i++)
        load[i] = fmin(fmax(load[i], LOAD_MIN), load_max);
}

double ssw_router_load_bias(double load)
{
    return ssw_router_normal_quantile(load);
}

double ssw_router_load_scale(double load, double uniform_load)
{
    return ssw_router_normal_quantile(1 - uniform_load) / ssw_router_normal_quantile(1 - load);
}
