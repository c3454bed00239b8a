/* SentencePiece's BPE: of all neighbours whose union is a token, those of the best score merge first, the
 * leftmost of equals; what is left without a token is written in byte tokens.
 *
 * Source: SentencePiece (Kudo, Richardson, 2018), bpe_model.cc; the keys of the GGUF specification. A text is
 * one word to it, white space is a letter, and its merges follow from the vocabulary: every way to cut a
 * token in two others. In the vocabulary a space is written U+2581; a U+2581 in a text becomes a space.
 * Control tokens, user-defined ones and byte tokens are never made by merging. Immutable after load. */
#include <inttypes.h>
#include <string.h>

#include "token/tokenizer_internal.h"
#include "token/unigram.h"
#include "token/utf8.h"

enum {
    PIECE_BYTES_MAX = 256, /* of tokens that merging can make */
    SPACE_MARK_BYTES = SSW_SENTENCEPIECE_SPACE_MARK_BYTES
};

bool ssw_sentencepiece_is_space_mark(const char *text, size_t n_bytes)
{
    return n_bytes >= SPACE_MARK_BYTES && memcmp(text, "\xe2\x96\x81", SPACE_MARK_BYTES) == 0;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789ABCDEFabcdef";
    const char *found = c ? strchr(digits, c) : NULL;
    int value = found ? (int)(found - digits) : -1;
    return value < 16 ? value : value - 6;
}

size_t ssw_sentencepiece_decode_token(int type, const char *text, size_t n_bytes, char *out)
{
    size_t n = 0;
    if (type == SSW_TOKEN_BYTE) {
        if (n_bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || hex_digit(text[3]) < 0 ||
            hex_digit(text[4]) < 0)
            return SIZE_MAX;
        out[0] = (char)(hex_digit(text[3]) << 4 | hex_digit(text[4]));
        return 1;
    }
    for (size_t at = 0; at < n_bytes;) {
        bool is_mark = ssw_sentencepiece_is_space_mark(text + at, n_bytes - at);
        out[n++] = is_mark ? ' ' : text[at];
        at += is_mark ? SPACE_MARK_BYTES : 1;
    }
    return n;
}

/* The better the score, the lower the rank; equal scores, equal ranks. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0F; /* one zero */
    memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : ~(bits | UINT32_C(1) << 31);
}

/* Counts the cuts of a token into two others; adds them where there is a table. */
static ssw_status cut_token(ssw_tokenizer *tokenizer, int32_t id, uint32_t rank, bool add, size_t *n_cuts,
                            ssw_error *err)
{
    const ssw_token_entry *entry = &tokenizer->entries[id];
    const char *bytes = tokenizer->bytes + entry->offset;
    ssw_status status = SSW_OK;
    for (size_t at = ssw_utf8_first_bytes(bytes, entry->n_bytes); status == SSW_OK && at < entry->n_bytes;
         at += ssw_utf8_first_bytes(bytes + at, entry->n_bytes - at)) {
        int32_t left = ssw_tokenizer_find_normal(tokenizer, bytes, at);
        int32_t right =
            left < 0 ? left : ssw_tokenizer_find_normal(tokenizer, bytes + at, entry->n_bytes - at);
        if (right < 0)
            continue;
        ++*n_cuts;
        if (add)
            status = ssw_bpe_table_add(&tokenizer->bpe, left, right, rank, id, err);
    }
    return status;
}

/* Over all tokens that merging can make. */
static ssw_status cut_tokens(ssw_tokenizer *tokenizer, const unsigned char *scores, bool add, size_t *n_cuts,
                             ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (int32_t id = 0; id < tokenizer->n_vocab && status == SSW_OK; id++) {
        const ssw_token_entry *entry = &tokenizer->entries[id];
        float score;
        if (ssw_token_type_is_literal(entry->type) || entry->n_bytes < 2)
            continue;
        if (ssw_tokenizer_find_normal(tokenizer, tokenizer->bytes + entry->offset, entry->n_bytes) != id)
            continue; /* the first of equal tokens is the one */
        if (entry->n_bytes > PIECE_BYTES_MAX)
            return ssw_error_set(err, SSW_ERR_LIMIT, "token %d is longer than %d bytes", id, PIECE_BYTES_MAX);
        memcpy(&score, scores + 4 * (size_t)id, sizeof score);
        status = cut_token(tokenizer, id, rank_of(score), add, n_cuts, err);
    }
    return status;
}

ssw_status ssw_sentencepiece_load(ssw_tokenizer *tokenizer, const ssw_gguf *gguf, bool is_unigram,
                                  ssw_error *err)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(gguf, "tokenizer.ggml.scores");
    size_t n_cuts = 0, n_added = 0;
    if (!key || ssw_gguf_array_length(key) != (uint64_t)tokenizer->n_vocab ||
        ssw_gguf_array_type(key) != SSW_GGUF_F32)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "tokenizer.ggml.scores is missing or not a list of %d 32-bit floats",
                             tokenizer->n_vocab);
    const unsigned char *scores = ssw_gguf_array_data(key);
    ssw_status status = is_unigram ? ssw_unigram_open(tokenizer, gguf, scores, &tokenizer->unigram, err)
                                   : cut_tokens(tokenizer, scores, false, &n_cuts, err);
    if (status == SSW_OK)
        status = ssw_bpe_table_init(&tokenizer->bpe, n_cuts, err);
    if (status == SSW_OK && !is_unigram)
        status = cut_tokens(tokenizer, scores, true, &n_added, err);
    if (status != SSW_OK)
        return status;
    tokenizer->unknown = SSW_TOKEN_NONE;
    for (int32_t id = tokenizer->n_vocab - 1; id >= 0; id--) {
        const ssw_token_entry *entry = &tokenizer->entries[id];
        if (entry->type == SSW_TOKEN_BYTE)
            tokenizer->bpe.byte_ids[(unsigned char)tokenizer->bytes[entry->offset]] = id;
        else if (entry->type == SSW_TOKEN_UNKNOWN)
            tokenizer->unknown = id;
    }
    tokenizer->adds_space_prefix = true;
    ssw_gguf_read_bool(ssw_gguf_find_key(gguf, "tokenizer.ggml.add_space_prefix"),
                       &tokenizer->adds_space_prefix);
    if (ssw_tokenizer_find_normal(tokenizer, " ", 1) < 0)
        tokenizer->adds_space_prefix = false; /* there is none to add, or to leave out again */
    return SSW_OK;
}

/* One symbol a character. One without a token has -2 minus its offset as its id: it never merges. */
static ssw_status lay_out(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                          ssw_bpe_workspace *workspace, ssw_error *err)
{
    ssw_status status = ssw_bpe_workspace_reserve(workspace, n_bytes + 1, err);
    if (status != SSW_OK)
        return status;
    int32_t space = ssw_tokenizer_find_normal(tokenizer, " ", 1);
    uint32_t n = 0;
    if (tokenizer->adds_space_prefix)
        workspace->symbols[n++].id = space;
    for (size_t at = 0; at < n_bytes; n++) {
        size_t length = ssw_utf8_first_bytes(text + at, n_bytes - at);
        int32_t id = ssw_sentencepiece_is_space_mark(text + at, n_bytes - at)
                         ? space
                         : ssw_tokenizer_find_normal(tokenizer, text + at, length);
        workspace->symbols[n].id = id >= 0 ? id : -2 - (int32_t)at;
        at += length;
    }
    for (uint32_t i = 0; i < n; i++) {
        workspace->symbols[i].prev = i - 1; /* SSW_BPE_END before the first */
        workspace->symbols[i].next = i + 1 < n ? i + 1 : SSW_BPE_END;
    }
    workspace->n_symbols = n;
    return SSW_OK;
}

ssw_status ssw_sentencepiece_append_bytes(const ssw_tokenizer *tokenizer, const char *character,
                                          size_t n_bytes, ssw_tokens *out, ssw_error *err)
{
    bool have_all = true;
    for (size_t i = 0; i < n_bytes; i++)
        have_all = have_all && tokenizer->bpe.byte_ids[(unsigned char)character[i]] >= 0;
    if (!have_all && tokenizer->unknown == SSW_TOKEN_NONE)
        return ssw_error_set(err, SSW_ERR_FORMAT, "the vocabulary has no token for the bytes of '%.*s'",
                             (int)n_bytes, character);
    if (!have_all)
        return ssw_tokens_append(out, tokenizer->unknown, err);
    ssw_status status = SSW_OK;
    for (size_t i = 0; i < n_bytes && status == SSW_OK; i++)
        status = ssw_tokens_append(out, tokenizer->bpe.byte_ids[(unsigned char)character[i]], err);
    return status;
}

ssw_status ssw_sentencepiece_encode(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                    ssw_bpe_workspace *workspace, ssw_tokens *out, ssw_error *err)
{
    if (n_bytes == 0)
        return SSW_OK;
    ssw_status status = lay_out(tokenizer, text, n_bytes, workspace, err);
    if (status != SSW_OK)
        return status;
    ssw_bpe_merge_symbols(&tokenizer->bpe, workspace);
    for (uint32_t i = 0; status == SSW_OK && i != SSW_BPE_END; i = workspace->symbols[i].next) {
        int32_t id = workspace->symbols[i].id;
        size_t at = id < 0 ? (size_t)(-2 - id) : 0;
        status = id >= 0 ? ssw_tokens_append(out, id, err)
                         : ssw_sentencepiece_append_bytes(
                               tokenizer, text + at, ssw_utf8_first_bytes(text + at, n_bytes - at), out, err);
    }
    return status;
}
