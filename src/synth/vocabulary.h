/* A made-up vocabulary of the model's own kind and size, with its special tokens at their published places.
 *
 * Byte-level BPE: the 256 bytes and merges that build words out of syllables ("ba", " ba", " babe", ...).
 * SentencePiece: control tokens, 256 bytes, printable ASCII and the same words, scored by rank. Any text can
 * be encoded; nothing of a published vocabulary but the special tokens is in it. */
#ifndef SSW_SYNTH_VOCABULARY_H
#define SSW_SYNTH_VOCABULARY_H

#include "base/status.h"
#include "gguf/gguf_writer.h"
#include "synth/shape.h"

/* Sets the tokenizer.* keys. With fewer tokens than published the special ones follow the last word.
 * SSW_ERR_NOMEM. */
ssw_status ssw_vocabulary_write(const ssw_shape *shape, int32_t n_vocab, ssw_gguf_writer *writer,
                                ssw_error *err);

#endif
