/* UTF-8 repair and compact JSON. */
#include "serve/wire_text.h"

size_t ssw_wire_character(const char *bytes, size_t n_bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (n_bytes == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    size_t length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || n_bytes < length)
        return 0;
    unsigned low = 0x80, high = 0xbf; /* no overlong forms, no surrogates, nothing above U+10FFFF */
    if (b[0] == 0xe0)
        low = 0xa0;
    else if (b[0] == 0xed)
        high = 0x9f;
    else if (b[0] == 0xf0)
        low = 0x90;
    else if (b[0] == 0xf4)
        high = 0x8f;
    if (b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (b[i] < 0x80 || b[i] > 0xbf)
            return 0;
    }
    return length;
}

json_t *ssw_wire_text(const char *bytes, size_t n_bytes)
{
    json_t *plain = json_stringn(bytes, n_bytes);
    if (plain)
        return plain;
    ssw_strbuf repaired;
    ssw_strbuf_init(&repaired, 3 * n_bytes);
    for (size_t at = 0; at < n_bytes;) {
        size_t length = ssw_wire_character(bytes + at, n_bytes - at);
        if (length > 0)
            ssw_strbuf_append(&repaired, bytes + at, length);
        else
            ssw_strbuf_append_text(&repaired, "\xef\xbf\xbd");
        at += length > 0 ? length : 1;
    }
    json_t *text = repaired.failed ? NULL : json_stringn(ssw_strbuf_text(&repaired), repaired.n_bytes);
    ssw_strbuf_deinit(&repaired);
    return text;
}

static int append_piece(const char *bytes, size_t n_bytes, void *context)
{
    ssw_strbuf_append(context, bytes, n_bytes);
    return 0;
}

void ssw_wire_append(ssw_strbuf *out, const json_t *value)
{
    if (!value || json_dump_callback(value, append_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        out->failed = true;
}
