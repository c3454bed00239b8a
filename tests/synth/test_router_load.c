/* The router's steering: the loads asked for, and the loads that a simulated router with those weights gives.
 */
#include "../cmocka_all.h"

#include <math.h>
#include <stdlib.h>

#include "synth/random_blocks.h"
#include "synth/router_load.h"

enum { N_TOKENS = 20000, N_MAX = 128 };

/* Normal by Box and Muller from the mixer. */
static double next_normal(uint64_t *counter)
{
    double u = ((double)(ssw_random_mix(99, (*counter)++) >> 11) + 0.5) * 0x1p-53;
    double v = ((double)(ssw_random_mix(99, (*counter)++) >> 11) + 0.5) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

/* Share of tokens that choose each expert when the k largest of scale * N(0,1) + bias win. */
static void simulate(const double *scale, const double *bias, int n, int k, double *share)
{
    uint64_t counter = 0;
    for (int i = 0; i < n; i++)
        share[i] = 0;
    for (int t = 0; t < N_TOKENS; t++) {
        double logit[N_MAX];
        for (int i = 0; i < n; i++)
            logit[i] = scale[i] * next_normal(&counter) + bias[i];
        for (int j = 0; j < k; j++) {
            int best = 0;
            for (int i = 1; i < n; i++)
                best = logit[i] > logit[best] ? i : best;
            logit[best] = -INFINITY;
            share[best] += 1.0 / N_TOKENS;
        }
    }
}

static void check_case(int n, int k, double skew, bool by_bias, double tolerance)
{
    double load[N_MAX], scale[N_MAX], bias[N_MAX], share[N_MAX], sum = 0, uniform = (double)k / n;
    ssw_router_load_fill(load, n, k, skew, by_bias ? SSW_ROUTER_BIAS_LOAD_MAX : SSW_ROUTER_SCALE_LOAD_MAX, 5);
    for (int i = 0; i < n; i++) {
        sum += load[i];
        scale[i] = by_bias ? 1 : ssw_router_load_scale(load[i], uniform);
        bias[i] = by_bias ? ssw_router_load_bias(load[i]) : 0;
    }
    assert_true(fabs(sum - k) < 1e-6);
    simulate(scale, bias, n, k, share);
    for (int i = 0; i < n; i++) {
        if (fabs(share[i] - load[i]) > tolerance * load[i] + 0.01)
            fail_msg("%d of %d, skew %g, expert %d: asked %.4f, got %.4f", k, n, skew, i, load[i], share[i]);
    }
}

static void test_quantile(void **state)
{
    (void)state; /* values of the normal table */
    assert_true(fabs(ssw_router_normal_quantile(0.5)) < 1e-9);
    assert_true(fabs(ssw_router_normal_quantile(0.975) - 1.959963985) < 1e-8);
    assert_true(fabs(ssw_router_normal_quantile(0.001) + 3.090232306) < 1e-8);
}

static void test_uniform_is_exact(void **state)
{
    (void)state;
    double load[32];
    ssw_router_load_fill(load, 32, 4, 0, SSW_ROUTER_BIAS_LOAD_MAX, 1);
    for (int i = 0; i < 32; i++)
        assert_true(fabs(load[i] - 0.125) < 1e-12);
    assert_true(fabs(ssw_router_load_scale(0.125, 0.125) - 1) < 1e-12);
}

/* The threshold is the same for every token only in the limit of many experts: within 20 % here. */
static void test_simulated(void **state)
{
    (void)state;
    check_case(32, 4, 0, true, 0.05);
    check_case(32, 4, 1, true, 0.20);
    check_case(128, 4, 1, true, 0.20);
    check_case(128, 8, 1, false, 0.20);
    check_case(64, 6, 0.5, false, 0.20);
}

static void test_ranks_follow_the_seed(void **state)
{
    (void)state;
    double a[64], b[64], c[64];
    int differ = 0;
    ssw_router_load_fill(a, 64, 6, 1, 0.45, 1);
    ssw_router_load_fill(b, 64, 6, 1, 0.45, 1);
    ssw_router_load_fill(c, 64, 6, 1, 0.45, 2);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < 64; i++)
        differ += a[i] != c[i];
    assert_true(differ > 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_uniform_is_exact),
        cmocka_unit_test(test_simulated),
        cmocka_unit_test(test_ranks_follow_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
