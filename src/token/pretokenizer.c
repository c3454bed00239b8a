/* The expressions and their walk. PCRE2's own UTF-8 check would run over the whole rest of the text at every
 * match, so validity is established once, by us, and PCRE2 is told to trust it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "token/pretokenizer.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token/utf8.h"

/* The White_Space property, which \s means to the publishers' engines (PCRE2's \s also takes U+180E). */
#define SPACE     "\\t-\\r \\x{85}\\p{Z}"
#define UPPER     "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER     "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SHORTENED "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

/* The letters with case, as deepseek-llm's file lists them. */
#define CASED                                                                                                \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"                           \
    "\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}"                   \
    "\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}"                            \
    "\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}"                                 \
    "\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}"                           \
    "\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}"                           \
    "\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}"                           \
    "\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}"                   \
    "\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}"                                     \
    "\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}"                           \
    "\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}"                    \
    "\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}"                            \
    "\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}"                   \
    "\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}"                            \
    "\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}"                           \
    "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}"                           \
    "\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}"                   \
    "\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"

/* The expressions of one pre-tokenizer are applied one after the other, each within what the ones before it
 * cut: matches and the gaps between them alike become parts. */
static const struct {
    const char *name;
    const char *stages[SSW_PRETOKENIZER_STAGES_MAX]; /* NULL behind the last */
} expressions[] = {
    {"gpt-2",
     {"'(?:[sdmt]|ll|ve|re)"
      "| ?\\p{L}+"
      "| ?\\p{N}+"
      "| ?[^" SPACE "\\p{L}\\p{N}]+"
      "|[" SPACE "]+(?![^" SPACE "])"
      "|[" SPACE "]+"}},
    {"gpt-4o",
     {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" SHORTENED "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER
      "*" SHORTENED "|\\p{N}{1,3}"
      "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n/]*"
      "|[" SPACE "]*[\\r\\n]+"
      "|[" SPACE "]+(?![^" SPACE "])"
      "|[" SPACE "]+"}},
    {"qwen2",
     {"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
      "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
      "|\\p{N}"
      "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*"
      "|[" SPACE "]*[\\r\\n]+"
      "|[" SPACE "]+(?![^" SPACE "])"
      "|[" SPACE "]+"}},
    {"deepseek-llm",
     {"[\\r\\n]", "[" SPACE "]?[" CASED "]+",
      "[" SPACE "]?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
      "(?<![" SPACE "])[" SPACE "]++\\z", /* the file's \s+$, without its quadratic search */
      "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}+"}},
    {"deepseek-v3",
     {"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{30ff}]+",
      "[!-/:-@\\[-`{-~][A-Za-z]+"
      "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
      "| ?[\\p{P}\\p{S}]+[\\r\\n]*"
      "|[" SPACE "]*[\\r\\n]+"
      "|[" SPACE "]+(?![^" SPACE "])"
      "|[" SPACE "]+"}},
};

enum {
    N_EXPRESSIONS = sizeof expressions / sizeof expressions[0],
    MATCH_LIMIT_BASE = 1000000, /* PCRE2's unit: calls of its internal matcher */
    MATCH_LIMIT_PER_BYTE = 8,
    HEAP_LIMIT_KIB = 64 * 1024,
    KNOWN_BYTES_MAX = 256
};

struct ssw_pretokenizer {
    pcre2_code *stages[SSW_PRETOKENIZER_STAGES_MAX];
    int n_stages;
};

static ssw_status refuse(const char *name, ssw_error *err)
{
    char known[KNOWN_BYTES_MAX] = "";
    size_t at = 0;
    for (int i = 0; i < N_EXPRESSIONS && at < sizeof known; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", expressions[i].name);
    return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "pre-tokenizer '%.64s' is not known (known: %s)", name,
                         known);
}

ssw_status ssw_pretokenizer_open(const char *name, ssw_pretokenizer **out, ssw_error *err)
{
    *out = NULL;
    int found = 0;
    while (found < N_EXPRESSIONS && strcmp(expressions[found].name, name) != 0)
        found++;
    if (found == N_EXPRESSIONS)
        return refuse(name, err);
    ssw_pretokenizer *pretokenizer = calloc(1, sizeof *pretokenizer);
    if (!pretokenizer)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    for (int i = 0; i < SSW_PRETOKENIZER_STAGES_MAX && expressions[found].stages[i]; i++) {
        int code;
        PCRE2_SIZE at;
        pcre2_code *stage = pcre2_compile((PCRE2_SPTR)expressions[found].stages[i], PCRE2_ZERO_TERMINATED,
                                          PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
        if (!stage) {
            ssw_pretokenizer_close(pretokenizer);
            return ssw_error_set(err, SSW_ERR_INTERNAL, "pre-tokenizer '%s': PCRE2 error %d at %zu", name,
                                 code, (size_t)at);
        }
        pcre2_jit_compile(stage, PCRE2_JIT_COMPLETE); /* where it is refused, the interpreter runs */
        pretokenizer->stages[pretokenizer->n_stages++] = stage;
    }
    *out = pretokenizer;
    return SSW_OK;
}

void ssw_pretokenizer_close(ssw_pretokenizer *pretokenizer)
{
    if (!pretokenizer)
        return;
    for (int i = 0; i < pretokenizer->n_stages; i++)
        pcre2_code_free(pretokenizer->stages[i]);
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

/* Searches a part from `at` on; the expression sees nothing of the text around the part. */
static int match(const ssw_pretokenizer_walk *walk, int stage, uint32_t options)
{
    const ssw_pretokenizer_part *part = &walk->parts[stage];
    return pcre2_match(walk->pretokenizer->stages[stage], (PCRE2_SPTR)(walk->text + part->begin),
                       part->end - part->begin, part->at - part->begin, PCRE2_NO_UTF_CHECK | options,
                       walk->match_data, walk->match_context);
}

/* The next piece that a stage cuts from its part: a match, or the gap before it. */
static ssw_status cut_piece(ssw_pretokenizer_walk *walk, int stage, size_t *begin, size_t *end,
                            ssw_error *err)
{
    ssw_pretokenizer_part *part = &walk->parts[stage];
    if (part->match_end <= part->at) {
        int code = match(walk, stage, 0);
        if (code == PCRE2_ERROR_JIT_STACKLIMIT)
            code = match(walk, stage, PCRE2_NO_JIT);
        if (code < 0 && code != PCRE2_ERROR_NOMATCH)
            return ssw_error_set(err, SSW_ERR_LIMIT,
                                 "the text is too hard to split into words (PCRE2 error %d)", code);
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(walk->match_data);
        part->match_begin = code < 0 ? part->end : part->begin + range[0];
        part->match_end = code < 0 ? part->end : part->begin + range[1];
    }
    *begin = part->at;
    *end = part->at < part->match_begin ? part->match_begin : part->match_end;
    part->at = *end;
    return SSW_OK;
}

static void open_part(ssw_pretokenizer_walk *walk, size_t begin, size_t end)
{
    walk->parts[walk->n_parts++] = (ssw_pretokenizer_part){.begin = begin, .at = begin, .end = end};
}

ssw_status ssw_pretokenizer_next(ssw_pretokenizer_walk *walk, const char **word, size_t *n_word,
                                 ssw_error *err)
{
    const char *text = walk->text;
    size_t begin = walk->at, end = begin;
    *word = text + begin;
    *n_word = 0;
    if (walk->n_parts == 0 && begin == walk->n_bytes)
        return SSW_OK;
    if (walk->n_parts == 0) {
        end = begin + ssw_utf8_valid_bytes(text + begin, walk->n_bytes - begin);
        if (end == begin) { /* a run of bytes that are no characters */
            while (end < walk->n_bytes && ssw_utf8_check(text + end, walk->n_bytes - end) <= 0)
                end++;
            walk->at = end;
            *n_word = end - begin;
            return SSW_OK;
        }
        walk->at = end;
        open_part(walk, begin, end);
    }
    for (;;) {
        ssw_status status = cut_piece(walk, walk->n_parts - 1, &begin, &end, err);
        if (status != SSW_OK)
            return status;
        if (walk->n_parts == walk->pretokenizer->n_stages)
            break;
        open_part(walk, begin, end);
    }
    while (walk->n_parts > 0 && walk->parts[walk->n_parts - 1].at == walk->parts[walk->n_parts - 1].end)
        walk->n_parts--;
    *word = text + begin;
    *n_word = end - begin;
    return SSW_OK;
}
