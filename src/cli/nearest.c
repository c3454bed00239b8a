/* Edit distance by the usual table, three rows of it. */
#include "cli/nearest.h"

#include <limits.h>
#include <string.h>

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

int ssw_cli_edit_distance(const char *a, const char *b)
{
    size_t n_a = strnlen(a, SSW_CLI_WORD_BYTES_MAX), n_b = strnlen(b, SSW_CLI_WORD_BYTES_MAX);
    int rows[3][SSW_CLI_WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= n_a; i++) {
        int *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= n_b; j++) {
            int change = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = min_int(min_int(last[j] + 1, now[j - 1] + 1), last[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = min_int(now[j], before[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

const char *ssw_cli_find_nearest(const char *typed, const char *const *words, size_t n_words)
{
    int allowed = (int)strnlen(typed, SSW_CLI_WORD_BYTES_MAX) / 3;
    int best = INT_MAX;
    const char *nearest = NULL;
    for (size_t i = 0; i < n_words; i++) {
        int distance = ssw_cli_edit_distance(typed, words[i]);
        if (distance < best) {
            best = distance;
            nearest = words[i];
        }
    }
    return best <= (allowed > 1 ? allowed : 1) ? nearest : NULL;
}
