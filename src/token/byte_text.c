/* The inverse of GPT-2's bytes_to_unicode. */
#include "token/byte_text.h"

#include <string.h>

#include "token/utf8.h"

/* The byte that a character stands for; -1 for none. */
static int byte_of(uint32_t code_point)
{
    if ((code_point >= 0x21 && code_point <= 0x7e) || (code_point >= 0xa1 && code_point <= 0xac) ||
        (code_point >= 0xae && code_point <= 0xff))
        return (int)code_point;
    if (code_point >= 0x100 && code_point <= 0x120) /* bytes 0x00-0x20 */
        return (int)code_point - 0x100;
    if (code_point >= 0x121 && code_point <= 0x142) /* bytes 0x7f-0xa0 */
        return (int)code_point - 0x121 + 0x7f;
    return code_point == 0x143 ? 0xad : -1;
}

size_t ssw_byte_text_decode(const char *text, size_t n_bytes, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < n_bytes;) {
        int length = ssw_utf8_check(text + at, n_bytes - at);
        size_t step = length > 0 ? (size_t)length : 1;
        int byte = length > 0 ? byte_of(ssw_utf8_decode(text + at, length)) : -1;
        if (byte >= 0) {
            out[n++] = (char)byte;
        } else {
            memcpy(out + n, text + at, step);
            n += step;
        }
        at += step;
    }
    return n;
}
