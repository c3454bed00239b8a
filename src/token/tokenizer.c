/* Encoding, decoding and the questions about single tokens. */
#include "token/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "token/tokenizer_internal.h"
#include "token/unigram.h"

void ssw_tokens_deinit(ssw_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (ssw_tokens){0};
}

ssw_status ssw_tokens_append(ssw_tokens *tokens, int32_t id, ssw_error *err)
{
    if (tokens->n == tokens->capacity) {
        size_t capacity = tokens->capacity ? 2 * tokens->capacity : 64;
        int32_t *ids = realloc(tokens->ids, capacity * sizeof *ids);
        if (!ids)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu tokens", capacity);
        tokens->ids = ids;
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->n++] = id;
    return SSW_OK;
}

/* Text without special tokens. */
static ssw_status encode_plain(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                               ssw_bpe_workspace *workspace, ssw_tokens *out, ssw_error *err)
{
    if (tokenizer->unigram)
        return ssw_unigram_encode(tokenizer, text, n_bytes, out, err);
    if (!tokenizer->pretokenizer)
        return ssw_sentencepiece_encode(tokenizer, text, n_bytes, workspace, out, err);
    ssw_pretokenizer_walk walk;
    ssw_status status = ssw_pretokenizer_begin(tokenizer->pretokenizer, text, n_bytes, &walk, err);
    if (status != SSW_OK)
        return status;
    for (;;) {
        const char *word;
        size_t n_word;
        status = ssw_pretokenizer_next(&walk, &word, &n_word, err);
        if (status != SSW_OK || n_word == 0)
            break;
        status = ssw_bpe_merge_word(&tokenizer->bpe, workspace, word, n_word, err);
        for (uint32_t i = 0; status == SSW_OK && i != SSW_BPE_END; i = workspace->symbols[i].next)
            status = ssw_tokens_append(out, workspace->symbols[i].id, err);
        if (status != SSW_OK)
            break;
    }
    ssw_pretokenizer_end(&walk);
    return status;
}

/* The first special token at or after `at`; its place in *where, n_bytes when there is none. */
static int32_t find_special(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes, size_t at,
                            bool parse_special, size_t *where)
{
    for (; at < n_bytes; at++) {
        if (!tokenizer->special_first_bytes[(unsigned char)text[at]])
            continue;
        int32_t id = ssw_tokenizer_match_special(tokenizer, text + at, n_bytes - at, parse_special);
        if (id != SSW_TOKEN_NONE) {
            *where = at;
            return id;
        }
    }
    *where = n_bytes;
    return SSW_TOKEN_NONE;
}

size_t ssw_tokenizer_count_spaces(const char *text, size_t n_bytes)
{
    size_t n = 0;
    while (n < n_bytes && (text[n] == ' ' || (text[n] >= '\t' && text[n] <= '\r')))
        n++;
    return n;
}

ssw_status ssw_tokenizer_encode(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                bool parse_special, ssw_tokens *out, ssw_error *err)
{
    ssw_bpe_workspace workspace = {0};
    ssw_status status = SSW_OK;
    size_t n_before = out->n;
    if (n_bytes > SSW_TOKENIZER_TEXT_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a text of %zu bytes; at most %zu are tokenized", n_bytes,
                             (size_t)SSW_TOKENIZER_TEXT_BYTES_MAX);
    for (size_t at = 0; at < n_bytes && status == SSW_OK;) {
        size_t where;
        int32_t id = find_special(tokenizer, text, n_bytes, at, parse_special, &where);
        if (where > at)
            status = encode_plain(tokenizer, text + at, where - at, &workspace, out, err);
        if (status == SSW_OK && id != SSW_TOKEN_NONE) {
            status = ssw_tokens_append(out, id, err);
            where += tokenizer->entries[id].n_bytes;
            if (tokenizer->entries[id].strips_right)
                where += ssw_tokenizer_count_spaces(text + where, n_bytes - where);
        }
        at = where;
    }
    ssw_bpe_workspace_deinit(&workspace);
    if (status != SSW_OK)
        out->n = n_before;
    return status;
}

const char *ssw_tokenizer_piece(const ssw_tokenizer *tokenizer, int32_t id, size_t *n_bytes)
{
    *n_bytes = 0;
    if (id < 0 || id >= tokenizer->n_vocab)
        return "";
    *n_bytes = tokenizer->entries[id].n_bytes;
    return tokenizer->bytes + tokenizer->entries[id].offset;
}

bool ssw_tokenizer_is_control(const ssw_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->n_vocab &&
           (tokenizer->entries[id].type == SSW_TOKEN_CONTROL ||
            tokenizer->entries[id].type == SSW_TOKEN_UNKNOWN);
}

bool ssw_tokenizer_is_end(const ssw_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->n_vocab && tokenizer->entries[id].is_end;
}

int32_t ssw_tokenizer_find(const ssw_tokenizer *tokenizer, const char *piece)
{
    size_t n_bytes = strlen(piece);
    int32_t id = ssw_tokenizer_match_special(tokenizer, piece, n_bytes, true);
    if (id != SSW_TOKEN_NONE && tokenizer->entries[id].n_bytes == n_bytes)
        return id;
    return n_bytes ? ssw_tokenizer_find_normal(tokenizer, piece, n_bytes) : SSW_TOKEN_NONE;
}

int32_t ssw_tokenizer_vocab_size(const ssw_tokenizer *tokenizer)
{
    return tokenizer->n_vocab;
}

ssw_token_special ssw_tokenizer_special(const ssw_tokenizer *tokenizer)
{
    return tokenizer->special;
}

ssw_status ssw_tokenizer_decode(const ssw_tokenizer *tokenizer, const int32_t *ids, size_t n,
                                bool with_special, ssw_strbuf *out, ssw_error *err)
{
    bool begins = tokenizer->adds_space_prefix;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->n_vocab)
            return ssw_error_set(err, SSW_ERR_USAGE, "token %d is not in the vocabulary of %d", ids[i],
                                 tokenizer->n_vocab);
        const ssw_token_entry *entry = &tokenizer->entries[ids[i]];
        const char *bytes = tokenizer->bytes + entry->offset;
        bool is_literal = ssw_token_type_is_literal(entry->type);
        size_t skipped = begins && !is_literal && entry->n_bytes > 0 && bytes[0] == ' ';
        if (with_special || !ssw_tokenizer_is_control(tokenizer, ids[i]))
            ssw_strbuf_append(out, bytes + skipped, entry->n_bytes - skipped);
        begins = tokenizer->adds_space_prefix && is_literal;
    }
    return ssw_strbuf_check(out, "the decoded text", err);
}
