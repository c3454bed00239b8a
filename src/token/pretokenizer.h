/* Cuts text into the words that byte-pair merging works within.
 *
 * The regular expressions are the publishers': GPT-2's encoder.py ("gpt-2"), and o200k_base of tiktoken
 * ("gpt-4o"). llama.cpp runs a simplified form of the latter, in which combining marks and cased letters
 * outside ASCII part differently; we keep to the publisher's. They run on PCRE2, compiled to machine code
 * where the platform allows. Immutable after open: any thread may use it, each with its own cutter. */
#ifndef SSW_TOKEN_PRETOKENIZER_H
#define SSW_TOKEN_PRETOKENIZER_H

#include <stddef.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssw_pretokenizer ssw_pretokenizer;

/* name: tokenizer.ggml.pre of the GGUF. SSW_ERR_UNSUPPORTED for one that is not known. */
ssw_status ssw_pretokenizer_open(const char *name, ssw_pretokenizer **out, ssw_error *err);
void ssw_pretokenizer_close(ssw_pretokenizer *pretokenizer); /* NULL is allowed */

/* One walk over one text. */
typedef struct ssw_pretokenizer_walk {
    const ssw_pretokenizer *pretokenizer;
    void *match_data, *match_context; /* PCRE2's */
    const char *text;
    size_t n_bytes, at;
    size_t valid_end; /* text[at .. valid_end) is valid UTF-8 */
} ssw_pretokenizer_walk;

ssw_status ssw_pretokenizer_begin(const ssw_pretokenizer *pretokenizer, const char *text, size_t n_bytes,
                                  ssw_pretokenizer_walk *walk, ssw_error *err);
/* The next word; *n_word is 0 at the end. Words follow each other without gaps. Bytes that are not UTF-8 come
 * as words of their own. */
ssw_status ssw_pretokenizer_next(ssw_pretokenizer_walk *walk, const char **word, size_t *n_word,
                                 ssw_error *err);
void ssw_pretokenizer_end(ssw_pretokenizer_walk *walk);

#ifdef __cplusplus
}
#endif
#endif
