/* One GGUF file, from bytes to checked keys and tensors. The bytes are hostile: `take` is the only way
 * forward, and it never passes the end; counts are held against a maximum and against what the rest of the
 * file could hold before anything is allocated for them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf_internal.h"

enum {
    ALIGNMENT_DEFAULT = 32,
    KEY_BYTES_LEAST = 8 + 1 + 4 + 1,           /* name length, name, type, one byte of value */
    TENSOR_BYTES_LEAST = 8 + 1 + 4 + 8 + 4 + 8 /* name length, name, dimensions, one of them, type, offset */
};
#define BYTES_MOST                                                                                           \
    (UINT64_C(1) << 62) /* sizes and offsets beyond it are nonsense; sums below never overflow */

typedef struct cursor {
    ssw_gguf_file *file;
    uint64_t at; /* <= file->n_bytes */
    ssw_arena *arena;
    ssw_error *err;
    char what[SSW_GGUF_QUOTE_MAX + 32]; /* for messages: what is being read */
} cursor;

#define FAIL(c, status, ...)                                                                                 \
    (ssw_error_set((c)->err, (status), __VA_ARGS__), ssw_error_prefix((c)->err, "%s", (c)->file->path),      \
     (status))

static ssw_status fail_nomem(cursor *c)
{
    return FAIL(c, SSW_ERR_NOMEM, "out of memory while reading %s", c->what);
}

static ssw_status take(cursor *c, uint64_t n_bytes, const unsigned char **out)
{
    uint64_t left = c->file->n_bytes - c->at;
    if (n_bytes > left)
        return FAIL(c, SSW_ERR_FORMAT,
                    "truncated: %s needs %" PRIu64 " bytes at offset %" PRIu64 ", %" PRIu64
                    " of them are missing",
                    c->what, n_bytes, c->at, n_bytes - left);
    *out = c->file->bytes + c->at;
    c->at += n_bytes;
    return SSW_OK;
}

static ssw_status take_u32(cursor *c, uint32_t *out)
{
    const unsigned char *bytes;
    ssw_status status = take(c, 4, &bytes);
    if (status == SSW_OK)
        *out = ssw_gguf_load_u32(bytes);
    return status;
}

static ssw_status take_u64(cursor *c, uint64_t *out)
{
    const unsigned char *bytes;
    ssw_status status = take(c, 8, &bytes);
    if (status == SSW_OK)
        *out = ssw_gguf_load_u64(bytes);
    return status;
}

static ssw_status take_text(cursor *c, uint64_t max_bytes, const unsigned char **text, uint64_t *n_bytes)
{
    ssw_status status = take_u64(c, n_bytes);
    if (status != SSW_OK)
        return status;
    if (*n_bytes > max_bytes)
        return FAIL(c, SSW_ERR_LIMIT, "%s is a string of %" PRIu64 " bytes; at most %" PRIu64 " are read",
                    c->what, *n_bytes, max_bytes);
    return take(c, *n_bytes, text);
}

/* A name: not empty, no NUL byte, copied with a NUL at its end. */
static ssw_status take_name(cursor *c, uint64_t max_bytes, const char **out)
{
    const unsigned char *text;
    uint64_t n_bytes;
    ssw_status status = take_text(c, max_bytes, &text, &n_bytes);
    if (status != SSW_OK)
        return status;
    if (n_bytes == 0 || memchr(text, 0, (size_t)n_bytes))
        return FAIL(c, SSW_ERR_FORMAT, "%s %s", c->what, n_bytes ? "contains a NUL byte" : "is empty");
    *out = ssw_arena_copy_text(c->arena, (const char *)text, (size_t)n_bytes);
    return *out ? SSW_OK : fail_nomem(c);
}

static ssw_status check_bools(cursor *c, const unsigned char *bytes, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (bytes[i] > 1)
            return FAIL(c, SSW_ERR_FORMAT, "%s holds %d as a bool; only 0 and 1 are allowed", c->what,
                        bytes[i]);
    }
    return SSW_OK;
}

/* The strings of an array: their places are indexed so that any can be found at once. */
static ssw_status parse_strings(cursor *c, ssw_gguf_key *key)
{
    uint64_t left = c->file->n_bytes - c->at;
    if (key->length > left / 8)
        return FAIL(c, SSW_ERR_FORMAT,
                    "truncated: %s has %" PRIu64 " strings, at least %" PRIu64 " bytes are missing", c->what,
                    key->length, key->length * 8 - left);
    uint64_t *starts = ssw_arena_alloc(c->arena, (size_t)key->length + 1, sizeof *starts);
    if (!starts)
        return fail_nomem(c);
    key->value = c->file->bytes + c->at;
    key->starts = starts;
    uint64_t first = c->at;
    for (uint64_t i = 0; i < key->length; i++) {
        const unsigned char *text;
        uint64_t n_bytes;
        starts[i] = c->at - first;
        ssw_status status = take_text(c, SSW_GGUF_STRING_BYTES_MAX, &text, &n_bytes);
        if (status != SSW_OK)
            return status;
    }
    return SSW_OK;
}

static ssw_status parse_array(cursor *c, ssw_gguf_key *key)
{
    uint32_t type;
    ssw_status status = take_u32(c, &type);
    if (status == SSW_OK)
        status = take_u64(c, &key->length);
    if (status != SSW_OK)
        return status;
    if (!ssw_gguf_type_name(type))
        return FAIL(c, SSW_ERR_FORMAT, "%s is an array of the unknown type %" PRIu32, c->what, type);
    if (type == SSW_GGUF_ARRAY)
        return FAIL(c, SSW_ERR_UNSUPPORTED, "%s is an array of arrays, which is not supported", c->what);
    if (key->length > SSW_GGUF_ARRAY_LENGTH_MAX)
        return FAIL(c, SSW_ERR_LIMIT, "%s has %" PRIu64 " elements; at most %" PRIu64 " are read", c->what,
                    key->length, SSW_GGUF_ARRAY_LENGTH_MAX);
    key->element_type = (ssw_gguf_type)type;
    if (type == SSW_GGUF_STRING)
        return parse_strings(c, key);
    status = take(c, key->length * ssw_gguf_type_bytes(type), &key->value);
    if (status == SSW_OK && type == SSW_GGUF_BOOL)
        status = check_bools(c, key->value, key->length);
    return status;
}

static ssw_status parse_key(cursor *c, size_t index, ssw_gguf_key *key)
{
    char quoted[SSW_GGUF_QUOTE_MAX];
    uint32_t type;
    snprintf(c->what, sizeof c->what, "the name of key %zu", index);
    ssw_status status = take_name(c, SSW_GGUF_KEY_BYTES_MAX, &key->name);
    if (status != SSW_OK)
        return status;
    snprintf(c->what, sizeof c->what, "key '%s'", ssw_gguf_quote(quoted, key->name, strlen(key->name)));
    status = take_u32(c, &type);
    if (status != SSW_OK)
        return status;
    if (!ssw_gguf_type_name(type))
        return FAIL(c, SSW_ERR_FORMAT, "%s has the unknown type %" PRIu32, c->what, type);
    key->type = (ssw_gguf_type)type;
    if (type == SSW_GGUF_ARRAY)
        return parse_array(c, key);
    if (type == SSW_GGUF_STRING)
        return take_text(c, SSW_GGUF_STRING_BYTES_MAX, &key->value, &key->length);
    key->length = 1;
    status = take(c, ssw_gguf_type_bytes(type), &key->value);
    if (status == SSW_OK && type == SSW_GGUF_BOOL)
        status = check_bools(c, key->value, 1);
    return status;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const ssw_gguf_key *const *)a)->name, (*(const ssw_gguf_key *const *)b)->name);
}

static ssw_status index_keys(cursor *c)
{
    ssw_gguf_file *file = c->file;
    char quoted[SSW_GGUF_QUOTE_MAX];
    file->keys_by_name = ssw_arena_alloc(c->arena, file->n_keys + 1, sizeof *file->keys_by_name);
    if (!file->keys_by_name)
        return fail_nomem(c);
    for (size_t i = 0; i < file->n_keys; i++)
        file->keys_by_name[i] = &file->keys[i];
    qsort(file->keys_by_name, file->n_keys, sizeof *file->keys_by_name, compare_keys);
    for (size_t i = 1; i < file->n_keys; i++) {
        const char *name = file->keys_by_name[i]->name;
        if (strcmp(file->keys_by_name[i - 1]->name, name) == 0)
            return FAIL(c, SSW_ERR_FORMAT, "key '%s' appears twice",
                        ssw_gguf_quote(quoted, name, strlen(name)));
    }
    return SSW_OK;
}

const ssw_gguf_key *ssw_gguf_find_key_in(const ssw_gguf_file *file, const char *name)
{
    const ssw_gguf_key wanted = {.name = name}, *key = &wanted;
    const ssw_gguf_key **found = file->n_keys ? bsearch(&key, file->keys_by_name, file->n_keys,
                                                        sizeof *file->keys_by_name, compare_keys)
                                              : NULL;
    return found ? *found : NULL;
}

static ssw_status read_alignment(cursor *c)
{
    const ssw_gguf_key *key = ssw_gguf_find_key_in(c->file, "general.alignment");
    uint64_t alignment = ALIGNMENT_DEFAULT;
    if (key && !ssw_gguf_read_u64(key, &alignment))
        return FAIL(c, SSW_ERR_FORMAT, "general.alignment is of type %s; an unsigned integer is needed",
                    ssw_gguf_type_name(key->type));
    if (alignment < SSW_GGUF_ALIGNMENT_MIN || alignment > SSW_GGUF_ALIGNMENT_MAX ||
        (alignment & (alignment - 1)) != 0)
        return FAIL(c, SSW_ERR_FORMAT,
                    "general.alignment is %" PRIu64 "; it must be a power of two from %d to %d", alignment,
                    SSW_GGUF_ALIGNMENT_MIN, SSW_GGUF_ALIGNMENT_MAX);
    c->file->alignment_bytes = alignment;
    return SSW_OK;
}

/* Dimensions and type of the tensor; its size in bytes. */
static ssw_status parse_shape(cursor *c, ssw_gguf_tensor *tensor)
{
    uint32_t n_dims, type;
    uint64_t n_rows = 1;
    ssw_status status = take_u32(c, &n_dims);
    if (status != SSW_OK)
        return status;
    if (n_dims < 1 || n_dims > SSW_GGUF_DIMS_MAX)
        return FAIL(c, SSW_ERR_FORMAT, "%s has %" PRIu32 " dimensions; 1 to %d are allowed", c->what, n_dims,
                    SSW_GGUF_DIMS_MAX);
    tensor->n_dims = (int)n_dims;
    for (int i = 0; i < SSW_GGUF_DIMS_MAX; i++) {
        tensor->dims[i] = 1;
        if (i < tensor->n_dims && (status = take_u64(c, &tensor->dims[i])) != SSW_OK)
            return status;
        if (tensor->dims[i] == 0)
            return FAIL(c, SSW_ERR_FORMAT, "%s has a dimension of 0", c->what);
        if (i > 0 && __builtin_mul_overflow(n_rows, tensor->dims[i], &n_rows))
            return FAIL(c, SSW_ERR_FORMAT, "%s: the product of its dimensions overflows", c->what);
    }
    status = take_u32(c, &type);
    if (status != SSW_OK)
        return status;
    const ssw_dtype_traits *traits = ssw_dtype_find(type);
    if (!traits)
        return FAIL(c, SSW_ERR_UNSUPPORTED, "%s has the unknown type number %" PRIu32, c->what, type);
    tensor->dtype = traits->dtype;
    if (tensor->dims[0] % traits->block_elements != 0)
        return FAIL(c, SSW_ERR_FORMAT,
                    "%s: rows of %" PRIu64 " elements are not a multiple of the %" PRIu32 " of %s blocks",
                    c->what, tensor->dims[0], traits->block_elements, traits->name);
    uint64_t row_bytes = ssw_dtype_row_bytes(traits->dtype, tensor->dims[0]);
    if (row_bytes == 0 || __builtin_mul_overflow(row_bytes, n_rows, &tensor->n_bytes) ||
        tensor->n_bytes > BYTES_MOST)
        return FAIL(c, SSW_ERR_FORMAT, "%s: the product of its dimensions overflows", c->what);
    return SSW_OK;
}

static ssw_status parse_tensor(cursor *c, size_t index, ssw_gguf_tensor *tensor)
{
    char quoted[SSW_GGUF_QUOTE_MAX];
    snprintf(c->what, sizeof c->what, "the name of tensor %zu", index);
    ssw_status status = take_name(c, SSW_GGUF_NAME_BYTES_MAX, &tensor->name);
    if (status != SSW_OK)
        return status;
    snprintf(c->what, sizeof c->what, "tensor '%s'",
             ssw_gguf_quote(quoted, tensor->name, strlen(tensor->name)));
    status = parse_shape(c, tensor);
    if (status == SSW_OK)
        status = take_u64(c, &tensor->offset_bytes);
    if (status != SSW_OK)
        return status;
    if (tensor->offset_bytes % c->file->alignment_bytes != 0)
        return FAIL(c, SSW_ERR_FORMAT, "%s starts at %" PRIu64 ", not a multiple of the alignment %" PRIu64,
                    c->what, tensor->offset_bytes, c->file->alignment_bytes);
    if (tensor->offset_bytes > BYTES_MOST)
        return FAIL(c, SSW_ERR_FORMAT, "%s starts at the impossible offset %" PRIu64, c->what,
                    tensor->offset_bytes);
    return SSW_OK;
}

static int compare_offsets(const void *a, const void *b)
{
    const ssw_gguf_tensor *x = *(const ssw_gguf_tensor *const *)a, *y = *(const ssw_gguf_tensor *const *)b;
    return (x->offset_bytes > y->offset_bytes) - (x->offset_bytes < y->offset_bytes);
}

/* Tensors lie inside the file and apart from each other; then they get their addresses. */
static ssw_status place_tensors(cursor *c)
{
    ssw_gguf_file *file = c->file;
    char quoted[SSW_GGUF_QUOTE_MAX], other[SSW_GGUF_QUOTE_MAX];
    uint64_t align = file->alignment_bytes;
    file->data_offset_bytes = (c->at + align - 1) / align * align;
    if (file->n_tensors == 0)
        return SSW_OK;
    const ssw_gguf_tensor **sorted = ssw_arena_alloc(c->arena, file->n_tensors, sizeof *sorted);
    if (!sorted)
        return fail_nomem(c);
    for (size_t i = 0; i < file->n_tensors; i++)
        sorted[i] = &file->tensors[i];
    qsort(sorted, file->n_tensors, sizeof *sorted, compare_offsets);
    for (size_t i = 1; i < file->n_tensors; i++) {
        const ssw_gguf_tensor *left = sorted[i - 1], *right = sorted[i];
        if (left->offset_bytes + left->n_bytes > right->offset_bytes)
            return FAIL(c, SSW_ERR_FORMAT, "tensors '%s' and '%s' overlap",
                        ssw_gguf_quote(quoted, left->name, strlen(left->name)),
                        ssw_gguf_quote(other, right->name, strlen(right->name)));
    }
    const ssw_gguf_tensor *last = sorted[file->n_tensors - 1];
    uint64_t end =
        file->data_offset_bytes + last->offset_bytes + last->n_bytes; /* BYTES_MOST keeps it below 2^64 */
    if (end > file->n_bytes)
        return FAIL(c, SSW_ERR_FORMAT,
                    "truncated: tensor '%s' ends at byte %" PRIu64 ", %" PRIu64 " bytes are missing",
                    ssw_gguf_quote(quoted, last->name, strlen(last->name)), end, end - file->n_bytes);
    for (size_t i = 0; i < file->n_tensors; i++)
        file->tensors[i].data = file->bytes + file->data_offset_bytes + file->tensors[i].offset_bytes;
    return SSW_OK;
}

static ssw_status parse_header(cursor *c, uint64_t *n_tensors, uint64_t *n_keys)
{
    const unsigned char *magic;
    uint32_t version;
    snprintf(c->what, sizeof c->what, "the header");
    ssw_status status = take(c, 4, &magic);
    if (status != SSW_OK)
        return status;
    if (memcmp(magic, "GGUF", 4) != 0)
        return FAIL(c, SSW_ERR_FORMAT,
                    "not a GGUF file: it begins with %02x %02x %02x %02x instead of \"GGUF\"", magic[0],
                    magic[1], magic[2], magic[3]);
    status = take_u32(c, &version);
    if (status != SSW_OK)
        return status;
    if ((version & 0xffff) == 0 && version != 0)
        return FAIL(c, SSW_ERR_UNSUPPORTED, "a big-endian GGUF file; only little-endian ones are read");
    if (version != 2 && version != 3)
        return FAIL(c, SSW_ERR_UNSUPPORTED, "GGUF version %" PRIu32 "; only versions 2 and 3 are read",
                    version);
    status = take_u64(c, n_tensors);
    if (status == SSW_OK)
        status = take_u64(c, n_keys);
    if (status != SSW_OK)
        return status;
    if (*n_tensors > SSW_GGUF_TENSORS_MAX)
        return FAIL(c, SSW_ERR_LIMIT, "the header counts %" PRIu64 " tensors; at most %d are read",
                    *n_tensors, SSW_GGUF_TENSORS_MAX);
    if (*n_keys > SSW_GGUF_KEYS_MAX)
        return FAIL(c, SSW_ERR_LIMIT, "the header counts %" PRIu64 " keys; at most %d are read", *n_keys,
                    SSW_GGUF_KEYS_MAX);
    uint64_t least = *n_keys * KEY_BYTES_LEAST + *n_tensors * TENSOR_BYTES_LEAST;
    if (least > c->file->n_bytes - c->at)
        return FAIL(c, SSW_ERR_FORMAT,
                    "truncated: %" PRIu64 " keys and %" PRIu64 " tensors are announced, at least %" PRIu64
                    " bytes are missing",
                    *n_keys, *n_tensors, least - (c->file->n_bytes - c->at));
    return SSW_OK;
}

ssw_status ssw_gguf_parse_file(ssw_gguf_file *file, uint32_t split, ssw_arena *arena, ssw_error *err)
{
    cursor c = {.file = file, .arena = arena, .err = err};
    uint64_t n_tensors, n_keys;
    ssw_status status = parse_header(&c, &n_tensors, &n_keys);
    if (status != SSW_OK)
        return status;
    file->keys = ssw_arena_alloc(arena, (size_t)n_keys + 1, sizeof *file->keys);
    file->tensors = ssw_arena_alloc(arena, (size_t)n_tensors + 1, sizeof *file->tensors);
    if (!file->keys || !file->tensors)
        return fail_nomem(&c);
    for (; file->n_keys < n_keys; file->n_keys++) {
        status = parse_key(&c, file->n_keys, &file->keys[file->n_keys]);
        if (status != SSW_OK)
            return status;
    }
    status = index_keys(&c);
    if (status == SSW_OK)
        status = read_alignment(&c);
    for (; status == SSW_OK && file->n_tensors < n_tensors; file->n_tensors++) {
        file->tensors[file->n_tensors].split = split;
        status = parse_tensor(&c, file->n_tensors, &file->tensors[file->n_tensors]);
    }
    return status == SSW_OK ? place_tensors(&c) : status;
}
