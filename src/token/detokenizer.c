/* Streaming detokenisation: bytes go out when they make a whole character, or when they never can. */
#include "token/tokenizer_internal.h"
#include "token/utf8.h"

#include <string.h>

void ssw_detokenizer_init(ssw_detokenizer *detokenizer, const ssw_tokenizer *tokenizer)
{
    *detokenizer = (ssw_detokenizer){.tokenizer = tokenizer};
}

void ssw_detokenizer_begin_text(ssw_detokenizer *detokenizer)
{
    detokenizer->begins = detokenizer->tokenizer->adds_space_prefix;
}

static void drop(ssw_detokenizer *detokenizer, size_t n)
{
    memmove(detokenizer->pending, detokenizer->pending + n, detokenizer->n_pending - n);
    detokenizer->n_pending -= n;
}

void ssw_detokenizer_push_byte(ssw_detokenizer *detokenizer, char byte, ssw_strbuf *out)
{
    detokenizer->pending[detokenizer->n_pending++] = byte;
    while (detokenizer->n_pending > 0) {
        int length = ssw_utf8_check(detokenizer->pending, detokenizer->n_pending);
        if (length == 0)
            break;
        if (length > 0)
            ssw_strbuf_append(out, detokenizer->pending, (size_t)length);
        else
            ssw_strbuf_append_text(out, SSW_UTF8_REPLACEMENT);
        drop(detokenizer, (size_t)(length > 0 ? length : -length));
    }
}

void ssw_detokenizer_push(ssw_detokenizer *detokenizer, int32_t id, ssw_strbuf *out)
{
    size_t n_bytes;
    const char *bytes = ssw_tokenizer_piece(detokenizer->tokenizer, id, &n_bytes);
    if (ssw_tokenizer_is_control(detokenizer->tokenizer, id)) {
        ssw_detokenizer_flush(detokenizer, out);
        ssw_detokenizer_begin_text(detokenizer);
        return;
    }
    size_t skipped = detokenizer->begins && n_bytes > 0 && bytes[0] == ' ';
    detokenizer->begins = detokenizer->begins && n_bytes == 0;
    for (size_t i = skipped; i < n_bytes; i++)
        ssw_detokenizer_push_byte(detokenizer, bytes[i], out);
}

void ssw_detokenizer_flush(ssw_detokenizer *detokenizer, ssw_strbuf *out)
{
    if (detokenizer->n_pending > 0) /* all of it is the beginning of one character */
        ssw_strbuf_append_text(out, SSW_UTF8_REPLACEMENT);
    detokenizer->n_pending = 0;
}
