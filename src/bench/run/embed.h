/* Asks a server for the embedding of every reply of a quality folder and writes embeddings.jsonl. */
#ifndef SSW_BENCH_RUN_EMBED_H
#define SSW_BENCH_RUN_EMBED_H

#include "base/status.h"

typedef struct ssw_embed_options {
    const char *dir;   /* the quality folder */
    const char *url;   /* http://HOST:PORT of a server with /v1/embeddings */
    const char *model; /* what to name in the request */
    int cancel_fd;     /* -1 for none */
} ssw_embed_options;

typedef struct ssw_embed_result {
    int n_embedded, n_refused; /* samples */
    ssw_error first_refusal;
} ssw_embed_result;

/* A reply that the server refuses has a line that says why; after the first refusal of all, the server is
 * taken to have no such route and the others get the same line. Any older file is replaced at the end.
 * SSW_ERR_CANCELLED, or what keeps the file from being written; a server that does not answer is a refusal.
 */
ssw_status ssw_embed_replies(const ssw_embed_options *options, ssw_embed_result *out, ssw_error *err);

#endif
