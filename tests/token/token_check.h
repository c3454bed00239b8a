/* Shared by the tests of tokenizers: a small vocabulary opened, how a text is cut, and a megabyte of one
 * thing. */
#ifndef SSW_TESTS_TOKEN_CHECK_H
#define SSW_TESTS_TOKEN_CHECK_H

#include "token/tokenizer.h"
#include "token_files.h"

/* Fails the running test if the vocabulary is refused. The caller closes it. */
ssw_tokenizer *open_vocabulary(const vocab_options *options);

/* The text's tokens are these, written with a bar between them. */
void expect_split(const ssw_tokenizer *tokenizer, const char *text, bool parse_special, const char *expected);
/* And they decode to `back`. */
void expect_split_and_back(const ssw_tokenizer *tokenizer, const char *text, bool parse_special,
                           const char *expected, const char *back);

/* Encodes 1 MiB of `unit`, then `end`, and returns the number of tokens. The bound is wide, for sanitizers
 * and busy machines: quadratic work on a megabyte would take minutes. */
size_t count_tokens_of_megabyte(const ssw_tokenizer *tokenizer, const char *unit, const char *end);

#endif
