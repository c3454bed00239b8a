/* pass@k, first divergence and cosine.
 *
 * pass@k: the paper's 1 - C(n - c, k) / C(n, k) in exact arithmetic, by Python 3:
 *   float(1 - Fraction(comb(n - c, k), comb(n, k)))
 * Cosine: Python 3, sum(x * y) / sqrt(sum(x * x)) / sqrt(sum(y * y)). */
#include "../../cmocka_all.h"
#include "../near.h"

#include "bench/quality/measures.h"

static void pass_at_k(void **state)
{
    (void)state;
    static const struct {
        int n, c, k;
        double value;
    } cases[] = {{5, 0, 1, 0},       {5, 2, 1, 0.4},
                 {5, 2, 3, 0.9},     {10, 3, 5, 0.9166666666666666},
                 {200, 1, 100, 0.5}, {200, 17, 10, 0.5974489015799118},
                 {200, 195, 10, 1},  {1000, 3, 250, 0.5785474853611127}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_near(ssw_quality_pass_at_k(cases[i].n, cases[i].c, cases[i].k), cases[i].value, 1e-12);
    assert_true(isnan(ssw_quality_pass_at_k(5, 6, 1)));
    assert_true(isnan(ssw_quality_pass_at_k(5, -1, 1)));
    assert_true(isnan(ssw_quality_pass_at_k(5, 1, 6)));
    assert_true(isnan(ssw_quality_pass_at_k(5, 1, 0)));
}

static void divergence(void **state)
{
    (void)state;
    const int32_t a[] = {1, 2, 3, 4}, b[] = {1, 2, 9, 4};
    assert_int_equal(ssw_quality_first_divergence(a, 4, a, 4), -1);
    assert_int_equal(ssw_quality_first_divergence(a, 4, b, 4), 2);
    assert_int_equal(ssw_quality_first_divergence(a, 4, a, 3), 3);
    assert_int_equal(ssw_quality_first_divergence(a, 0, a, 1), 0);
    assert_int_equal(ssw_quality_first_divergence(NULL, 0, NULL, 0), -1);
    assert_near(ssw_quality_agreement(a, 4, b, 4), 0.5, 0);
    assert_near(ssw_quality_agreement(a, 4, a, 3), 0.75, 0);
    assert_near(ssw_quality_agreement(NULL, 0, NULL, 0), 1, 0);
}

static void cosine(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3, -4}, b[] = {2, 0.5, 3, 1}, minus_a[] = {-1, -2, -3, 4}, zero[4] = {0};
    assert_near(ssw_quality_cosine(a, b, 4), 0.38692066672533953, 1e-15);
    assert_near(ssw_quality_cosine(a, a, 4), 1, 1e-15);
    assert_near(ssw_quality_cosine(a, minus_a, 4), -1, 1e-15);
    assert_true(isnan(ssw_quality_cosine(a, zero, 4)));
    assert_true(isnan(ssw_quality_cosine(a, b, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pass_at_k), cmocka_unit_test(divergence),
                                       cmocka_unit_test(cosine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
