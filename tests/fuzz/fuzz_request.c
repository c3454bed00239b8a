/* Bytes of a hostile client: the three JSON bodies that ask for text, then the stop strings they name over
 * the rest of the input cut in pieces. The filter's output, joined, must not depend on the cuts, and must
 * hold no stop string. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/generation_request.h"
#include "serve/stop_filter.h"
#include "serve/wire_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { TEXT_BYTES_MAX = 1 << 22 };

static void filter_text(const ssw_generation_request *request, const char *text, size_t n, size_t piece,
                        ssw_strbuf *out)
{
    ssw_stop_filter filter;
    ssw_stop_filter_init(&filter, request->stops, request->n_stops);
    ssw_strbuf_init(out, TEXT_BYTES_MAX);
    bool has_stopped = false;
    for (size_t at = 0; at < n && !has_stopped; at += piece)
        has_stopped = ssw_stop_filter_push(&filter, text + at, n - at < piece ? n - at : piece, out);
    if (!has_stopped)
        ssw_stop_filter_flush(&filter, out);
    ssw_stop_filter_deinit(&filter);
}

static void check_stops(const ssw_generation_request *request, const char *text, size_t n)
{
    static const size_t pieces[] = {1, 3};
    ssw_strbuf whole, cut;
    filter_text(request, text, n, n ? n : 1, &whole);
    for (size_t i = 0; i < request->n_stops; i++) {
        if (memmem(ssw_strbuf_text(&whole), whole.n_bytes, request->stops[i].bytes,
                   request->stops[i].n_bytes))
            abort();
    }
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        filter_text(request, text, n, pieces[i], &cut);
        /* Cut small, the stop that ends first wins; whole, the one that begins first. Either is a prefix of
         * the text. */
        if (memcmp(ssw_strbuf_text(&cut), text, cut.n_bytes) != 0)
            abort();
        if (request->n_stops == 1 && cut.n_bytes != whole.n_bytes)
            abort();
        ssw_strbuf_deinit(&cut);
    }
    ssw_strbuf_deinit(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static const ssw_request_kind kinds[] = {SSW_REQUEST_CHAT, SSW_REQUEST_COMPLETION, SSW_REQUEST_GENERATE};
    const char *text = (const char *)bytes;
    for (size_t i = 0; i < 3; i++) {
        ssw_generation_request request;
        ssw_http_fault fault = {0};
        if (!ssw_generation_request_parse(kinds[i], text, n_bytes, &request, &fault)) {
            if (fault.status < 400 || fault.message[0] == '\0')
                abort();
            continue;
        }
        if (request.n_messages == 0 && !request.prompt && !request.prompt_ids)
            abort();
        for (size_t j = 0; j < request.n_messages; j++) {
            if (!request.messages[j].content ||
                strlen(request.messages[j].content) < request.messages[j].n_bytes)
                abort();
        }
        check_stops(&request, text, n_bytes);
        ssw_generation_request_deinit(&request);
    }
    json_t *repaired = ssw_wire_text(text, n_bytes);
    if (!repaired)
        abort();
    json_decref(repaired);
    return 0;
}
