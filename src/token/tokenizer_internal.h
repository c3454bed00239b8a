/* What the parts of the tokenizer share; nobody else includes it.
 *
 * tokenizer_load.c fills a tokenizer from a GGUF; tokenizer.c encodes and decodes; token_special.c finds
 * control tokens in text; sentencepiece.c has what SentencePiece does otherwise, unigram.c its other model.
 */
#ifndef SSW_TOKEN_TOKENIZER_INTERNAL_H
#define SSW_TOKEN_TOKENIZER_INTERNAL_H

#include "token/bpe.h"
#include "token/pretokenizer.h"
#include "token/tokenizer.h"

/* tokenizer.ggml.token_type of the GGUF specification. */
typedef enum ssw_token_type {
    SSW_TOKEN_NORMAL = 1,
    SSW_TOKEN_UNKNOWN = 2,
    SSW_TOKEN_CONTROL = 3,
    SSW_TOKEN_USER_DEFINED = 4,
    SSW_TOKEN_UNUSED = 5,
    SSW_TOKEN_BYTE = 6
} ssw_token_type;

typedef struct ssw_token_entry {
    uint32_t offset; /* of its bytes in tokenizer->bytes */
    uint32_t n_bytes;
    unsigned char type; /* ssw_token_type */
    bool is_end;
    bool strips_right; /* white space behind it belongs to it */
} ssw_token_entry;

typedef struct ssw_unigram ssw_unigram;

struct ssw_tokenizer {
    ssw_token_entry *entries; /* [n_vocab] */
    int32_t n_vocab;
    char *bytes;       /* what the tokens stand for, end to end */
    int32_t *by_bytes; /* [n_slots] open addressing over the tokens that merging can make; SSW_TOKEN_NONE is
                          free */
    size_t n_slots;    /* a power of two */
    int32_t *specials; /* [n_specials] control and user-defined tokens, sorted by their bytes */
    size_t n_specials;
    bool special_first_bytes[256]; /* which bytes begin one of them */
    ssw_bpe_table bpe;
    ssw_pretokenizer *pretokenizer; /* NULL: SentencePiece */
    ssw_unigram *unigram;           /* NULL: BPE of either kind */
    ssw_token_special special;
    int32_t unknown;        /* SentencePiece's token for what has none; SSW_TOKEN_NONE */
    bool adds_space_prefix; /* SentencePiece: a text begins as if a space stood before it */
};

/* Control, user-defined and unknown tokens: written as they stand in the vocabulary, never made by merging.
 */
bool ssw_token_type_is_literal(int type);

/* The token that merging can make of exactly these bytes. */
int32_t ssw_tokenizer_find_normal(const ssw_tokenizer *tokenizer, const char *bytes, size_t n_bytes);

/* Control tokens match where parse_control is set, user-defined ones always. The longest at the beginning of
 * text; SSW_TOKEN_NONE when there is none. */
int32_t ssw_tokenizer_match_special(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                    bool parse_control);

/* Ids, sorted by their tokens' bytes, of which those in [low, high) begin as a text does. */
typedef struct ssw_tokenizer_range {
    const int32_t *ids;
    size_t low, high;
} ssw_tokenizer_range;

void ssw_tokenizer_sort_ids(const ssw_tokenizer *tokenizer, int32_t *ids, size_t n);
/* Keeps those of the range that agree in one byte more, at `depth`; *whole becomes the one that ends there,
 * or SSW_TOKEN_NONE. False when none is left. */
bool ssw_tokenizer_narrow(const ssw_tokenizer *tokenizer, ssw_tokenizer_range *range, size_t depth, char byte,
                          int32_t *whole);

/* White space (ASCII) at the beginning of text: what strips_right takes. */
size_t ssw_tokenizer_count_spaces(const char *text, size_t n_bytes);

/* Sorts the special tokens by their bytes. */
void ssw_tokenizer_index_specials(ssw_tokenizer *tokenizer);

/* SentencePiece. What a token stands for, into out (at most the text's own length); returns the length, or
 * SIZE_MAX for a byte token that is not written <0xHH>. */
size_t ssw_sentencepiece_decode_token(int type, const char *text, size_t n_bytes, char *out);
enum { SSW_SENTENCEPIECE_SPACE_MARK_BYTES = 3 };
bool ssw_sentencepiece_is_space_mark(const char *text, size_t n_bytes); /* U+2581 at its beginning */
/* Scores of the vocabulary (merges follow from them, or the unigram model takes them as they are), byte
 * tokens, the unknown token, the space prefix. */
ssw_status ssw_sentencepiece_load(ssw_tokenizer *tokenizer, const ssw_gguf *gguf, bool is_unigram,
                                  ssw_error *err);
/* A character without a token: its bytes, or else the unknown token. */
ssw_status ssw_sentencepiece_append_bytes(const ssw_tokenizer *tokenizer, const char *character,
                                          size_t n_bytes, ssw_tokens *out, ssw_error *err);
/* Appends the ids of a text without special tokens. */
ssw_status ssw_sentencepiece_encode(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                    ssw_bpe_workspace *workspace, ssw_tokens *out, ssw_error *err);

enum { SSW_TOKEN_SPECIAL_BYTES_MAX = 256 };

#endif
