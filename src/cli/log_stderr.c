/* One write per line, so that lines of several threads do not mix. Errors and warnings say what they are. */
#include "cli/log_stderr.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *level_prefix(ssw_log_level level)
{
    switch (level) {
    case SSW_LOG_ERROR:
        return "error: ";
    case SSW_LOG_WARN:
        return "warning: ";
    case SSW_LOG_DEBUG:
        return "debug: ";
    case SSW_LOG_INFO:
        break;
    }
    return "";
}

static void write_line(void *context, ssw_log_level level, const char *line)
{
    (void)context;
    char text[SSW_LOG_LINE_MAX + 16];
    int n = snprintf(text, sizeof text, "%s%s\n", level_prefix(level), line);
    if (n < 0)
        return;
    size_t n_bytes = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    text[n_bytes - 1] = '\n';
    /* A full disk or a closed terminal must not stop the program. */
    if (write(STDERR_FILENO, text, n_bytes) < 0)
        return;
}

ssw_log ssw_cli_log_stderr(ssw_log_level level)
{
    return (ssw_log){.sink = write_line, .level = level};
}
