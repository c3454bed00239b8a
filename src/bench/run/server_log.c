/* Reads the file that the server's output goes to. */
#include "bench/run/server_log.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LOG_TAIL_BYTES = 4096, LINE_BYTES_MAX = 1024, LINES_MAX = 200000 };

int64_t ssw_server_log_length(const char *path)
{
    struct stat info;
    return stat(path, &info) ? 0 : info.st_size;
}

size_t ssw_server_log_read_buffers(const char *path, int64_t offset, const ssw_adapter *adapter,
                                   ssw_server_buffer *out, size_t max)
{
    char line[LINE_BYTES_MAX];
    size_t n = 0;
    FILE *file = adapter->read_log_line ? fopen(path, "re") : NULL;
    if (!file)
        return 0;
    if (fseek(file, offset, SEEK_SET) == 0) {
        for (int i = 0; i < LINES_MAX && n < max && fgets(line, sizeof line, file); i++)
            n += adapter->read_log_line(line, &out[n]);
    }
    fclose(file);
    return n;
}

/* "Try `seesaw serve --help' ...": what stands before it says what was wrong. */
static bool is_usage_hint(const char *line)
{
    return strncmp(line, "Try ", 4) == 0 && strstr(line, "--help");
}

void ssw_server_log_read_last(const char *path, char *out, size_t size)
{
    char text[LOG_TAIL_BYTES + 1];
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, -LOG_TAIL_BYTES, SEEK_END) != 0)
        rewind(file);
    size_t n = fread(text, 1, LOG_TAIL_BYTES, file);
    fclose(file);
    const char *line;
    do {
        while (n > 0 && (unsigned char)text[n - 1] <= ' ')
            n--;
        text[n] = '\0';
        line = strrchr(text, '\n');
        line = line ? line + 1 : text;
        n = (size_t)(line - text);
    } while (n > 0 && is_usage_hint(line));
    snprintf(out, size, "%.190s", line);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    }
}
