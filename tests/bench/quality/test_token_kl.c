/* KL from top-k lists: a position worked out by Python 3 with the formula of token_kl.h, the full vocabulary
 * (then it is the KL itself), the bound (never above the true KL, for random distributions whose full tables
 * are known), and where the comparison stops. */
#include "../../cmocka_all.h"
#include "../near.h"

#include <stdbool.h>
#include <stdlib.h>

#include "bench/quality/token_kl.h"

static json_t *item_of(const char *token, size_t n, const char *const *names, const double *p)
{
    json_t *top = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(top, json_pack("{s:s, s:f}", "token", names[i], "logprob", log(p[i])));
    return json_pack("{s:s, s:o}", "token", token, "top_logprobs", top);
}

static ssw_token_kl kl_of(json_t *a, json_t *b)
{
    ssw_token_kl out = {0};
    assert_int_equal(ssw_token_kl_add(a, b, &out, NULL), SSW_OK);
    json_decref(a);
    json_decref(b);
    return out;
}

/* P = {a: 0.5, b: 0.3, c: 0.15, ...}, Q = {a: 0.4, b: 0.4, d: 0.1, ...}: shared a and b, rest 0.2 each.
 * 0.5 ln(0.5 / 0.4) + 0.3 ln(0.3 / 0.4) + 0.2 ln(0.2 / 0.2) = 0.02526715392157057 */
static void worked_example(void **state)
{
    (void)state;
    json_t *p = item_of("a", 3, (const char *[]){"a", "b", "c"}, (double[]){0.5, 0.3, 0.15});
    json_t *q = item_of("a", 3, (const char *[]){"b", "a", "d"}, (double[]){0.4, 0.4, 0.1});
    ssw_token_kl out = kl_of(json_pack("[o]", p), json_pack("[o]", q));
    assert_int_equal(out.n_positions, 1);
    assert_near(out.sum_nats, 0.02526715392157057, 1e-12);
    assert_near(out.rest_sum, 0.2, 1e-12);
}

static void full_vocabulary(void **state)
{
    (void)state;
    json_t *p = item_of("a", 2, (const char *[]){"a", "b"}, (double[]){0.75, 0.25});
    json_t *q = item_of("a", 2, (const char *[]){"a", "b"}, (double[]){0.5, 0.5});
    ssw_token_kl out = kl_of(json_pack("[o]", p), json_pack("[o]", q));
    assert_near(out.sum_nats, 0.75 * log(1.5) + 0.25 * log(0.5), 1e-12);
    assert_near(out.rest_sum, 0, 1e-12);
}

/* Items are compared up to and with the first token that differs: there the text before is still the same. */
static void stops_at_divergence(void **state)
{
    (void)state;
    const char *names[] = {"a", "b"};
    const double p[] = {0.75, 0.25}, q[] = {0.5, 0.5};
    json_t *a = json_pack("[o, o, o]", item_of("a", 2, names, p), item_of("a", 2, names, p),
                          item_of("a", 2, names, p));
    json_t *b = json_pack("[o, o, o]", item_of("a", 2, names, q), item_of("b", 2, names, q),
                          item_of("a", 2, names, q));
    assert_int_equal(kl_of(a, b).n_positions, 2);
    assert_int_equal(kl_of(NULL, json_array()).n_positions, 0);
}

/* Tokens that are parts of one character print alike and have other bytes. */
static void tells_tokens_by_bytes(void **state)
{
    (void)state;
    const char *form = "[{s:s, s:[i], s:[{s:s, s:[i], s:f}]}]";
    json_t *a = json_pack(form, "token", "?", "bytes", 200, "top_logprobs", "token", "?", "bytes", 200,
                          "logprob", log(0.5));
    json_t *b = json_pack(form, "token", "?", "bytes", 201, "top_logprobs", "token", "?", "bytes", 201,
                          "logprob", log(0.25));
    ssw_token_kl out = kl_of(a, b); /* nothing shared: one bucket of 1 each */
    assert_near(out.rest_sum, 1, 1e-12);
    assert_near(out.sum_nats, 0, 1e-12);
}

enum { VOCABULARY = 16 };

static void random_distribution(unsigned *seed, double *p)
{
    double sum = 0;
    for (size_t i = 0; i < VOCABULARY; i++)
        sum += p[i] = exp(6.0 * rand_r(seed) / RAND_MAX);
    for (size_t i = 0; i < VOCABULARY; i++)
        p[i] /= sum;
}

/* One position with the k likeliest tokens of p. */
static json_t *top_of(const double *p, size_t k)
{
    static const char *const alphabet[] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                           "i", "j", "k", "l", "m", "n", "o", "p"};
    const char *names[VOCABULARY];
    double values[VOCABULARY];
    bool taken[VOCABULARY] = {false};
    for (size_t i = 0; i < k; i++) {
        size_t best = VOCABULARY;
        for (size_t j = 0; j < VOCABULARY; j++) {
            if (!taken[j] && (best == VOCABULARY || p[j] > p[best]))
                best = j;
        }
        taken[best] = true;
        names[i] = alphabet[best];
        values[i] = p[best];
    }
    return json_pack("[o]", item_of("a", k, names, values));
}

static void never_above_the_true_kl(void **state)
{
    (void)state;
    unsigned seed = 7;
    double gap = 0;
    for (int round = 0; round < 500; round++) {
        double p[VOCABULARY], q[VOCABULARY], truth = 0;
        random_distribution(&seed, p);
        random_distribution(&seed, q);
        for (size_t i = 0; i < VOCABULARY; i++)
            truth += p[i] * log(p[i] / q[i]);
        for (size_t k = 1; k <= VOCABULARY; k++) {
            ssw_token_kl out = kl_of(top_of(p, k), top_of(q, k));
            assert_true(out.sum_nats <= truth + 1e-9 && out.sum_nats >= -1e-9);
            if (k == VOCABULARY)
                assert_near(out.sum_nats, truth, 1e-9);
            if (k == 4)
                gap += truth - out.sum_nats;
        }
    }
    assert_true(gap > 1); /* the bound is a bound, not the value */
}

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[{}]", "[{\"token\": 1}]", "[{\"token\": \"a\", \"top_logprobs\": 3}]",
        "[{\"token\": \"a\", \"top_logprobs\": [{\"token\": \"a\"}]}]",
        "[{\"token\": \"a\", \"top_logprobs\": [{\"token\": \"a\", \"logprob\": 2}]}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ssw_token_kl out = {0};
        ssw_error err;
        json_t *a = json_loads(bad[i], 0, NULL);
        assert_int_equal(ssw_token_kl_add(a, a, &out, &err), SSW_ERR_FORMAT);
        json_decref(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_example),          cmocka_unit_test(full_vocabulary),
        cmocka_unit_test(stops_at_divergence),     cmocka_unit_test(tells_tokens_by_bytes),
        cmocka_unit_test(never_above_the_true_kl), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
