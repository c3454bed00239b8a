/* The router: which experts a token goes to, and with what weights. Tiny, so plain C only. */
#include <assert.h>
#include <math.h>

#include "cpu/kernels.h"

/* The k largest, best first; of equals the lower number. */
static void select_top(const float *logits, int n, int k, int32_t *chosen)
{
    int n_chosen = 0;
    for (int e = 0; e < n; e++) {
        if (n_chosen == k && !(logits[e] > logits[chosen[k - 1]]))
            continue;
        int at = n_chosen < k ? n_chosen++ : k - 1;
        for (; at > 0 && logits[e] > logits[chosen[at - 1]]; at--)
            chosen[at] = chosen[at - 1];
        chosen[at] = e;
    }
}

static void weigh(const ssw_cpu_route_args *args, const float *logits, const int32_t *chosen, float *weights)
{
    int k = args->n_used;
    float largest = logits[chosen[0]], sum_chosen = 0, sum_all = 0;
    for (int j = 0; j < k; j++) {
        weights[j] = expf(logits[chosen[j]] - largest);
        sum_chosen += weights[j];
    }
    bool over_all = args->kind == SSW_CPU_ROUTE_SOFTMAX_TOPK && !args->renormalise;
    for (int e = 0; over_all && e < args->n_experts; e++)
        sum_all += expf(logits[e] - largest);
    float scale = args->scale / (over_all ? sum_all : sum_chosen);
    for (int j = 0; j < k; j++)
        weights[j] *= scale;
}

/* Two largest numbers of a group, added up. */
static float best_two(const float *scores, int n)
{
    float best = -INFINITY, second = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (scores[i] > best) {
            second = best;
            best = scores[i];
        } else if (scores[i] > second) {
            second = scores[i];
        }
    }
    return best + second;
}

/* Puts the experts of all but the best groups out of reach. */
static void keep_groups(const ssw_cpu_route_args *args, float *scores)
{
    int size = args->n_experts / args->n_groups;
    float sums[SSW_CPU_EXPERTS_MAX];
    int32_t kept[SSW_CPU_EXPERTS_USED_MAX];
    for (int g = 0; g < args->n_groups; g++)
        sums[g] = best_two(scores + g * size, size);
    select_top(sums, args->n_groups, args->n_groups_used, kept);
    for (int e = 0; e < args->n_experts; e++) {
        bool is_kept = false;
        for (int i = 0; i < args->n_groups_used; i++)
            is_kept = is_kept || kept[i] == e / size;
        scores[e] = is_kept ? scores[e] : -INFINITY;
    }
}

static void route_by_sigmoid(const ssw_cpu_route_args *args, const float *logits, int32_t *chosen,
                             float *weights)
{
    float scores[SSW_CPU_EXPERTS_MAX], sum = 0;
    for (int e = 0; e < args->n_experts; e++)
        scores[e] = 1 / (1 + expf(-logits[e])) + (args->bias ? args->bias[e] : 0);
    if (args->n_groups > 1)
        keep_groups(args, scores);
    select_top(scores, args->n_experts, args->n_used, chosen);
    for (int j = 0; j < args->n_used; j++) {
        weights[j] = 1 / (1 + expf(-logits[chosen[j]]));
        sum += weights[j];
    }
    float scale = args->renormalise ? args->scale / (sum + 1e-20f) : args->scale;
    for (int j = 0; j < args->n_used; j++)
        weights[j] *= scale;
}

static bool is_chosen(const int32_t *chosen, int n, int expert)
{
    for (int j = 0; j < n; j++) {
        if (chosen[j] == expert)
            return true;
    }
    return false;
}

/* The windows are computed in float, as the publisher's code does: which side of the edge a logit falls on
 * must be the same. */
static void mix_sparsely(const ssw_cpu_route_args *args, const float *logits, int32_t *chosen, float *weights)
{
    for (int j = 0; j < args->n_used; j++) {
        int best = -1;
        for (int e = 0; e < args->n_experts; e++) {
            if (!is_chosen(chosen, j, e) && (best < 0 || logits[e] > logits[best]))
                best = e;
        }
        float sum = 0;
        for (int e = 0; e < args->n_experts; e++) {
            float distance = (logits[best] - logits[e]) / fmaxf(fabsf(logits[e]), logits[best]);
            if (!is_chosen(chosen, j, e) && !(distance > 2 * args->jitter))
                sum += expf(logits[e] - logits[best]);
        }
        chosen[j] = best;
        weights[j] = args->scale / sum;
    }
}

void ssw_cpu_route(ssw_cpu_worker *worker, const ssw_cpu_route_args *args)
{
    assert(args->n_used >= 1 && args->n_used <= args->n_experts && args->n_used <= SSW_CPU_EXPERTS_USED_MAX);
    assert(args->n_experts <= SSW_CPU_EXPERTS_MAX && args->n_groups_used <= SSW_CPU_EXPERTS_USED_MAX);
    ssw_span span =
        args->alone ? (ssw_span){0, args->n} : ssw_span_of(args->n, worker->index, worker->n_workers);
    for (int64_t t = span.begin; t < span.end; t++) {
        const float *logits = args->logits + t * args->logits_stride;
        int32_t *chosen = args->chosen + t * args->n_used;
        float *weights = args->weights + t * args->n_used;
        if (args->kind == SSW_CPU_ROUTE_SPARSEMIXER) {
            mix_sparsely(args, logits, chosen, weights);
            continue;
        }
        if (args->kind == SSW_CPU_ROUTE_SIGMOID) {
            route_by_sigmoid(args, logits, chosen, weights);
            continue;
        }
        select_top(logits, args->n_experts, args->n_used, chosen);
        weigh(args, logits, chosen, weights);
    }
}
