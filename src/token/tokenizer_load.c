/* A tokenizer from the tokenizer.ggml.* keys of a GGUF. The keys are hostile: whatever does not fit together
 * is an error that names the key. Of tokens that stand for the same bytes, merging makes the first. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "token/byte_text.h"
#include "token/tokenizer_internal.h"
#include "token/unigram.h"

enum { PROBES_MAX = 4096, PRE_BYTES_MAX = 64 };
#define VOCAB_BYTES_MAX (UINT64_C(1) << 30)

static uint64_t hash_bytes(const char *bytes, size_t n_bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, then mixed */
    for (size_t i = 0; i < n_bytes; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

/* The slot of these bytes, or the free one where they belong; n_slots when they collide too often. */
static size_t find_slot(const ssw_tokenizer *tokenizer, const char *bytes, size_t n_bytes)
{
    size_t slot = (size_t)hash_bytes(bytes, n_bytes) & (tokenizer->n_slots - 1);
    for (int probes = 0; probes < PROBES_MAX; probes++) {
        int32_t id = tokenizer->by_bytes[slot];
        if (id == SSW_TOKEN_NONE)
            return slot;
        const ssw_token_entry *entry = &tokenizer->entries[id];
        if (entry->n_bytes == n_bytes && memcmp(tokenizer->bytes + entry->offset, bytes, n_bytes) == 0)
            return slot;
        slot = (slot + 1) & (tokenizer->n_slots - 1);
    }
    return tokenizer->n_slots;
}

int32_t ssw_tokenizer_find_normal(const ssw_tokenizer *tokenizer, const char *bytes, size_t n_bytes)
{
    size_t slot = find_slot(tokenizer, bytes, n_bytes);
    return slot < tokenizer->n_slots ? tokenizer->by_bytes[slot] : SSW_TOKEN_NONE;
}

bool ssw_token_type_is_literal(int type)
{
    return type == SSW_TOKEN_CONTROL || type == SSW_TOKEN_USER_DEFINED || type == SSW_TOKEN_UNKNOWN;
}

/* <|start|>, DeepSeek's <｜User｜> and their like are control tokens whatever the file calls them: users must
 * not be able to write them. */
static int settle_type(int type, const ssw_gguf_text *text)
{
    static const char wide_bar[] = "\xef\xbd\x9c"; /* U+FF5C */
    size_t n = text->n_bytes;
    bool looks_control = n > 4 && text->bytes[0] == '<' && text->bytes[n - 1] == '>' &&
                         ((text->bytes[1] == '|' && text->bytes[n - 2] == '|') ||
                          (n > 8 && memcmp(text->bytes + 1, wide_bar, 3) == 0 &&
                           memcmp(text->bytes + n - 4, wide_bar, 3) == 0));
    return type == SSW_TOKEN_USER_DEFINED && looks_control ? SSW_TOKEN_CONTROL : type;
}

/* Types of all tokens; NULL in *types when the file has none. */
static ssw_status find_types(const ssw_gguf *gguf, uint64_t n_vocab, const unsigned char **types,
                             ssw_error *err)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(gguf, "tokenizer.ggml.token_type");
    *types = NULL;
    if (!key)
        return SSW_OK;
    ssw_gguf_type type = ssw_gguf_array_type(key);
    if (ssw_gguf_array_length(key) != n_vocab || (type != SSW_GGUF_I32 && type != SSW_GGUF_U32))
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "tokenizer.ggml.token_type is not a list of %" PRIu64 " 32-bit integers",
                             n_vocab);
    *types = ssw_gguf_array_data(key);
    return SSW_OK;
}

/* What a token's text stands for, into out. */
static size_t decode_token(const ssw_tokenizer *tokenizer, int type, const ssw_gguf_text *text, char *out)
{
    if (ssw_token_type_is_literal(type)) {
        memcpy(out, text->bytes, text->n_bytes);
        return text->n_bytes;
    }
    return tokenizer->pretokenizer ? ssw_byte_text_decode(text->bytes, text->n_bytes, out)
                                   : ssw_sentencepiece_decode_token(type, text->bytes, text->n_bytes, out);
}

static ssw_status load_tokens(ssw_tokenizer *tokenizer, const ssw_gguf *gguf, ssw_error *err)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(gguf, "tokenizer.ggml.tokens");
    uint64_t n_vocab = ssw_gguf_array_length(key), n_bytes = 0;
    const unsigned char *types;
    ssw_gguf_text text;
    if (!ssw_gguf_array_text(key, 0, &text))
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "tokenizer.ggml.tokens is missing, empty or not a list of strings");
    if (n_vocab > SSW_TOKENIZER_VOCAB_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a vocabulary of %" PRIu64 " tokens; at most %d are read",
                             n_vocab, SSW_TOKENIZER_VOCAB_MAX);
    ssw_status status = find_types(gguf, n_vocab, &types, err);
    if (status != SSW_OK)
        return status;
    for (uint64_t i = 0; ssw_gguf_array_text(key, i, &text); i++)
        n_bytes += text.n_bytes;
    if (n_bytes > VOCAB_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a vocabulary of %" PRIu64 " bytes", n_bytes);
    tokenizer->entries = calloc((size_t)n_vocab, sizeof *tokenizer->entries);
    tokenizer->specials = calloc((size_t)n_vocab, sizeof *tokenizer->specials);
    tokenizer->bytes = malloc((size_t)n_bytes + 1);
    if (!tokenizer->entries || !tokenizer->specials || !tokenizer->bytes)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %" PRIu64 " tokens", n_vocab);
    uint32_t offset = 0;
    for (uint64_t i = 0; ssw_gguf_array_text(key, i, &text); i++) {
        ssw_token_entry *entry = &tokenizer->entries[i];
        int32_t type = SSW_TOKEN_NORMAL;
        if (types)
            memcpy(&type, types + 4 * i, sizeof type);
        type =
            type >= SSW_TOKEN_NORMAL && type <= SSW_TOKEN_BYTE ? settle_type(type, &text) : SSW_TOKEN_UNUSED;
        *entry = (ssw_token_entry){.offset = offset, .type = (unsigned char)type};
        size_t n_decoded = decode_token(tokenizer, type, &text, tokenizer->bytes + offset);
        if (n_decoded == SIZE_MAX)
            return ssw_error_set(err, SSW_ERR_FORMAT, "byte token %" PRIu64 " is not written <0xHH>", i);
        entry->n_bytes = (uint32_t)n_decoded;
        offset += entry->n_bytes;
        if (ssw_token_type_is_literal(type) && entry->n_bytes > SSW_TOKEN_SPECIAL_BYTES_MAX)
            return ssw_error_set(err, SSW_ERR_LIMIT, "control token %" PRIu64 " is longer than %d bytes", i,
                                 SSW_TOKEN_SPECIAL_BYTES_MAX);
        if (ssw_token_type_is_literal(type) && entry->n_bytes > 0)
            tokenizer->specials[tokenizer->n_specials++] = (int32_t)i;
    }
    tokenizer->n_vocab = (int32_t)n_vocab;
    ssw_tokenizer_index_specials(tokenizer);
    return SSW_OK;
}

static ssw_status index_tokens(ssw_tokenizer *tokenizer, ssw_error *err)
{
    tokenizer->n_slots = 2;
    while (tokenizer->n_slots < 2 * (size_t)tokenizer->n_vocab)
        tokenizer->n_slots *= 2;
    tokenizer->by_bytes = malloc(tokenizer->n_slots * sizeof *tokenizer->by_bytes);
    if (!tokenizer->by_bytes)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %d tokens", tokenizer->n_vocab);
    for (size_t i = 0; i < tokenizer->n_slots; i++)
        tokenizer->by_bytes[i] = SSW_TOKEN_NONE;
    for (int32_t id = 0; id < tokenizer->n_vocab; id++) {
        const ssw_token_entry *entry = &tokenizer->entries[id];
        if (ssw_token_type_is_literal(entry->type) || entry->n_bytes == 0)
            continue;
        if (entry->type == SSW_TOKEN_BYTE && !tokenizer->pretokenizer)
            continue;
        size_t slot = find_slot(tokenizer, tokenizer->bytes + entry->offset, entry->n_bytes);
        if (slot == tokenizer->n_slots)
            return ssw_error_set(err, SSW_ERR_LIMIT, "the vocabulary collides too often in a hash table");
        if (tokenizer->by_bytes[slot] == SSW_TOKEN_NONE)
            tokenizer->by_bytes[slot] = id;
    }
    return SSW_OK;
}

/* Left, right and merged token of a line "left right"; false when one of them is not in the vocabulary. */
static bool parse_merge(const ssw_tokenizer *tokenizer, const ssw_gguf_text *line, char *scratch,
                        int32_t ids[3])
{
    const char *space = line->n_bytes > 1 ? memchr(line->bytes + 1, ' ', line->n_bytes - 1) : NULL;
    if (!space)
        return false;
    size_t n_left_text = (size_t)(space - line->bytes);
    size_t n_left = ssw_byte_text_decode(line->bytes, n_left_text, scratch);
    size_t n_right = ssw_byte_text_decode(space + 1, line->n_bytes - n_left_text - 1, scratch + n_left);
    if (n_left == 0 || n_right == 0)
        return false;
    ids[0] = ssw_tokenizer_find_normal(tokenizer, scratch, n_left);
    ids[1] = ssw_tokenizer_find_normal(tokenizer, scratch + n_left, n_right);
    ids[2] = ssw_tokenizer_find_normal(tokenizer, scratch, n_left + n_right);
    return ids[0] >= 0 && ids[1] >= 0 && ids[2] >= 0;
}

static ssw_status load_merges(ssw_tokenizer *tokenizer, const ssw_gguf *gguf, ssw_error *err)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(gguf, "tokenizer.ggml.merges");
    uint64_t n_merges = ssw_gguf_array_length(key);
    size_t longest = 0;
    ssw_gguf_text line;
    if (!key || (n_merges > 0 && ssw_gguf_array_type(key) != SSW_GGUF_STRING))
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "tokenizer.ggml.merges is missing or not a list of strings");
    for (uint64_t i = 0; ssw_gguf_array_text(key, i, &line); i++)
        longest = line.n_bytes > longest ? line.n_bytes : longest;
    ssw_status status = ssw_bpe_table_init(&tokenizer->bpe, (size_t)n_merges, err);
    char *scratch = malloc(longest + 1);
    if (status == SSW_OK && !scratch)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %" PRIu64 " merges", n_merges);
    for (uint64_t i = 0; status == SSW_OK && ssw_gguf_array_text(key, i, &line); i++) {
        int32_t ids[3];
        if (!parse_merge(tokenizer, &line, scratch, ids))
            status = ssw_error_set(err, SSW_ERR_FORMAT,
                                   "merge %" PRIu64 " ('%.*s') is not two tokens that make a third", i,
                                   (int)(line.n_bytes < 40 ? line.n_bytes : 40), line.bytes);
        else
            status = ssw_bpe_table_add(&tokenizer->bpe, ids[0], ids[1], (uint32_t)i, ids[2], err);
    }
    for (int byte = 0; status == SSW_OK && byte < 256; byte++) {
        char one = (char)byte;
        tokenizer->bpe.byte_ids[byte] = ssw_tokenizer_find_normal(tokenizer, &one, 1);
    }
    free(scratch);
    return status;
}

/* The id under a key; SSW_TOKEN_NONE without the key. */
static ssw_status read_id(const ssw_tokenizer *tokenizer, const ssw_gguf *gguf, const char *name,
                          int32_t *out, ssw_error *err)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(gguf, name);
    uint64_t id;
    *out = SSW_TOKEN_NONE;
    if (!key)
        return SSW_OK;
    if (!ssw_gguf_read_u64(key, &id) || id >= (uint64_t)tokenizer->n_vocab)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s is not a token of the vocabulary of %d", name,
                             tokenizer->n_vocab);
    *out = (int32_t)id;
    return SSW_OK;
}

/* Which tokens end generation: what the keys say, and the control tokens that are known to, by name, as
 * llama.cpp has it. In harmony (recognised by <|return|> and <|call|>) <|end|> only ends one message. */
static void mark_ends(ssw_tokenizer *tokenizer)
{
    static const char *const names[] = {"<|return|>",    "<|call|>",     "<|endoftext|>",   "<|eot_id|>",
                                        "<|im_end|>",    "<|eom_id|>",   "<|end_of_text|>", "<|fim_pad|>",
                                        "<|repo_name|>", "<|file_sep|>", "<|end|>"};
    enum { N_NAMES = sizeof names / sizeof names[0] };
    bool is_harmony = ssw_tokenizer_is_control(tokenizer, ssw_tokenizer_find(tokenizer, "<|return|>")) &&
                      ssw_tokenizer_is_control(tokenizer, ssw_tokenizer_find(tokenizer, "<|call|>"));
    for (int i = 0; i < N_NAMES; i++) {
        int32_t id = ssw_tokenizer_find(tokenizer, names[i]);
        if (ssw_tokenizer_is_control(tokenizer, id) && !(is_harmony && i == N_NAMES - 1))
            tokenizer->entries[id].is_end = true;
    }
    const int32_t keyed[] = {tokenizer->special.eos, tokenizer->special.eot};
    for (int i = 0; i < 2; i++) {
        if (keyed[i] != SSW_TOKEN_NONE)
            tokenizer->entries[keyed[i]].is_end = true;
    }
}

/* Phi-3's control tokens take the white space behind them with them ("rstrip" in the publisher's
 * tokenizer_config.json); the GGUF says so by its architecture only. */
static void mark_strips(ssw_tokenizer *tokenizer, const ssw_gguf *gguf)
{
    static const char *const without[] = {"<s>", "<unk>", "<|endoftext|>"};
    ssw_gguf_text name;
    if (!ssw_gguf_read_text(ssw_gguf_find_key(gguf, "general.architecture"), &name) ||
        !(ssw_gguf_text_is(&name, "phi3") || ssw_gguf_text_is(&name, "phimoe")))
        return;
    for (int32_t id = 0; id < tokenizer->n_vocab; id++)
        tokenizer->entries[id].strips_right = ssw_tokenizer_is_control(tokenizer, id);
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        int32_t id = ssw_tokenizer_find(tokenizer, without[i]);
        if (id != SSW_TOKEN_NONE)
            tokenizer->entries[id].strips_right = false;
    }
}

static ssw_status load_special(ssw_tokenizer *tokenizer, const ssw_gguf *gguf, ssw_error *err)
{
    ssw_token_special *special = &tokenizer->special;
    ssw_status status = read_id(tokenizer, gguf, "tokenizer.ggml.bos_token_id", &special->bos, err);
    if (status == SSW_OK)
        status = read_id(tokenizer, gguf, "tokenizer.ggml.eos_token_id", &special->eos, err);
    if (status == SSW_OK)
        status = read_id(tokenizer, gguf, "tokenizer.ggml.eot_token_id", &special->eot, err);
    if (status == SSW_OK)
        status = read_id(tokenizer, gguf, "tokenizer.ggml.padding_token_id", &special->pad, err);
    if (status != SSW_OK)
        return status;
    bool add_bos = !tokenizer->pretokenizer && !tokenizer->unigram; /* SentencePiece BPE's default */
    ssw_gguf_read_bool(ssw_gguf_find_key(gguf, "tokenizer.ggml.add_bos_token"), &add_bos);
    special->add_bos = add_bos && special->bos != SSW_TOKEN_NONE;
    mark_ends(tokenizer);
    mark_strips(tokenizer, gguf);
    return SSW_OK;
}

static ssw_status load_pretokenizer(ssw_tokenizer *tokenizer, const ssw_gguf *gguf, bool *is_unigram,
                                    ssw_error *err)
{
    ssw_gguf_text text;
    char name[PRE_BYTES_MAX] = "";
    if (!ssw_gguf_read_text(ssw_gguf_find_key(gguf, "tokenizer.ggml.model"), &text))
        return ssw_error_set(err, SSW_ERR_FORMAT, "tokenizer.ggml.model is missing or not a string");
    if (ssw_gguf_text_is(&text, "llama"))
        return SSW_OK; /* SentencePiece does without */
    *is_unigram = ssw_gguf_text_is(&text, "t5");
    if (*is_unigram)
        return SSW_OK;
    if (!ssw_gguf_text_is(&text, "gpt2"))
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "tokenizer.ggml.model is '%.*s'; supported are 'gpt2' (byte-level BPE), "
                             "'llama' (SentencePiece BPE) and 't5' (SentencePiece unigram)",
                             (int)(text.n_bytes < 40 ? text.n_bytes : 40), text.bytes);
    if (!ssw_gguf_read_text(ssw_gguf_find_key(gguf, "tokenizer.ggml.pre"), &text))
        return ssw_error_set(err, SSW_ERR_FORMAT, "tokenizer.ggml.pre is missing or not a string");
    memcpy(name, text.bytes, text.n_bytes < sizeof name ? text.n_bytes : sizeof name - 1);
    return ssw_pretokenizer_open(name, &tokenizer->pretokenizer, err);
}

ssw_status ssw_tokenizer_open(const ssw_gguf *gguf, ssw_tokenizer **out, ssw_error *err)
{
    *out = NULL;
    ssw_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory", ssw_gguf_file_path(gguf, 0));
    bool is_unigram = false;
    ssw_status status = load_pretokenizer(tokenizer, gguf, &is_unigram, err);
    if (status == SSW_OK)
        status = load_tokens(tokenizer, gguf, err);
    if (status == SSW_OK)
        status = index_tokens(tokenizer, err);
    if (status == SSW_OK)
        status = tokenizer->pretokenizer ? load_merges(tokenizer, gguf, err)
                                         : ssw_sentencepiece_load(tokenizer, gguf, is_unigram, err);
    if (status == SSW_OK)
        status = load_special(tokenizer, gguf, err);
    if (status != SSW_OK) {
        ssw_tokenizer_close(tokenizer);
        ssw_error_prefix(err, "%s", ssw_gguf_file_path(gguf, 0));
        return status;
    }
    *out = tokenizer;
    return SSW_OK;
}

void ssw_tokenizer_close(ssw_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    ssw_pretokenizer_close(tokenizer->pretokenizer);
    ssw_unigram_close(tokenizer->unigram);
    ssw_bpe_table_deinit(&tokenizer->bpe);
    free(tokenizer->by_bytes);
    free(tokenizer->specials);
    free(tokenizer->bytes);
    free(tokenizer->entries);
    free(tokenizer);
}
