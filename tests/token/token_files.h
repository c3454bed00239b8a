/* A small vocabulary as a GGUF file of the test's: all 256 bytes, some merges, harmony's control tokens and
 * others. Byte-level, or SentencePiece's. */
#ifndef SSW_TESTS_TOKEN_FILES_H
#define SSW_TESTS_TOKEN_FILES_H

#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"

/* What a test may change before the file is written; zero it for the usual one. */
typedef struct vocab_options {
    const char *pre;           /* NULL: "gpt-4o" */
    const char *chat_template; /* NULL: none */
    const char *const *merges; /* "a b" in printable form; NULL-terminated; NULL: the usual ones */
    int without_byte;          /* this byte has no token (0: all have) */
    bool without_call;         /* no <|call|> */
    bool sentencepiece;        /* pre, merges: not used; without_byte: no byte token of this one */
    bool unigram;              /* sentencepiece, in its other model */
    bool removes_extra_spaces; /* unigram */
    const void *charsmap;      /* unigram: tokenizer.ggml.precompiled_charsmap; NULL: none */
    size_t n_charsmap_bytes;
    bool without_space_prefix; /* sentencepiece */
    bool without_unknown;      /* sentencepiece: no <unk> */
    const char *architecture;  /* NULL: no general.architecture */
} vocab_options;

/* The written file's path, in a buffer of the helper's; remove_vocab_file removes it. */
const char *write_vocab_file(const vocab_options *options);
void remove_vocab_file(void);

extern const char plain_template[];     /* the demo model's */
extern const char published_template[]; /* enough of gpt-oss's to be recognised */

/* Enough of the plain formats' templates to be recognised. */
enum { PLAIN_FORMATS = 6 };
typedef struct plain_format {
    const char *name, *chat_template;
} plain_format;
extern const plain_format plain_formats[PLAIN_FORMATS];

#endif
