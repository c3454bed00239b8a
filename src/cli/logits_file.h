/* A model's logits of a text, kept to compare other models with: `seesaw eval --logits-out`, `--logits-in`.
 *
 * docs/EVAL.md has the format. Files are taken as hostile: every length is checked against the file's size
 * before anything is read, every scale must be finite. Each logit is within (highest − lowest) / 131070 of
 * the true one. One thread. */
#ifndef SSW_CLI_LOGITS_FILE_H
#define SSW_CLI_LOGITS_FILE_H

#include <stdint.h>

#include "base/status.h"

enum { SSW_LOGITS_VOCAB_MAX = 1 << 20, SSW_LOGITS_WINDOW_MAX = 1 << 20, SSW_LOGITS_WINDOWS_MAX = 1 << 20 };

typedef struct ssw_logits_shape {
    int32_t n_vocab, window, n_windows; /* window: tokens of one; its places window/2 … window−2 are kept */
} ssw_logits_shape;

int32_t ssw_logits_rows_per_window(int32_t window);

typedef struct ssw_logits_writer ssw_logits_writer;
/* Writes PATH.tmp, which finish renames; close without finish removes it. tokens: [n_windows][window]. */
ssw_status ssw_logits_writer_open(const char *path, const ssw_logits_shape *shape, const int32_t *tokens,
                                  ssw_logits_writer **out, ssw_error *err);
ssw_status ssw_logits_writer_put(ssw_logits_writer *writer, const float *logits, ssw_error *err);
ssw_status ssw_logits_writer_finish(ssw_logits_writer *writer, ssw_error *err);
void ssw_logits_writer_close(ssw_logits_writer *writer); /* NULL is allowed */

typedef struct ssw_logits_reader ssw_logits_reader;
ssw_status ssw_logits_reader_open(const char *path, ssw_logits_reader **out, ssw_error *err);
const ssw_logits_shape *ssw_logits_reader_shape(const ssw_logits_reader *reader);
const int32_t *ssw_logits_reader_tokens(const ssw_logits_reader *reader); /* [n_windows][window] */
/* The next place's logits: [n_vocab]. */
ssw_status ssw_logits_reader_next(ssw_logits_reader *reader, float *logits, ssw_error *err);
void ssw_logits_reader_close(ssw_logits_reader *reader); /* NULL is allowed */

#endif
