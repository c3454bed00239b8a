/* What a server said of memory while it loaded. */
#ifndef SSW_BENCH_RUN_SERVER_LOG_H
#define SSW_BENCH_RUN_SERVER_LOG_H

#include "bench/adapter/adapter.h"

/* The log's length, 0 when there is none yet: where the next start's lines begin. */
int64_t ssw_server_log_length(const char *path);

/* The buffers that the adapter finds in the log from offset on, at most max of them. */
size_t ssw_server_log_read_buffers(const char *path, int64_t offset, const ssw_adapter *adapter,
                                   ssw_server_buffer *out, size_t max);

/* The last line that says something, for error messages; "" when there is none. */
void ssw_server_log_read_last(const char *path, char *out, size_t size);

#endif
