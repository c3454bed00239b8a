/* The rules of docs/METHOD.md, "Comparisons". */
#include "bench/stats/comparison.h"

#include <math.h>
#include <stdlib.h>

typedef struct scratch { /* one allocation, cut up */
    double *logs, *clean, *orders, *means, *block_orders;
    size_t *blocks;
    void *memory;
} scratch;

static ssw_status open_scratch(size_t n, size_t n_blocks, scratch *out, ssw_error *err)
{
    double *at = calloc(3 * n + 2 * n_blocks + 1, sizeof *at);
    size_t *blocks = calloc(n + 1, sizeof *blocks);
    if (!at || !blocks) {
        free(at);
        free(blocks);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu pairs", n);
    }
    *out = (scratch){.logs = at,
                     .clean = at + n,
                     .orders = at + 2 * n,
                     .means = at + 3 * n,
                     .block_orders = at + 3 * n + n_blocks,
                     .blocks = blocks,
                     .memory = at};
    return SSW_OK;
}

static void close_scratch(scratch *s)
{
    free(s->memory);
    free(s->blocks);
}

static ssw_status find_bca(const double *logs, size_t n, uint64_t seed, ssw_bca *out, ssw_error *err)
{
    const ssw_bootstrap bootstrap = {
        .confidence = 0.95, .n_resamples = SSW_BOOTSTRAP_RESAMPLES, .seed = seed};
    ssw_status status = ssw_stats_bca(&bootstrap, logs, n, out, err);
    out->ci_low = exp(out->ci_low);
    out->ci_high = exp(out->ci_high);
    return status;
}

static void test(ssw_comparison *out, double margin)
{
    const ssw_ratio *pairs = &out->by_pair, *blocks = &out->by_block;
    bool by_block = blocks->n >= 2;
    out->p = ssw_stats_ratio_p(pairs);
    if (by_block)
        out->p = fmax(out->p, ssw_stats_ratio_p(blocks));
    if (!(margin > 0) || pairs->n < 2)
        return;
    out->equivalence_p = ssw_stats_equivalence_p(pairs, margin);
    if (by_block)
        out->equivalence_p = fmax(out->equivalence_p, ssw_stats_equivalence_p(blocks, margin));
    out->equivalent = out->equivalence_p <= SSW_STATS_LEVEL;
}

static ssw_status look_closer(const scratch *s, size_t n, size_t n_means, uint64_t seed, ssw_comparison *out,
                              ssw_error *err)
{
    out->detectable = ssw_stats_detectable_ratio(n, out->by_pair.log_sd);
    if (n_means >= 2)
        out->detectable = fmax(out->detectable, ssw_stats_detectable_ratio(n_means, out->by_block.log_sd));
    ssw_status status = find_bca(s->logs, n, seed, &out->bca_pair, err);
    return status ? status : find_bca(s->means, n_means, seed, &out->bca_block, err);
}

ssw_status ssw_stats_compare(const ssw_pair *pairs, size_t n, const ssw_compare_rules *rules,
                             ssw_comparison *out, ssw_error *err)
{
    static const ssw_bca none = {0, NAN, NAN, NAN, NAN};
    *out = (ssw_comparison){.bca_pair = none,
                            .bca_block = none,
                            .detectable = NAN,
                            .p_holm = NAN,
                            .equivalence_p = NAN,
                            .noise_floor = NAN,
                            .verdict = SSW_VERDICT_TOO_FEW};
    scratch s = {0};
    size_t n_clean = 0, n_means = 0;
    ssw_status status = open_scratch(n, rules->n_blocks, &s, err);
    if (status)
        return status;
    for (size_t i = 0; i < n; i++) {
        s.logs[i] = pairs[i].log_ratio;
        s.orders[i] = pairs[i].order;
        s.blocks[i] = pairs[i].block;
        if (!pairs[i].flagged)
            s.clean[n_clean++] = pairs[i].log_ratio;
    }
    if (rules->n_blocks) {
        n_means = ssw_stats_group_means(s.logs, s.blocks, n, rules->n_blocks, s.means);
        ssw_stats_group_means(s.orders, s.blocks, n, rules->n_blocks, s.block_orders);
        ssw_stats_order_effect(s.means, s.block_orders, n_means, &out->order);
    } else {
        ssw_stats_order_effect(s.logs, s.orders, n, &out->order);
    }
    ssw_stats_ratio(s.logs, n, &out->by_pair);
    ssw_stats_ratio(s.clean, n_clean, &out->clean);
    ssw_stats_ratio_stopped(s.means, n_means, rules->df_max, &out->by_block);
    test(out, rules->equivalence_margin);
    if (rules->thorough)
        status = look_closer(&s, n, n_means, rules->seed, out, err);
    close_scratch(&s);
    return status;
}

/* Half of a ratio's interval on the logarithmic scale; 0 where there is none. */
static double half_width(const ssw_ratio *ratio)
{
    return ratio->n < 2 ? 0 : (log(ratio->ci_high) - log(ratio->ci_low)) / 2;
}

double ssw_stats_noise_floor(const ssw_comparison *same)
{
    if (same->by_pair.n < 2 || same->by_block.n == 1) /* one block says nothing of server starts */
        return NAN;
    double half = fmax(half_width(&same->by_pair), half_width(&same->by_block));
    double distance = fabs(log(same->by_pair.ratio));
    return exp(distance > half ? distance + half : half);
}

static ssw_verdict judge(const ssw_comparison *comparison)
{
    const ssw_ratio *pairs = &comparison->by_pair, *blocks = &comparison->by_block;
    if (pairs->n < 2 || blocks->n == 1)
        return SSW_VERDICT_TOO_FEW;
    bool higher = pairs->ratio > 1;
    if (comparison->p_holm > SSW_STATS_LEVEL || (blocks->n >= 2 && (blocks->ratio > 1) != higher))
        return SSW_VERDICT_NOT_SHOWN;
    if (fabs(log(pairs->ratio)) <= log(comparison->noise_floor)) /* false for NAN: no floor */
        return SSW_VERDICT_NOT_SHOWN;
    return higher ? SSW_VERDICT_HIGHER : SSW_VERDICT_LOWER;
}

ssw_status ssw_stats_judge_family(ssw_comparison *const *family, const double *floors, size_t n,
                                  ssw_error *err)
{
    double *p = calloc(2 * n + 1, sizeof *p);
    if (!p)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu tests", n);
    for (size_t i = 0; i < n; i++)
        p[i] = family[i]->p;
    ssw_status status = ssw_stats_holm(p, n, p + n, err);
    for (size_t i = 0; i < n && !status; i++) {
        family[i]->p_holm = p[n + i];
        family[i]->noise_floor = floors ? floors[i] : NAN;
        family[i]->verdict = judge(family[i]);
    }
    free(p);
    return status;
}
