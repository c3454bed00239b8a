/* The two expressions and their walk. PCRE2's own UTF-8 check would run over the whole rest of the text at
 * every match, so validity is established once, by us, and PCRE2 is told to trust it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "token/pretokenizer.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token/utf8.h"

/* The White_Space property, which \s means to the publishers' engines (PCRE2's \s also takes U+180E). */
#define SPACE     "\\t-\\r \\x{85}\\p{Z}"
#define UPPER     "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER     "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SHORTENED "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

static const struct {
    const char *name;
    const char *pattern;
} expressions[] = {
    {"gpt-2", "'(?:[sdmt]|ll|ve|re)"
              "| ?\\p{L}+"
              "| ?\\p{N}+"
              "| ?[^" SPACE "\\p{L}\\p{N}]+"
              "|[" SPACE "]+(?![^" SPACE "])"
              "|[" SPACE "]+"},
    {"gpt-4o", "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" SHORTENED "|[^\\r\\n\\p{L}\\p{N}]?" UPPER
               "+" LOWER "*" SHORTENED "|\\p{N}{1,3}"
               "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n/]*"
               "|[" SPACE "]*[\\r\\n]+"
               "|[" SPACE "]+(?![^" SPACE "])"
               "|[" SPACE "]+"},
};

enum {
    N_EXPRESSIONS = sizeof expressions / sizeof expressions[0],
    MATCH_LIMIT_BASE = 1000000, /* PCRE2's unit: calls of its internal matcher */
    MATCH_LIMIT_PER_BYTE = 8,
    HEAP_LIMIT_KIB = 64 * 1024
};

struct ssw_pretokenizer {
    pcre2_code *code;
};

ssw_status ssw_pretokenizer_open(const char *name, ssw_pretokenizer **out, ssw_error *err)
{
    *out = NULL;
    const char *pattern = NULL;
    for (int i = 0; i < N_EXPRESSIONS && !pattern; i++)
        pattern = strcmp(expressions[i].name, name) == 0 ? expressions[i].pattern : NULL;
    if (!pattern)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "pre-tokenizer '%.64s' is not known (known: gpt-2, gpt-4o)", name);
    ssw_pretokenizer *pretokenizer = calloc(1, sizeof *pretokenizer);
    if (!pretokenizer)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    int code;
    PCRE2_SIZE at;
    pretokenizer->code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (!pretokenizer->code) {
        ssw_pretokenizer_close(pretokenizer);
        return ssw_error_set(err, SSW_ERR_INTERNAL, "pre-tokenizer '%s': PCRE2 error %d at %zu", name, code,
                             (size_t)at);
    }
    pcre2_jit_compile(pretokenizer->code, PCRE2_JIT_COMPLETE); /* where it is refused, the interpreter runs */
    *out = pretokenizer;
    return SSW_OK;
}

void ssw_pretokenizer_close(ssw_pretokenizer *pretokenizer)
{
    if (!pretokenizer)
        return;
    pcre2_code_free(pretokenizer->code);
    free(pretokenizer);
}

ssw_status ssw_pretokenizer_begin(const ssw_pretokenizer *pretokenizer, const char *text, size_t n_bytes,
                                  ssw_pretokenizer_walk *walk, ssw_error *err)
{
    *walk = (ssw_pretokenizer_walk){.pretokenizer = pretokenizer, .text = text, .n_bytes = n_bytes};
    walk->match_data = pcre2_match_data_create(1, NULL);
    walk->match_context = pcre2_match_context_create(NULL);
    if (!walk->match_data || !walk->match_context) {
        ssw_pretokenizer_end(walk);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    }
    uint64_t limit = MATCH_LIMIT_BASE + (uint64_t)n_bytes * MATCH_LIMIT_PER_BYTE;
    pcre2_set_match_limit(walk->match_context, limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX);
    pcre2_set_heap_limit(walk->match_context, HEAP_LIMIT_KIB);
    return SSW_OK;
}

void ssw_pretokenizer_end(ssw_pretokenizer_walk *walk)
{
    pcre2_match_data_free(walk->match_data);
    pcre2_match_context_free(walk->match_context);
    walk->match_data = walk->match_context = NULL;
}

static int match(const ssw_pretokenizer_walk *walk, size_t end, uint32_t options)
{
    return pcre2_match(walk->pretokenizer->code, (PCRE2_SPTR)walk->text, end, walk->at,
                       PCRE2_NO_UTF_CHECK | options, walk->match_data, walk->match_context);
}

ssw_status ssw_pretokenizer_next(ssw_pretokenizer_walk *walk, const char **word, size_t *n_word,
                                 ssw_error *err)
{
    const char *text = walk->text;
    *word = text + walk->at;
    *n_word = 0;
    if (walk->at == walk->n_bytes)
        return SSW_OK;
    if (walk->at >= walk->valid_end) {
        walk->valid_end = walk->at + ssw_utf8_valid_bytes(text + walk->at, walk->n_bytes - walk->at);
        if (walk->valid_end == walk->at) { /* a run of bytes that are no characters */
            while (walk->at < walk->n_bytes && ssw_utf8_check(text + walk->at, walk->n_bytes - walk->at) <= 0)
                walk->at++;
            *n_word = (size_t)(text + walk->at - *word);
            return SSW_OK;
        }
    }
    int code = match(walk, walk->valid_end, 0);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT)
        code = match(walk, walk->valid_end, PCRE2_NO_JIT);
    if (code < 0 && code != PCRE2_ERROR_NOMATCH)
        return ssw_error_set(err, SSW_ERR_LIMIT, "the text is too hard to split into words (PCRE2 error %d)",
                             code);
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(walk->match_data);
    size_t end = walk->valid_end; /* nothing matched, or a gap before the match: a word as it is */
    if (code >= 0)
        end = range[0] > walk->at ? range[0] : range[1];
    *n_word = end - walk->at;
    walk->at = end;
    return SSW_OK;
}
