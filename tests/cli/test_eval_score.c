/* Perplexity, KL and agreement of logits whose figures follow by hand, and saved logits: what comes back, and
 * damage of every kind.
 *
 * References: a uniform distribution's perplexity is the number of its values; KL of (1/2, 1/2) to (1/4, 3/4)
 * is ln 2 − ln 3 / 2; Wilson's interval for 81 of 263 is the example of Newcombe (1998), method 3: 0.2553 to
 * 0.3662. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/eval_score.h"
#include "cli/logits_file.h"

enum { N_VOCAB = 5, WINDOW = 9, N_WINDOWS = 2, FILE_BYTES_MAX = 4096 };

static void test_uniform(void **state)
{
    static const float flat[7] = {3, 3, 3, 3, 3, 3, 3};
    ssw_eval_score score;
    ssw_eval_result result;
    assert_int_equal(ssw_eval_score_init(&score, 2, NULL), SSW_OK);
    for (int window = 0; window < 2; window++) {
        ssw_eval_begin_window(&score);
        for (int32_t i = 0; i < 4; i++)
            assert_int_equal(ssw_eval_add_token(&score, flat, NULL, 7, i, NULL), SSW_OK);
    }
    assert_int_equal(ssw_eval_finish(&score, &result, NULL), SSW_OK);
    assert_true(fabs(result.perplexity - 7) < 1e-9);
    assert_true(fabs(result.ci_low - 7) < 1e-9 && fabs(result.ci_high - 7) < 1e-9);
    assert_true(result.standard_error < 1e-6);
    assert_int_equal(result.n_tokens, 8);
    assert_int_equal(result.n_compared, 0);
    assert_true(isnan(result.kl.mean) && isnan(result.kl_max));
    ssw_eval_score_deinit(&score);
}

static void test_known_kl(void **state)
{
    const float model[2] = {1, 1 + logf(3)}, reference[2] = {5, 5}; /* (1/4, 3/4) and (1/2, 1/2) */
    ssw_eval_score score;
    ssw_eval_result result;
    assert_int_equal(ssw_eval_score_init(&score, 1, NULL), SSW_OK);
    ssw_eval_begin_window(&score);
    assert_int_equal(ssw_eval_add_token(&score, model, reference, 2, 0, NULL), SSW_OK);
    assert_int_equal(ssw_eval_add_token(&score, model, model, 2, 1, NULL), SSW_OK);
    assert_int_equal(ssw_eval_finish(&score, &result, NULL), SSW_OK);
    double kl = log(2) - log(3) / 2; /* of the first; the second is 0 */
    assert_true(fabs(result.kl.mean - kl / 2) < 1e-6);
    assert_true(fabs(result.kl_max - kl) < 1e-6);
    assert_true(fabs(result.perplexity - sqrt(4 * 4.0 / 3)) < 1e-6);
    assert_true(fabs(result.same_top.share - 0.5) < 1e-9); /* the reference's tie goes to the first */
    assert_true(fabs(result.mean_difference - (4 + 4 - log(3)) / 2 / 2) < 1e-6);
    assert_true(fabs(result.max_difference - 4) < 1e-6);
    assert_true(isnan(result.ci_low) && isnan(result.kl.ci_low)); /* one window */
    ssw_eval_score_deinit(&score);
}

static void test_wilson_and_p99(void **state)
{
    ssw_eval_score score;
    ssw_eval_result result;
    assert_int_equal(ssw_eval_score_init(&score, 1, NULL), SSW_OK);
    ssw_eval_begin_window(&score);
    const float yes[2] = {1, 0}, no[2] = {0, 1};
    for (int i = 0; i < 263; i++)
        assert_int_equal(ssw_eval_add_token(&score, i < 81 ? yes : no, yes, 2, 0, NULL), SSW_OK);
    assert_int_equal(ssw_eval_finish(&score, &result, NULL), SSW_OK);
    assert_true(fabs(result.same_top.ci_low - 0.2553) < 5e-5);
    assert_true(fabs(result.same_top.ci_high - 0.3662) < 5e-5);
    assert_true(isnan(result.kl_p99)); /* too few */
    for (int i = 263; i < SSW_EVAL_P99_TOKENS_MIN; i++)
        assert_int_equal(ssw_eval_add_token(&score, yes, yes, 2, 0, NULL), SSW_OK);
    assert_int_equal(ssw_eval_finish(&score, &result, NULL), SSW_OK);
    assert_true(result.kl_p99 > 0.4); /* 182 of 1000 differ */
    ssw_eval_score_deinit(&score);
}

static void test_refusals(void **state)
{
    const float good[2] = {0, 1}, bad[2] = {0, INFINITY}, worse[2] = {NAN, 1};
    ssw_eval_score score;
    assert_int_equal(ssw_eval_score_init(&score, 1, NULL), SSW_OK);
    ssw_eval_begin_window(&score);
    assert_int_equal(ssw_eval_add_token(&score, bad, NULL, 2, 0, NULL), SSW_ERR_FORMAT);
    assert_int_equal(ssw_eval_add_token(&score, good, worse, 2, 0, NULL), SSW_ERR_FORMAT);
    assert_int_equal(ssw_eval_add_token(&score, good, NULL, 2, 2, NULL), SSW_ERR_FORMAT);
    assert_int_equal(ssw_eval_add_token(&score, good, NULL, 2, -1, NULL), SSW_ERR_FORMAT);
    ssw_eval_score_deinit(&score);
    assert_int_equal(ssw_eval_score_init(&score, 0, NULL), SSW_ERR_LIMIT);
    ssw_eval_score_deinit(&score);
}

static float logit_at(int row, int i)
{
    return (float)(row * 3 - i * i) + 0.37f * (float)i;
}

static void write_file(const char *path)
{
    const ssw_logits_shape shape = {N_VOCAB, WINDOW, N_WINDOWS};
    int32_t tokens[WINDOW * N_WINDOWS];
    ssw_logits_writer *writer = NULL;
    for (int i = 0; i < WINDOW * N_WINDOWS; i++)
        tokens[i] = i % N_VOCAB;
    assert_int_equal(ssw_logits_writer_open(path, &shape, tokens, &writer, NULL), SSW_OK);
    for (int row = 0; row < N_WINDOWS * ssw_logits_rows_per_window(WINDOW); row++) {
        float logits[N_VOCAB];
        for (int i = 0; i < N_VOCAB; i++)
            logits[i] = row == 0 ? 2.5f : logit_at(row, i); /* the first row is flat */
        if (row == 1)
            assert_int_equal(ssw_logits_writer_finish(writer, NULL), SSW_ERR_INTERNAL);
        assert_int_equal(ssw_logits_writer_put(writer, logits, NULL), SSW_OK);
    }
    assert_int_equal(ssw_logits_writer_finish(writer, NULL), SSW_OK);
    ssw_logits_writer_close(writer);
}

static void make_path(char path[64])
{
    strcpy(path, "/tmp/ssw-logits-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void test_file_comes_back(void **state)
{
    char path[64];
    ssw_logits_reader *reader = NULL;
    float logits[N_VOCAB];
    make_path(path);
    write_file(path);
    assert_int_equal(ssw_logits_reader_open(path, &reader, NULL), SSW_OK);
    assert_int_equal(ssw_logits_reader_shape(reader)->n_windows, N_WINDOWS);
    assert_int_equal(ssw_logits_reader_tokens(reader)[7], 7 % N_VOCAB);
    for (int row = 0; row < N_WINDOWS * ssw_logits_rows_per_window(WINDOW); row++) {
        assert_int_equal(ssw_logits_reader_next(reader, logits, NULL), SSW_OK);
        double range = row == 0 ? 0 : (double)(logit_at(row, 0) - logit_at(row, N_VOCAB - 1));
        for (int i = 0; i < N_VOCAB; i++) {
            double wanted = row == 0 ? 2.5 : (double)logit_at(row, i);
            assert_true(fabs((double)logits[i] - wanted) <= range / 131070 + 1e-5);
        }
    }
    assert_int_equal(ssw_logits_reader_next(reader, logits, NULL), SSW_ERR_FORMAT);
    ssw_logits_reader_close(reader);
    unlink(path);
}

static size_t load(const char *path, unsigned char bytes[FILE_BYTES_MAX])
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, FILE_BYTES_MAX, file);
    assert_int_equal(fclose(file), 0);
    return n;
}

static void store(const char *path, const unsigned char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Reads all that it can; true when nothing was refused. What comes out must be finite. */
static int read_whole(const char *path)
{
    ssw_logits_reader *reader = NULL;
    if (ssw_logits_reader_open(path, &reader, NULL))
        return 0;
    const ssw_logits_shape *shape = ssw_logits_reader_shape(reader);
    float *logits = malloc((size_t)shape->n_vocab * sizeof *logits);
    assert_non_null(logits);
    int ok = 1;
    for (int row = 0; ok && row < shape->n_windows * ssw_logits_rows_per_window(shape->window); row++) {
        ok = ssw_logits_reader_next(reader, logits, NULL) == SSW_OK;
        for (int32_t i = 0; ok && i < shape->n_vocab; i++)
            assert_true(isfinite(logits[i]));
    }
    free(logits);
    ssw_logits_reader_close(reader);
    return ok;
}

static void test_damaged_files(void **state)
{
    unsigned char bytes[FILE_BYTES_MAX];
    char path[64];
    make_path(path);
    write_file(path);
    size_t n = load(path, bytes);
    for (size_t cut = 0; cut < n; cut++) { /* every length but the right one */
        store(path, bytes, cut);
        assert_false(read_whole(path));
    }
    for (size_t i = 0; i < n; i++) { /* every byte turned over: refused or finite, never a crash */
        bytes[i] ^= 0xff;
        store(path, bytes, n);
        int ok = read_whole(path);
        if (i < 24) /* the header */
            assert_false(ok);
        bytes[i] ^= 0xff;
    }
    store(path, bytes, n);
    assert_true(read_whole(path));
    unlink(path);
    assert_int_equal(ssw_logits_reader_open(path, &(ssw_logits_reader *){NULL}, NULL), SSW_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform),         cmocka_unit_test(test_known_kl),
        cmocka_unit_test(test_wilson_and_p99),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_file_comes_back), cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
