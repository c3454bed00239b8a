/* The sampler against a plain restatement of the chain that sorts the whole vocabulary and gives each token's
 * exact probability; draws are compared with it by a chi-square statistic. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sampler.h"

enum { VOCAB_MAX = 1000, DRAWS = 4000 };

static uint64_t test_random_state = 88172645463325252u;

static double test_random(void)
{
    test_random_state ^= test_random_state << 13;
    test_random_state ^= test_random_state >> 7;
    test_random_state ^= test_random_state << 17;
    return (double)(test_random_state >> 11) * 0x1.0p-53;
}

typedef struct ranked {
    double logit;
    int token;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->token - y->token;
}

/* probabilities[n_vocab] by the definition: penalty, top-k, top-p, min-p, temperature. */
static void define_probabilities(const ssw_sampling *sampling, const float *logits, int n_vocab,
                                 const int32_t *recent, int n_recent, double *probabilities)
{
    static ranked all[VOCAB_MAX];
    for (int i = 0; i < n_vocab; i++) {
        double logit = (double)logits[i];
        bool is_recent = false;
        for (int j = 0; j < n_recent; j++)
            is_recent = is_recent || recent[j] == i;
        if (is_recent)
            logit = logit > 0 ? logit / (double)sampling->repeat_penalty
                              : logit * (double)sampling->repeat_penalty;
        all[i] = (ranked){logit, i};
        probabilities[i] = 0.0;
    }
    qsort(all, (size_t)n_vocab, sizeof *all, compare_ranked);
    int n = sampling->top_k > 0 && sampling->top_k < n_vocab ? sampling->top_k : n_vocab;
    double sum = 0.0, mass = 0.0;
    for (int i = 0; i < n; i++)
        sum += exp(all[i].logit - all[0].logit);
    for (int i = 0; i < n && sampling->top_p < 1.0f; i++) {
        mass += exp(all[i].logit - all[0].logit) / sum;
        if (mass >= (double)sampling->top_p)
            n = i + 1;
    }
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (exp(all[i].logit - all[0].logit) >= (double)sampling->min_p)
            all[kept++] = all[i];
    }
    sum = 0.0;
    for (int i = 0; i < kept; i++)
        sum += exp((all[i].logit - all[0].logit) / (double)sampling->temperature);
    for (int i = 0; i < kept; i++)
        probabilities[all[i].token] =
            exp((all[i].logit - all[0].logit) / (double)sampling->temperature) / sum;
}

/* Every drawn token is possible, and the counts fit: chi-square over the tokens expected at least five times,
 * against its mean + 5 sigma (a chance of about one in a million and a half for a right sampler; the seed is
 * fixed). */
static void check_draws(const ssw_sampling *sampling, int n_vocab, bool with_recent)
{
    static float logits[VOCAB_MAX], copy[VOCAB_MAX];
    static double probabilities[VOCAB_MAX];
    static int counts[VOCAB_MAX];
    int32_t recent[10];
    for (int i = 0; i < n_vocab; i++)
        logits[i] = (float)(6.0 * test_random() * test_random() - 1.0);
    for (int i = 0; i < 10; i++)
        recent[i] = (int32_t)(test_random() * n_vocab);
    recent[3] = recent[7];
    int n_recent = with_recent ? 10 : 0;
    define_probabilities(sampling, logits, n_vocab, recent, n_recent, probabilities);

    ssw_sampler *sampler;
    assert_int_equal(ssw_sampler_open(n_vocab, &sampler, NULL), SSW_OK);
    ssw_sampler_begin(sampler, sampling);
    for (int i = 0; i < n_recent; i++)
        ssw_sampler_accept(sampler, recent[i]);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < DRAWS; i++) {
        memcpy(copy, logits, sizeof copy);
        int32_t token = ssw_sampler_choose(sampler, copy);
        assert_true(token >= 0 && token < n_vocab);
        assert_true(probabilities[token] > 0.0);
        counts[token]++;
    }
    ssw_sampler_close(sampler);
    double chi = 0.0;
    int cells = 0;
    for (int i = 0; i < n_vocab; i++) {
        double expected = probabilities[i] * DRAWS;
        if (expected < 5.0)
            continue;
        chi += (counts[i] - expected) * (counts[i] - expected) / expected;
        cells++;
    }
    assert_true(cells > 0);
    assert_true(chi < cells + 5.0 * sqrt(2.0 * cells) + 1e-9);
}

static void draws_follow_the_chain(void **state)
{
    (void)state;
    static const ssw_sampling settings[] = {
        {.temperature = 0.8f,
         .top_k = 40,
         .top_p = 0.95f,
         .min_p = 0.05f,
         .repeat_penalty = 1.0f,
         .repeat_last_n = 64,
         .seed = 1},
        {.temperature = 1.0f,
         .top_k = 0,
         .top_p = 1.0f,
         .min_p = 0.0f,
         .repeat_penalty = 1.0f,
         .repeat_last_n = 0,
         .seed = 2},
        {.temperature = 1.0f,
         .top_k = 5,
         .top_p = 1.0f,
         .min_p = 0.0f,
         .repeat_penalty = 1.0f,
         .repeat_last_n = 0,
         .seed = 3},
        {.temperature = 1.0f,
         .top_k = 0,
         .top_p = 0.5f,
         .min_p = 0.0f,
         .repeat_penalty = 1.0f,
         .repeat_last_n = 0,
         .seed = 4},
        {.temperature = 0.5f,
         .top_k = 0,
         .top_p = 0.97f,
         .min_p = 0.0f,
         .repeat_penalty = 1.0f,
         .repeat_last_n = 0,
         .seed = 5},
        {.temperature = 1.5f,
         .top_k = 0,
         .top_p = 1.0f,
         .min_p = 0.2f,
         .repeat_penalty = 1.0f,
         .repeat_last_n = 0,
         .seed = 6},
        {.temperature = 1.0f,
         .top_k = 100,
         .top_p = 0.9f,
         .min_p = 0.1f,
         .repeat_penalty = 1.4f,
         .repeat_last_n = 64,
         .seed = 7},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        check_draws(&settings[i], 7, i == 6);
        check_draws(&settings[i], 257, i == 6);
        check_draws(&settings[i], VOCAB_MAX, i == 6);
    }
}

static void greedy_takes_the_largest(void **state)
{
    (void)state;
    ssw_sampler *sampler;
    assert_int_equal(ssw_sampler_open(6, &sampler, NULL), SSW_OK);
    ssw_sampling sampling;
    ssw_sampling_init(&sampling);
    sampling.temperature = 0.0f;
    ssw_sampler_begin(sampler, &sampling);
    float plain[] = {0.5f, NAN,      3.0f,
                     3.0f, INFINITY, -2.0f}; /* ties go to the lower id, infinities are no logits */
    assert_int_equal(ssw_sampler_choose(sampler, plain), 2);
    float none[] = {NAN, NAN, -INFINITY, -INFINITY, INFINITY, NAN};
    assert_int_equal(ssw_sampler_choose(sampler, none), -1);
    sampling.temperature = 1.0f;
    ssw_sampler_begin(sampler, &sampling);
    assert_int_equal(ssw_sampler_choose(sampler, none), -1);
    float one[] = {NAN, NAN, -INFINITY, -5.0f, INFINITY, NAN};
    assert_int_equal(ssw_sampler_choose(sampler, one), 3);
    ssw_sampler_close(sampler);
}

static void penalty_forgets(void **state)
{
    (void)state;
    ssw_sampler *sampler;
    assert_int_equal(ssw_sampler_open(4, &sampler, NULL), SSW_OK);
    ssw_sampling sampling;
    ssw_sampling_init(&sampling);
    sampling.temperature = 0.0f;
    sampling.repeat_penalty = 2.0f;
    sampling.repeat_last_n = 2;
    ssw_sampler_begin(sampler, &sampling);
    float logits[] = {4.0f, 3.0f, -1.0f, 1.0f};
    ssw_sampler_accept(sampler, 0);
    ssw_sampler_accept(sampler, 0);
    ssw_sampler_accept(sampler, 99);
    ssw_sampler_accept(sampler, -1);
    assert_int_equal(ssw_sampler_choose(sampler, logits), 1); /* 4 counts once: 4 / 2 = 2 < 3 */
    assert_true(logits[0] == 2.0f);
    ssw_sampler_accept(sampler, 1);
    float again[] = {4.0f, 3.0f, -1.0f, 1.0f};
    assert_int_equal(ssw_sampler_choose(sampler, again), 0); /* 2 against 1.5 */
    ssw_sampler_accept(sampler, 2);
    float forgotten[] = {4.0f, 3.0f, -1.0f, 1.0f};
    assert_int_equal(ssw_sampler_choose(sampler, forgotten), 0); /* 0 has left the ring */
    assert_true(forgotten[0] == 4.0f && forgotten[1] == 1.5f && forgotten[2] == -2.0f);
    ssw_sampler_begin(sampler, &sampling);
    float fresh[] = {4.0f, 3.0f, -1.0f, 1.0f};
    ssw_sampler_choose(sampler, fresh);
    assert_true(fresh[1] == 3.0f && fresh[2] == -1.0f);
    ssw_sampler_close(sampler);
}

static void list_largest(const float *logits, int n_vocab, ssw_top_logit *top)
{
    static ranked all[VOCAB_MAX];
    int n = 0;
    for (int i = 0; i < n_vocab; i++) {
        if (isfinite(logits[i]))
            all[n++] = (ranked){(double)logits[i], i};
    }
    qsort(all, (size_t)n, sizeof *all, compare_ranked);
    for (int k = 0; k < SSW_ENGINE_TOP_LOGITS; k++)
        top[k] = k < n ? (ssw_top_logit){(float)all[k].logit, all[k].token} : (ssw_top_logit){-INFINITY, -1};
}

/* The same tokens in the same order from the largest logits as from all of them, draw after draw. */
static void largest_are_enough(void **state)
{
    enum { N_EXCLUDED = 3 };
    (void)state;
    for (int round = 0; round < 400; round++) {
        int n_vocab = round % 4 == 0 ? 50 : VOCAB_MAX, n_excluded = round % (N_EXCLUDED + 1);
        ssw_sampler *samplers[2];
        ssw_error err;
        ssw_sampling sampling = {.temperature = round % 3 == 0 ? 0.0f : (float)(0.2 + test_random()),
                                 .top_k = 1 + round % 45,
                                 .top_p = round % 5 == 0 ? 1.0f : (float)(0.3 + 0.7 * test_random()),
                                 .min_p = round % 2 == 0 ? 0.0f : 0.05f,
                                 .repeat_penalty = 1.0f,
                                 .seed = (uint64_t)round};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ssw_sampler_open(n_vocab, &samplers[i], &err), SSW_OK);
            ssw_sampler_begin(samplers[i], &sampling);
        }
        assert_false(ssw_sampler_needs_all(samplers[0], n_excluded));
        for (int draw = 0; draw < 8; draw++) {
            static float logits[VOCAB_MAX];
            ssw_top_logit top[SSW_ENGINE_TOP_LOGITS];
            int32_t excluded[N_EXCLUDED];
            for (int i = 0; i < n_vocab; i++)
                logits[i] = (float)(int)(40 * test_random()) / 4.0f; /* with ties */
            logits[7] = NAN;
            list_largest(logits, n_vocab, top);
            for (int i = 0; i < n_excluded; i++) {
                excluded[i] = top[2 * i].token;
                logits[excluded[i]] = -INFINITY;
            }
            assert_int_equal(ssw_sampler_choose_top(samplers[1], top, excluded, n_excluded),
                             ssw_sampler_choose(samplers[0], logits));
        }
        ssw_sampler_close(samplers[0]);
        ssw_sampler_close(samplers[1]);
    }
}

static void some_choices_need_all(void **state)
{
    static const struct {
        ssw_sampling sampling;
        int32_t n_excluded;
        bool needs_all;
    } cases[] = {{{.repeat_penalty = 1}, 0, false},
                 {{.repeat_penalty = 1}, 63, false},
                 {{.repeat_penalty = 1}, 64, true},
                 {{.repeat_penalty = 1.1f, .repeat_last_n = 64}, 0, true},
                 {{.temperature = 1, .top_k = 64, .repeat_penalty = 1}, 0, false},
                 {{.temperature = 1, .top_k = 64, .repeat_penalty = 1}, 1, true},
                 {{.temperature = 1, .top_k = 0, .top_p = 0.9f, .repeat_penalty = 1}, 0, true},
                 {{.temperature = 1, .top_k = 100, .repeat_penalty = 1}, 0, true}};
    ssw_sampler *sampler;
    ssw_error err;
    ssw_top_logit none[SSW_ENGINE_TOP_LOGITS];
    (void)state;
    assert_int_equal(ssw_sampler_open(100, &sampler, &err), SSW_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ssw_sampler_begin(sampler, &cases[i].sampling);
        assert_int_equal(ssw_sampler_needs_all(sampler, cases[i].n_excluded), cases[i].needs_all);
    }
    for (int i = 0; i < SSW_ENGINE_TOP_LOGITS; i++)
        none[i] = (ssw_top_logit){-INFINITY, -1};
    assert_int_equal(ssw_sampler_choose_top(sampler, none, NULL, 0), -1);
    ssw_sampler_close(sampler);
}

static void logprobs_are_log_softmax(void **state)
{
    (void)state;
    static float logits[1000];
    double sum = 0.0;
    for (int i = 0; i < 1000; i++) {
        logits[i] = (float)(20.0 * test_random() + 500.0); /* far from zero: exp would overflow unscaled */
        sum += exp((double)logits[i] - 510.0);
    }
    logits[77] = logits[500]; /* a tie */
    float logprob;
    ssw_logprob top[SSW_ENGINE_TOP_LOGPROBS_MAX];
    sum = 0.0;
    for (int i = 0; i < 1000; i++)
        sum += exp((double)logits[i] - 510.0);
    assert_int_equal(ssw_logprobs_compute(logits, 1000, 3, &logprob, top, 20), 20);
    assert_true(fabs((double)logprob - ((double)logits[3] - 510.0 - log(sum))) < 2e-4);
    for (int i = 0; i < 20; i++) {
        int n_larger = 0;
        for (int j = 0; j < 1000; j++)
            n_larger +=
                logits[j] > logits[top[i].token] || (logits[j] == logits[top[i].token] && j < top[i].token);
        assert_int_equal(n_larger, i);
        assert_true(fabs((double)top[i].logprob - ((double)logits[top[i].token] - 510.0 - log(sum))) < 2e-4);
    }
    float few[] = {1.0f, -INFINITY, NAN};
    assert_int_equal(ssw_logprobs_compute(few, 3, 1, &logprob, top, 3), 1);
    assert_true(isinf(logprob) && logprob < 0.0f && top[0].token == 0 && top[0].logprob == 0.0f);
    assert_int_equal(ssw_logprobs_compute(few, 3, 0, &logprob, top, 0), 0);
    assert_true(logprob == 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_chain), cmocka_unit_test(greedy_takes_the_largest),
        cmocka_unit_test(penalty_forgets),        cmocka_unit_test(largest_are_enough),
        cmocka_unit_test(some_choices_need_all),  cmocka_unit_test(logprobs_are_log_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
