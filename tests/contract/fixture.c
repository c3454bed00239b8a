/* See the header. */
#include "../cmocka_all.h"

#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *read_block(FILE *file, uint64_t n)
{
    void *block = malloc(n * 4);
    assert_non_null(block);
    assert_int_equal(fread(block, 4, n, file), n);
    return block;
}

void fixture_open(fixture *f, const char *name)
{
    char path[512], magic[4];
    uint32_t head[5];
    const char *folder = getenv("SSW_TEST_FIXTURES");
    assert_non_null(folder);
    memset(f, 0, sizeof *f);
    snprintf(f->model_path, sizeof f->model_path, "%s/%s.gguf", folder, name);
    snprintf(path, sizeof path, "%s/%s.bin", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    assert_int_equal(fread(magic, 1, 4, file), 4);
    assert_memory_equal(magic, "SSWF", 4);
    assert_int_equal(fread(head, 4, 5, file), 5);
    assert_int_equal(head[0], 1);
    f->n_prompt = (int32_t)head[1];
    f->n_rows = (int32_t)head[2];
    f->n_vocab = (int32_t)head[3];
    f->n_embd = (int32_t)head[4];
    f->prompt = read_block(file, head[1]);
    f->rows = read_block(file, head[2]);
    f->logits = read_block(file, (uint64_t)head[2] * head[3]);
    f->hidden = read_block(file, (uint64_t)head[2] * head[4]);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

void fixture_close(fixture *f)
{
    free(f->prompt);
    free(f->rows);
    free(f->logits);
    free(f->hidden);
}

float max_difference(const float *a, const float *b, int64_t n)
{
    float max = 0;
    for (int64_t i = 0; i < n; i++) {
        float d = fabsf(a[i] - b[i]);
        if (!(d <= max))
            max = isnan(d) ? INFINITY : d;
    }
    return max;
}

static int32_t largest(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

static double log_sum_exp(const float *logits, int32_t n)
{
    double max = (double)logits[largest(logits, n)], sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum);
}

fixture_distance fixture_compare(const fixture *f, const float *logits)
{
    fixture_distance distance = {0};
    for (int32_t row = 0; row < f->n_rows; row++) {
        const float *got = logits + (size_t)f->rows[row] * (size_t)f->n_vocab;
        const float *want = f->logits + (size_t)row * (size_t)f->n_vocab;
        double want_norm = log_sum_exp(want, f->n_vocab), got_norm = log_sum_exp(got, f->n_vocab);
        for (int32_t i = 0; i < f->n_vocab; i++) {
            double log_p = (double)want[i] - want_norm, log_q = (double)got[i] - got_norm;
            distance.mean_kl += exp(log_p) * (log_p - log_q) / f->n_rows;
        }
        float d = max_difference(got, want, f->n_vocab);
        distance.max_dlogit = d > distance.max_dlogit ? d : distance.max_dlogit;
        distance.n_same_top += largest(got, f->n_vocab) == largest(want, f->n_vocab);
    }
    return distance;
}
