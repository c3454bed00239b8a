/* SentencePiece's unigram model, a part of the tokenizer (tokenizer_internal.h). */
#ifndef SSW_TOKEN_UNIGRAM_H
#define SSW_TOKEN_UNIGRAM_H

#include "token/tokenizer_internal.h"

/* scores: [n_vocab] floats, possibly unaligned. Reads normalisation from the GGUF too. */
ssw_status ssw_unigram_open(const ssw_tokenizer *tokenizer, const ssw_gguf *gguf, const void *scores,
                            ssw_unigram **out, ssw_error *err);
void ssw_unigram_close(ssw_unigram *unigram); /* NULL is allowed */

/* Appends the ids of a text without special tokens. */
ssw_status ssw_unigram_encode(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                              ssw_tokens *out, ssw_error *err);

#endif
