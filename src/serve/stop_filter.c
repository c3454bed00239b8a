/* Search by memmem: the held text is never longer than a stop string and one piece. */
#include "serve/stop_filter.h"

#include <string.h>

enum { HELD_BYTES_MAX = 1 << 20 };

void ssw_stop_filter_init(ssw_stop_filter *filter, const ssw_stop_text *stops, size_t n_stops)
{
    *filter = (ssw_stop_filter){.stops = stops, .n_stops = n_stops};
    ssw_strbuf_init(&filter->held, HELD_BYTES_MAX);
}

void ssw_stop_filter_deinit(ssw_stop_filter *filter)
{
    ssw_strbuf_deinit(&filter->held);
}

/* Where the earliest whole stop string begins; n_bytes if there is none. */
static size_t find_stop(const ssw_stop_filter *filter, const char *bytes, size_t n_bytes)
{
    size_t earliest = n_bytes;
    for (size_t i = 0; i < filter->n_stops; i++) {
        const char *at = memmem(bytes, n_bytes, filter->stops[i].bytes, filter->stops[i].n_bytes);
        if (at && (size_t)(at - bytes) < earliest)
            earliest = (size_t)(at - bytes);
    }
    return earliest;
}

/* Length of the longest end of the text that begins a stop string. */
static size_t count_open(const ssw_stop_filter *filter, const char *bytes, size_t n_bytes)
{
    size_t longest = 0;
    for (size_t i = 0; i < filter->n_stops; i++) {
        size_t n = filter->stops[i].n_bytes - 1;
        for (n = n < n_bytes ? n : n_bytes; n > longest; n--) {
            if (memcmp(bytes + n_bytes - n, filter->stops[i].bytes, n) == 0)
                longest = n;
        }
    }
    return longest;
}

bool ssw_stop_filter_push(ssw_stop_filter *filter, const char *bytes, size_t n_bytes, ssw_strbuf *out)
{
    if (filter->has_stopped)
        return true;
    if (filter->n_stops == 0) {
        ssw_strbuf_append(out, bytes, n_bytes);
        return false;
    }
    ssw_strbuf_append(&filter->held, bytes, n_bytes);
    const char *text = ssw_strbuf_text(&filter->held);
    size_t n_text = filter->held.n_bytes;
    size_t n_sure = find_stop(filter, text, n_text);
    filter->has_stopped = n_sure < n_text;
    if (!filter->has_stopped)
        n_sure = n_text - count_open(filter, text, n_text);
    ssw_strbuf_append(out, text, n_sure);
    ssw_strbuf_drop_front(&filter->held, n_sure);
    if (filter->has_stopped)
        ssw_strbuf_clear(&filter->held);
    return filter->has_stopped;
}

void ssw_stop_filter_flush(ssw_stop_filter *filter, ssw_strbuf *out)
{
    ssw_strbuf_append(out, ssw_strbuf_text(&filter->held), filter->held.n_bytes);
    ssw_strbuf_clear(&filter->held);
}
