/* UTF-8, strictly: no surrogates, no overlong forms, nothing above U+10FFFF (RFC 3629). Pure. */
#ifndef SSW_TOKEN_UTF8_H
#define SSW_TOKEN_UTF8_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SSW_UTF8_BYTES_MAX = 4 };
#define SSW_UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* What stands at the beginning of text (n_bytes > 0):
 *   > 0: a whole character of that many bytes;
 *   0: the beginning of one, cut off by the end of the text;
 *   < 0: -k bytes that can never become a character; one U+FFFD stands for them ("maximal subpart" of Unicode
 * 15, 3.9). */
int ssw_utf8_check(const char *text, size_t n_bytes);

/* Bytes of the first character (n_bytes > 0); a byte that begins none counts as one. */
size_t ssw_utf8_first_bytes(const char *text, size_t n_bytes);

/* Bytes of the longest valid beginning; an unfinished character at the end is not counted. */
size_t ssw_utf8_valid_bytes(const char *text, size_t n_bytes);

/* The code point of a whole character of `length` bytes, as ssw_utf8_check returned it. */
uint32_t ssw_utf8_decode(const char *text, int length);

/* Writes a code point (valid, below 0x110000); returns its length. */
int ssw_utf8_encode(uint32_t code_point, char out[SSW_UTF8_BYTES_MAX]);

#ifdef __cplusplus
}
#endif
#endif
