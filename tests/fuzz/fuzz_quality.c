/* What the quality phase reads: lines of its files, log-probabilities, problems, and the code in replies. The
 * first byte says which. Lines that can be read must come out the same when they are written and read again.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/quality_files.h"
#include "bench/quality/problems.h"
#include "bench/quality/token_kl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void expect_same(json_t *first, json_t *second)
{
    if (!first || !second || !json_equal(first, second))
        abort();
    json_decref(first);
    json_decref(second);
}

static void try_line(ssw_arena *arena, char kind, const json_t *object)
{
    ssw_execution execution, execution_again;
    ssw_embedding embedding, embedding_again;
    if (kind == 'x' && ssw_execution_from_json(arena, object, &execution, NULL) == SSW_OK) {
        json_t *written = ssw_execution_to_json(&execution);
        if (!written || ssw_execution_from_json(arena, written, &execution_again, NULL))
            abort();
        expect_same(written, ssw_execution_to_json(&execution_again));
    }
    if (kind == 'v' && ssw_embedding_from_json(arena, object, &embedding, NULL) == SSW_OK) {
        json_t *written = ssw_embedding_to_json(&embedding);
        if (!written || ssw_embedding_from_json(arena, written, &embedding_again, NULL))
            abort();
        expect_same(written, ssw_embedding_to_json(&embedding_again));
    }
}

/* A distribution is no distance away from itself. */
static void try_logprobs(const json_t *items)
{
    ssw_token_kl kl = {0};
    if (ssw_token_kl_add(items, items, &kl, NULL) == SSW_OK && kl.n_positions &&
        !(fabs(kl.sum_nats) <= 1e-6 * (double)kl.n_positions && kl.rest_sum >= 0))
        abort();
}

static void try_reply(const char *text, size_t n_bytes)
{
    static const ssw_problem problem = {"name", "prompt", "entry", "candidate()"};
    ssw_strbuf code, program;
    char *reply = malloc(n_bytes + 1);
    if (!reply)
        return;
    memcpy(reply, text, n_bytes);
    reply[n_bytes] = '\0';
    ssw_strbuf_init(&code, 1 << 20);
    ssw_strbuf_init(&program, 1 << 22);
    if (ssw_problem_extract_code(reply, &code)) {
        if (code.n_bytes && !strstr(reply, ssw_strbuf_text(&code)))
            abort();
        ssw_problem_make_program(&problem, ssw_strbuf_text(&code), "m", &program, NULL);
    }
    ssw_strbuf_deinit(&code);
    ssw_strbuf_deinit(&program);
    free(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    ssw_arena arena;
    ssw_problems problems;
    if (n_bytes < 2)
        return 0;
    const char *text = (const char *)bytes + 1;
    ssw_arena_init(&arena, 64 << 20);
    if (bytes[0] == 'c') {
        try_reply(text, n_bytes - 1);
    } else if (bytes[0] == 'p') {
        if (ssw_problems_parse(&arena, text, n_bytes - 1, &problems, NULL) == SSW_OK && problems.n == 0)
            abort();
    } else {
        json_t *value = json_loadb(text, n_bytes - 1, JSON_REJECT_DUPLICATES, NULL);
        if (value && bytes[0] == 'k')
            try_logprobs(value);
        else if (value)
            try_line(&arena, (char)bytes[0], value);
        json_decref(value);
    }
    ssw_arena_deinit(&arena);
    return 0;
}
