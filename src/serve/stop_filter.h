/* Stop strings over a stream of text: passes text on, never a stop string nor the beginning of one that may
 * still become whole. Bytes in, bytes out; whole characters in give whole characters out. One thread. */
#ifndef SSW_SERVE_STOP_FILTER_H
#define SSW_SERVE_STOP_FILTER_H

#include "base/strbuf.h"
#include "serve/generation_request.h"

typedef struct ssw_stop_filter {
    const ssw_stop_text *stops; /* [n_stops], borrowed */
    size_t n_stops;
    ssw_strbuf held;
    bool has_stopped;
} ssw_stop_filter;

void ssw_stop_filter_init(ssw_stop_filter *filter, const ssw_stop_text *stops, size_t n_stops);
void ssw_stop_filter_deinit(ssw_stop_filter *filter);

/* Appends to out what is certain now. True once a stop string was found: out then ends right before the
 * earliest one and nothing more comes out. */
bool ssw_stop_filter_push(ssw_stop_filter *filter, const char *bytes, size_t n_bytes, ssw_strbuf *out);
/* The text has ended: what was held back is certain. */
void ssw_stop_filter_flush(ssw_stop_filter *filter, ssw_strbuf *out);

#endif
