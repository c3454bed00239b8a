/* TOST against R 4.2.2. For a vector d and a margin m:
 *   t.test(d, mu = -m, alternative = "greater")$p.value, t.test(d, mu = m, alternative = "less")$p.value: the
 * larger; t.test(d, conf.level = 0.9)$conf.int. */
#include "../../cmocka_all.h"
#include "../near.h"

#include "bench/stats/equivalence.h"

static void same_as_r(void **state)
{
    (void)state;
    const double close[] = {0.02, -0.01, 0.03, 0, 0.01, -0.02, 0.015, 0.005};
    ssw_equivalence out;
    ssw_stats_equivalence(close, 8, 0.02, &out);
    assert_near(out.mean, 0.00625, 1e-12);
    assert_near(out.sd, 0.01620185174602, 1e-12);
    assert_near(out.ci_low, -0.00460256233484, 1e-11);
    assert_near(out.ci_high, 0.01710256233484, 1e-11);
    assert_near(out.p, 0.02371924489011, 1e-11);
    assert_int_equal(out.verdict, SSW_EQUIVALENCE_SHOWN);

    const double apart[] = {0.2, 0.3, 0.25, 0.22};
    ssw_stats_equivalence(apart, 4, 0.05, &out);
    assert_near(out.ci_low, 0.1913222355296, 1e-11);
    assert_near(out.p, 0.9984804190198, 1e-11);
    assert_int_equal(out.verdict, SSW_EQUIVALENCE_DIFFERENT);

    const double few[] = {0.1, -0.2, 0.05};
    ssw_stats_equivalence(few, 3, 0.05, &out);
    assert_near(out.ci_high, 0.2542965275712, 1e-11);
    assert_near(out.p, 0.3769085090207, 1e-11);
    assert_int_equal(out.verdict, SSW_EQUIVALENCE_NOT_SHOWN);
}

static void without_scatter(void **state)
{
    (void)state;
    const double none[] = {0, 0, 0}, all[] = {0.5, 0.5};
    ssw_equivalence out;
    ssw_stats_equivalence(none, 3, 0.05, &out);
    assert_int_equal(out.verdict, SSW_EQUIVALENCE_SHOWN);
    assert_near(out.p, 0, 0);
    ssw_stats_equivalence(all, 2, 0.05, &out);
    assert_int_equal(out.verdict, SSW_EQUIVALENCE_DIFFERENT);
    ssw_stats_equivalence(all, 1, 0.05, &out);
    assert_int_equal(out.verdict, SSW_EQUIVALENCE_TOO_FEW);
    assert_near(out.mean, 0.5, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_r), cmocka_unit_test(without_scatter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
