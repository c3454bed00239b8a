/* What the parts of the GGUF reader share; nobody else includes it.
 *
 * gguf_parse.c fills one ssw_gguf_file from bytes; gguf.c owns the files, puts split sets together and
 * answers look-ups; gguf_key.c decodes values. Everything but the maps lives in one arena. */
#ifndef SSW_GGUF_INTERNAL_H
#define SSW_GGUF_INTERNAL_H

#include "base/arena.h"
#include "gguf/gguf.h"

struct ssw_gguf_key {
    const char *name; /* NUL-terminated copy */
    ssw_gguf_type type;
    ssw_gguf_type element_type; /* of an array */
    uint64_t length;            /* elements of an array, bytes of a string, otherwise 1 */
    const unsigned char *value; /* the scalar, the string's first byte or the array's first element */
    const uint64_t *starts; /* arrays of strings: [length] offsets from value to each string's length field */
};

typedef struct ssw_gguf_file {
    const char *path;
    const unsigned char *bytes;
    uint64_t n_bytes;
    bool is_mapped; /* bytes is our own map */
    uint64_t alignment_bytes;
    uint64_t data_offset_bytes;
    ssw_gguf_key *keys; /* [n_keys] in file order */
    size_t n_keys;
    const ssw_gguf_key **keys_by_name; /* [n_keys] sorted */
    ssw_gguf_tensor *tensors;          /* [n_tensors] in file order */
    size_t n_tensors;
} ssw_gguf_file;

/* Parses and checks file->bytes (path, bytes and n_bytes are set). Tensors get their split number. */
ssw_status ssw_gguf_parse_file(ssw_gguf_file *file, uint32_t split, ssw_arena *arena, ssw_error *err);

const ssw_gguf_key *ssw_gguf_find_key_in(const ssw_gguf_file *file, const char *name);

/* Bytes of one element; 0 for strings, arrays and unknown numbers. */
size_t ssw_gguf_type_bytes(uint32_t type);
const char *ssw_gguf_type_name(uint32_t type); /* "u32"; NULL for an unknown number */

uint32_t ssw_gguf_load_u32(const unsigned char *bytes);
uint64_t ssw_gguf_load_u64(const unsigned char *bytes);

/* Text of a hostile file made fit for a message: printable ASCII, shortened. */
enum { SSW_GGUF_QUOTE_MAX = 72 };
const char *ssw_gguf_quote(char out[SSW_GGUF_QUOTE_MAX], const void *text, size_t n_bytes);

#endif
