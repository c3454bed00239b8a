/* Table 3-7 of the Unicode standard, as ranges of the second byte. */
#include "token/utf8.h"

int ssw_utf8_check(const char *text, size_t n_bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    int length;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        length = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        length = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        length = 4;
    else
        return -1;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= n_bytes)
            return 0;
        if (s[i] < low || s[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

size_t ssw_utf8_first_bytes(const char *text, size_t n_bytes)
{
    int length = ssw_utf8_check(text, n_bytes);
    return length > 0 ? (size_t)length : 1;
}

size_t ssw_utf8_valid_bytes(const char *text, size_t n_bytes)
{
    size_t at = 0;
    while (at < n_bytes) {
        int length = ssw_utf8_check(text + at, n_bytes - at);
        if (length <= 0)
            break;
        at += (size_t)length;
    }
    return at;
}

uint32_t ssw_utf8_decode(const char *text, int length)
{
    const unsigned char *s = (const unsigned char *)text;
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code_point = s[0] & lead_bits[length];
    for (int i = 1; i < length; i++)
        code_point = code_point << 6 | (s[i] & 0x3f);
    return code_point;
}

int ssw_utf8_encode(uint32_t code_point, char out[SSW_UTF8_BYTES_MAX])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    int length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    out[0] = (char)(leads[length] | code_point);
    return length;
}
