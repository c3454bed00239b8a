/* SentencePiece's unigram model: of all ways to cut a text into tokens, the one whose scores add up to most.
 *
 * Source: Kudo, 2018 (arXiv:1804.10959); SentencePiece's normalizer.cc and unigram_model.cc. The text is
 * normalised first, then one pass from left to right keeps for every place the best way to get there
 * (Viterbi), so that the time is linear in the text: at each place only tokens up to the longest of the
 * vocabulary are looked at. A character without a token costs more than any token; it is written in byte
 * tokens, or a run of them as one unknown token. Equal sums: the way that was found first stays. Sums are
 * kept as floats and compared as doubles, as SentencePiece does: the rounding decides between ways that would
 * be equal. */
#include "token/unigram.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "token/charsmap.h"
#include "token/utf8.h"

enum { TOKEN_BYTES_MAX = 256 };
#define UNKNOWN_PENALTY 10.0F                              /* below the worst token's score */
#define NORMALISED_MAX  (4 * SSW_TOKENIZER_TEXT_BYTES_MAX) /* bytes */

struct ssw_unigram {
    int32_t *ids; /* [n_ids] tokens that a text is cut into, sorted by their bytes */
    size_t n_ids;
    float *scores; /* [n_vocab] */
    float unknown_score;
    ssw_charsmap charsmap;
    bool removes_extra_spaces; /* at the ends, and of several all but one */
};

/* The best way to a place. */
typedef struct way {
    float score;
    uint32_t from;
    int32_t id; /* SSW_TOKEN_NONE: a character without a token */
} way;

/* ---- loading ---- */

static ssw_status list_tokens(const ssw_tokenizer *tokenizer, ssw_unigram *unigram, ssw_error *err)
{
    float worst = 0;
    for (int32_t id = 0; id < tokenizer->n_vocab; id++) {
        const ssw_token_entry *entry = &tokenizer->entries[id];
        if (entry->type != SSW_TOKEN_NORMAL || entry->n_bytes == 0 ||
            ssw_tokenizer_find_normal(tokenizer, tokenizer->bytes + entry->offset, entry->n_bytes) != id)
            continue; /* the first of equal tokens is the one */
        if (entry->n_bytes > TOKEN_BYTES_MAX)
            return ssw_error_set(err, SSW_ERR_LIMIT, "token %d is longer than %d bytes", id, TOKEN_BYTES_MAX);
        float score = unigram->scores[id];
        if (!(score >= -1e30F && score <= 1e30F))
            return ssw_error_set(err, SSW_ERR_FORMAT, "tokenizer.ggml.scores: token %d's is not a number",
                                 id);
        worst = unigram->n_ids == 0 || score < worst ? score : worst;
        unigram->ids[unigram->n_ids++] = id;
    }
    unigram->unknown_score = worst - UNKNOWN_PENALTY;
    ssw_tokenizer_sort_ids(tokenizer, unigram->ids, unigram->n_ids);
    return SSW_OK;
}

static ssw_status load_charsmap(const ssw_gguf *gguf, ssw_charsmap *map, ssw_error *err)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(gguf, "tokenizer.ggml.precompiled_charsmap");
    if (!key || ssw_gguf_array_length(key) == 0)
        return SSW_OK;
    ssw_gguf_type type = ssw_gguf_array_type(key);
    if (type != SSW_GGUF_I8 && type != SSW_GGUF_U8)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "tokenizer.ggml.precompiled_charsmap is not a list of bytes");
    return ssw_charsmap_init(map, ssw_gguf_array_data(key), (size_t)ssw_gguf_array_length(key), err);
}

ssw_status ssw_unigram_open(const ssw_tokenizer *tokenizer, const ssw_gguf *gguf, const void *scores,
                            ssw_unigram **out, ssw_error *err)
{
    size_t n_vocab = (size_t)tokenizer->n_vocab;
    ssw_unigram *unigram = calloc(1, sizeof *unigram);
    ssw_status status = SSW_ERR_NOMEM;
    *out = NULL;
    if (unigram) {
        unigram->ids = malloc(n_vocab * sizeof *unigram->ids);
        unigram->scores = malloc(n_vocab * sizeof *unigram->scores);
    }
    if (!unigram || !unigram->ids || !unigram->scores) {
        ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu scores", n_vocab);
        goto cleanup;
    }
    memcpy(unigram->scores, scores, n_vocab * sizeof *unigram->scores);
    ssw_gguf_read_bool(ssw_gguf_find_key(gguf, "tokenizer.ggml.remove_extra_whitespaces"),
                       &unigram->removes_extra_spaces);
    status = list_tokens(tokenizer, unigram, err);
    if (status == SSW_OK)
        status = load_charsmap(gguf, &unigram->charsmap, err);
    if (status != SSW_OK)
        goto cleanup;
    *out = unigram;
    unigram = NULL;
cleanup:
    ssw_unigram_close(unigram);
    return status;
}

void ssw_unigram_close(ssw_unigram *unigram)
{
    if (!unigram)
        return;
    ssw_charsmap_deinit(&unigram->charsmap);
    free(unigram->ids);
    free(unigram->scores);
    free(unigram);
}

/* ---- normalising ---- */

/* With U+2581, which means a space, as a space. */
static void append_marked(ssw_strbuf *out, const char *text, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes;) {
        bool is_mark = ssw_sentencepiece_is_space_mark(text + at, n_bytes - at);
        ssw_strbuf_append(out, is_mark ? " " : text + at, 1);
        at += is_mark ? SSW_SENTENCEPIECE_SPACE_MARK_BYTES : 1;
    }
}

static void normalise(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes, ssw_strbuf *out)
{
    const ssw_unigram *unigram = tokenizer->unigram;
    bool has_begun = !unigram->removes_extra_spaces, after_space = unigram->removes_extra_spaces;
    if (has_begun && tokenizer->adds_space_prefix)
        ssw_strbuf_append(out, " ", 1);
    for (size_t at = 0, n_taken; at < n_bytes; at += n_taken) {
        size_t n;
        const char *piece = ssw_charsmap_match(&unigram->charsmap, text + at, n_bytes - at, &n_taken, &n);
        if (!has_begun && n == 1 && piece[0] == ' ')
            continue; /* before the text */
        if (!has_begun && tokenizer->adds_space_prefix)
            ssw_strbuf_append(out, " ", 1);
        has_begun = true;
        while (after_space && n > 0 && piece[0] == ' ')
            piece++, n--;
        append_marked(out, piece, n);
        if (n > 0)
            after_space = unigram->removes_extra_spaces && piece[n - 1] == ' ';
    }
    while (unigram->removes_extra_spaces && out->n_bytes > 0 && out->data[out->n_bytes - 1] == ' ')
        out->data[--out->n_bytes] = '\0';
}

/* ---- cutting ---- */

static void offer(way *ways, size_t from, size_t to, double score, int32_t id)
{
    if (ways[to].from == UINT32_MAX || score > (double)ways[to].score)
        ways[to] = (way){(float)score, (uint32_t)from, id};
}

/* All tokens that begin at `at`, and the character itself where it is none. */
static void offer_tokens(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes, size_t at,
                         size_t n_character, way *ways)
{
    const ssw_unigram *unigram = tokenizer->unigram;
    ssw_tokenizer_range range = {unigram->ids, 0, unigram->n_ids};
    bool has_character = false;
    for (size_t depth = 0; at + depth < n_bytes; depth++) {
        int32_t id;
        if (!ssw_tokenizer_narrow(tokenizer, &range, depth, text[at + depth], &id))
            break;
        if (id == SSW_TOKEN_NONE)
            continue;
        offer(ways, at, at + depth + 1, (double)ways[at].score + (double)unigram->scores[id], id);
        has_character = has_character || depth + 1 == n_character;
    }
    if (!has_character)
        offer(ways, at, at + n_character, (double)(ways[at].score + unigram->unknown_score), SSW_TOKEN_NONE);
}

/* Turns the best way to `end` round: `from` of each place on it becomes the place after it. Returns the first
 * place after the beginning. */
static uint32_t turn_round(way *ways, uint32_t end)
{
    uint32_t next = end;
    for (uint32_t at = end; at > 0;) {
        uint32_t from = ways[at].from;
        ways[at].from = next;
        next = at;
        at = from;
    }
    return next;
}

static ssw_status write_tokens(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes, way *ways,
                               ssw_tokens *out, ssw_error *err)
{
    ssw_status status = SSW_OK;
    bool after_unknown = false;
    uint32_t end = turn_round(ways, (uint32_t)n_bytes);
    for (size_t at = 0; at < n_bytes && status == SSW_OK;) {
        int32_t id = ways[end].id;
        size_t n_before = out->n;
        if (id != SSW_TOKEN_NONE)
            status = ssw_tokens_append(out, id, err);
        else
            status = ssw_sentencepiece_append_bytes(tokenizer, text + at, end - at, out, err);
        bool is_unknown =
            status == SSW_OK && id == SSW_TOKEN_NONE && out->ids[out->n - 1] == tokenizer->unknown;
        if (is_unknown && after_unknown)
            out->n = n_before;
        after_unknown = is_unknown;
        at = end;
        end = ways[end].from;
    }
    return status;
}

ssw_status ssw_unigram_encode(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                              ssw_tokens *out, ssw_error *err)
{
    ssw_strbuf normal;
    way *ways = NULL;
    ssw_strbuf_init(&normal, NORMALISED_MAX);
    normalise(tokenizer, text, n_bytes, &normal);
    ssw_status status = ssw_strbuf_check(&normal, "the normalised text", err);
    if (status != SSW_OK || normal.n_bytes == 0)
        goto cleanup;
    size_t n = normal.n_bytes;
    ways = malloc((n + 1) * sizeof *ways);
    if (!ways) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a text of %zu bytes", n);
        goto cleanup;
    }
    for (size_t i = 0; i <= n; i++)
        ways[i] = (way){.from = UINT32_MAX};
    ways[0].from = 0;
    for (size_t at = 0; at < n;) {
        size_t n_character = ssw_utf8_first_bytes(normal.data + at, n - at);
        offer_tokens(tokenizer, normal.data, n, at, n_character, ways);
        at += n_character;
    }
    status = write_tokens(tokenizer, normal.data, n, ways, out, err);
cleanup:
    free(ways);
    ssw_strbuf_deinit(&normal);
    return status;
}
