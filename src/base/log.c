/* Formats one line and hands it to the sink. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void ssw_log_write(const ssw_log *log, ssw_log_level level, const char *format, ...)
{
    if (!log || !log->sink || level > log->level)
        return;
    char line[SSW_LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->sink(log->context, level, line);
}
