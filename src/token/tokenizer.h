/* Text to token ids and back, from a GGUF's own metadata.
 *
 * Byte-level BPE (tokenizer.ggml.model = "gpt2") with the pre-tokenizers of pretokenizer.h, whose Unicode
 * regular expressions run on PCRE2; SentencePiece BPE with byte fallback (tokenizer.ggml.model = "llama"),
 * and its unigram model ("t5"). Source: the keys tokenizer.ggml.* of the GGUF specification; byte-level BPE
 * as published with GPT-2 (Radford et al., 2019). Encoding is linear in practice: O(n log n) for any input,
 * one letter repeated a megabyte included. A tokenizer is immutable after open and may be used from any
 * thread; it copies what it needs, so the GGUF may be closed. */
#ifndef SSW_TOKEN_TOKENIZER_H
#define SSW_TOKEN_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "gguf/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SSW_TOKENIZER_VOCAB_MAX = 1 << 20 };
#define SSW_TOKENIZER_TEXT_BYTES_MAX (UINT64_C(64) << 20)
#define SSW_TOKEN_NONE               (-1)

typedef struct ssw_tokenizer ssw_tokenizer;

typedef struct ssw_tokens { /* a growable list of ids */
    int32_t *ids;
    size_t n;
    size_t capacity;
} ssw_tokens;

void ssw_tokens_deinit(ssw_tokens *tokens);
ssw_status ssw_tokens_append(ssw_tokens *tokens, int32_t id, ssw_error *err);

typedef struct ssw_token_special { /* SSW_TOKEN_NONE when the model has none */
    int32_t bos, eos, eot, pad;
    bool add_bos; /* a plain prompt begins with bos; encode leaves that to its caller, rendered chats do
                     without */
} ssw_token_special;

ssw_status ssw_tokenizer_open(const ssw_gguf *gguf, ssw_tokenizer **out, ssw_error *err);
void ssw_tokenizer_close(ssw_tokenizer *tokenizer);

/* Appends the ids of text to out. parse_special: recognise control tokens such as <|start|> written in the
 * text (for rendered chats); without it they are plain text (for what users type). User-defined tokens that
 * are not of that form are recognised always. Invalid UTF-8 is encoded by its bytes, in the unigram
 * model as U+FFFD. On an error out is as
 * before. */
ssw_status ssw_tokenizer_encode(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                bool parse_special, ssw_tokens *out, ssw_error *err);

/* The bytes of one token (not always whole characters), borrowed. Control tokens give their written form. */
const char *ssw_tokenizer_piece(const ssw_tokenizer *tokenizer, int32_t id, size_t *n_bytes);
bool ssw_tokenizer_is_control(const ssw_tokenizer *tokenizer, int32_t id);
bool ssw_tokenizer_is_end(const ssw_tokenizer *tokenizer,
                          int32_t id); /* ends generation: eos, eot, <|return|>, <|call|> ... */
int32_t ssw_tokenizer_find(const ssw_tokenizer *tokenizer,
                           const char *piece); /* the token of exactly these bytes */
int32_t ssw_tokenizer_vocab_size(const ssw_tokenizer *tokenizer);
ssw_token_special ssw_tokenizer_special(const ssw_tokenizer *tokenizer);

/* Whole-text inverse of encode, byte for byte (in SentencePiece U+2581 comes back as a space); control tokens
 * are written only if with_special. */
ssw_status ssw_tokenizer_decode(const ssw_tokenizer *tokenizer, const int32_t *ids, size_t n,
                                bool with_special, ssw_strbuf *out, ssw_error *err);

/* Streaming: holds back the bytes of an unfinished UTF-8 character, so that what comes out is always whole
 * characters. Bytes that can never become one come out as U+FFFD. */
typedef struct ssw_detokenizer {
    const ssw_tokenizer *tokenizer; /* borrowed */
    char pending[4];
    size_t n_pending;
    bool begins; /* a leading space comes from encoding */
} ssw_detokenizer;

/* What follows continues a text. */
void ssw_detokenizer_init(ssw_detokenizer *detokenizer, const ssw_tokenizer *tokenizer);
/* What follows begins one: the space that SentencePiece puts before a text is left out. So it is after every
 * control token. */
void ssw_detokenizer_begin_text(ssw_detokenizer *detokenizer);
/* Appends to out the characters that are now complete. A control token ends what is pending and appends
 * nothing. */
void ssw_detokenizer_push(ssw_detokenizer *detokenizer, int32_t id, ssw_strbuf *out);
void ssw_detokenizer_push_byte(ssw_detokenizer *detokenizer, char byte, ssw_strbuf *out);
void ssw_detokenizer_flush(ssw_detokenizer *detokenizer,
                           ssw_strbuf *out); /* at the end: pending bytes as U+FFFD */

#ifdef __cplusplus
}
#endif
#endif
