/* GPT-2's way to write arbitrary bytes as printable text, in which vocabularies and merges are stored.
 *
 * Source: bytes_to_unicode in OpenAI's GPT-2 encoder.py: the printable Latin-1 bytes stand for themselves,
 * the other 68 bytes, in order, for U+0100 and up (a space is "Ġ", U+0120). Pure. */
#ifndef SSW_TOKEN_BYTE_TEXT_H
#define SSW_TOKEN_BYTE_TEXT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Decodes text into out (at most n_bytes bytes, since each character is at least as long as its byte);
 * returns the length. Characters that stand for no byte are copied as they are. */
size_t ssw_byte_text_decode(const char *text, size_t n_bytes, char *out);

#ifdef __cplusplus
}
#endif
#endif
