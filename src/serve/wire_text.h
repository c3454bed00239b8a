/* Bytes of a model, which need not be UTF-8, as JSON strings, which must be. */
#ifndef SSW_SERVE_WIRE_TEXT_H
#define SSW_SERVE_WIRE_TEXT_H

#include <jansson.h>
#include <string.h>

#include "base/strbuf.h"

/* A new string; each byte that is no part of a UTF-8 character becomes U+FFFD. NULL when memory runs out. */
json_t *ssw_wire_text(const char *bytes, size_t n_bytes);

/* Length of the well-formed UTF-8 character at the start (RFC 3629), 0 if there is none. */
size_t ssw_wire_character(const char *bytes, size_t n_bytes);

/* Appends the value, compact, without a newline. */
void ssw_wire_append(ssw_strbuf *out, const json_t *value);

#endif
