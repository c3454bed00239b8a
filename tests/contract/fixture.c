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
