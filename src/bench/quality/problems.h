/* Small Python problems with tests, and the programs that put a model's reply to them.
 *
 * The file is JSON: {"schema": 1, "source": TEXT, "problems": [{"name", "prompt", "entry", "tests"}]}.
 * `tests` are Python statements that call `candidate`: the function that the reply names `entry`, else the
 * last function it defines. */
#ifndef SSW_BENCH_QUALITY_PROBLEMS_H
#define SSW_BENCH_QUALITY_PROBLEMS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/strbuf.h"

enum {
    SSW_PROBLEMS_SCHEMA = 1,
    SSW_PROBLEMS_MAX = 512,
    SSW_PROBLEMS_BYTES_MAX = 4 << 20,
    SSW_PROBLEMS_NAME_MAX = 48
};

extern const char ssw_problems_python[]; /* share/problems/python.json, built in */

typedef struct ssw_problem {
    const char *name; /* unique in the set */
    const char *prompt, *entry, *tests;
} ssw_problem;

typedef struct ssw_problems {
    size_t n;
    const ssw_problem *items;
} ssw_problems;

/* Texts go to the arena. */
ssw_status ssw_problems_parse(ssw_arena *arena, const char *json, size_t n_bytes, ssw_problems *out,
                              ssw_error *err);
const ssw_problem *ssw_problems_find(const ssw_problems *problems, const char *name); /* NULL when absent */

/* The program inside a reply: its first fenced block that defines something, else its first block, else the
 * whole text if it defines something. False when there is none; out is cleared first. */
bool ssw_problem_extract_code(const char *reply, ssw_strbuf *out);

/* The Python source that runs code, then the tests, and prints marker as its last line when all of them held.
 * marker: letters and digits that the code cannot know. */
ssw_status ssw_problem_make_program(const ssw_problem *problem, const char *code, const char *marker,
                                    ssw_strbuf *out, ssw_error *err);

#endif
