/* A log is a sink that the program hands down; libraries never choose where lines go.
 *
 * A NULL log, or one without a sink, is silent. Sinks may be called from any thread and must not block long.
 */
#ifndef SSW_BASE_LOG_H
#define SSW_BASE_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ssw_log_level { SSW_LOG_ERROR, SSW_LOG_WARN, SSW_LOG_INFO, SSW_LOG_DEBUG } ssw_log_level;

typedef void ssw_log_sink(void *context, ssw_log_level level, const char *line); /* no trailing newline */

typedef struct ssw_log {
    ssw_log_sink *sink;
    void *context;       /* borrowed; outlives every user of the log */
    ssw_log_level level; /* lines above this level are dropped */
} ssw_log;

enum { SSW_LOG_LINE_MAX = 1024 };

void ssw_log_write(const ssw_log *log, ssw_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
