/* Cuts text into the words that byte-pair merging works within.
 *
 * The regular expressions are the publishers': GPT-2's encoder.py ("gpt-2"), o200k_base of tiktoken
 * ("gpt-4o"), and the tokenizer.json of Qwen2 ("qwen2"), DeepSeek LLM ("deepseek-llm") and DeepSeek-V3
 * ("deepseek-v3"). The last two are several, applied one after the other. llama.cpp runs a simplified form of
 * gpt-4o's, in which combining marks and cased letters outside ASCII part differently; we keep to the
 * publisher's. Qwen2's normalisation to NFC is left to the caller, as in llama.cpp. They run on PCRE2,
 * compiled to machine code where the platform allows. Immutable after open: any thread may use it, each with
 * its own cutter. */
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

enum { SSW_PRETOKENIZER_STAGES_MAX = 6 };

/* What one stage works on: a piece that the stage before it cut. Offsets in the text. */
typedef struct ssw_pretokenizer_part {
    size_t begin, at, end;
    size_t match_begin, match_end; /* a match ahead of `at`, when match_end is behind it */
} ssw_pretokenizer_part;

/* One walk over one text. */
typedef struct ssw_pretokenizer_walk {
    const ssw_pretokenizer *pretokenizer;
    void *match_data, *match_context; /* PCRE2's */
    const char *text;
    size_t n_bytes, at;                                       /* at: what no part covers yet */
    ssw_pretokenizer_part parts[SSW_PRETOKENIZER_STAGES_MAX]; /* [n_parts], the innermost last */
    int n_parts;
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
