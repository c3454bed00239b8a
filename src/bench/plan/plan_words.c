/* Shell-like words for --arm. */
#include "bench/plan/plan_words.h"

#include <stdbool.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one word from *at to out and moves *at behind it; false if a quote stays open. */
static bool copy_word(const char **at, char *out)
{
    const char *p = *at;
    char quote = 0;
    for (; *p && (quote || !is_blank(*p)); p++) {
        if (quote == 0 && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (quote && *p == quote) {
            quote = 0;
        } else if (*p == '\\' && (quote == 0 || (quote == '"' && (p[1] == '"' || p[1] == '\\')))) {
            if (!*++p)
                return false;
            *out++ = *p;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
    *at = p;
    return quote == 0;
}

ssw_status ssw_plan_split_words(ssw_arena *arena, const char *line, const char **words, size_t max_words,
                                size_t *n_words, ssw_error *err)
{
    *n_words = 0;
    const char *p = line;
    for (;;) {
        while (is_blank(*p))
            p++;
        if (!*p)
            return SSW_OK;
        if (*n_words == max_words)
            return ssw_error_set(err, SSW_ERR_LIMIT, "more than %zu words", max_words);
        char *word = ssw_arena_alloc(arena, strlen(p) + 1, 1);
        if (!word)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
        if (!copy_word(&p, word))
            return ssw_error_set(err, SSW_ERR_USAGE, "a quote or backslash is not closed in: %s", line);
        words[(*n_words)++] = word;
    }
}
