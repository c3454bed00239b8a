/* The options of the quality phase. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/text_file.h"
#include "cli/ab_quality.h"
#include "cli/commands.h"
#include "cli/option_number.h"

enum option_key {
    KEY_QUALITY = 0x5100,
    KEY_SAMPLES,
    KEY_TOKENS,
    KEY_TEMPERATURE,
    KEY_MARGIN,
    KEY_PROBLEMS,
    KEY_EMBEDDINGS_URL
};

static const struct argp_option option_list[] = {
    {"quality", KEY_QUALITY, NULL, 0,
     "after the measurement, compare what the arms say: first divergence, KL of log-probabilities, cosine of "
     "embeddings "
     "and pass@k of Python problems, each against the first arm run twice",
     0},
    {"quality-samples", KEY_SAMPLES, "N", 0, "replies to each prompt and problem on each arm (5)", 0},
    {"quality-tokens", KEY_TOKENS, "N", 0, "length of each of these replies, at most (512)", 0},
    {"quality-temperature", KEY_TEMPERATURE, "T", 0, "of these requests (as --temperature)", 0},
    {"quality-margin", KEY_MARGIN, "M", 0,
     "arms count as equivalent when their difference is shown to be smaller: of pass@k, of agreement and of "
     "cosine as "
     "they are, of KL in nats (0.05)",
     0},
    {"problems", KEY_PROBLEMS, "FILE", 0, "other problems than the twenty built in (JSON, see docs/BENCH.md)",
     0},
    {"embeddings-url", KEY_EMBEDDINGS_URL, "URL", 0,
     "the server whose /v1/embeddings is asked, http://HOST:PORT (by default the last arm's)", 0},
    {0},
};

/* The text lives until another file is read, at most as long as the program. */
static const char *read_problems(struct argp_state *state, const char *path)
{
    static char *kept;
    ssw_error err;
    char *text = NULL;
    size_t n_bytes;
    ssw_arena arena;
    ssw_problems problems;
    ssw_status status = ssw_text_file_read(path, SSW_PROBLEMS_BYTES_MAX, &text, &n_bytes, &err);
    ssw_arena_init(&arena, 4 * (size_t)SSW_PROBLEMS_BYTES_MAX);
    if (!status && (status = ssw_problems_parse(&arena, text, n_bytes, &problems, &err)))
        ssw_error_prefix(&err, "%s", path);
    ssw_arena_deinit(&arena);
    if (status)
        argp_failure(state, SSW_EXIT_USAGE, 0, "%s", err.message);
    free(kept);
    kept = text;
    return kept;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    ssw_quality_options *options = state->input;
    switch (key) {
    case KEY_QUALITY:
        break;
    case KEY_SAMPLES:
        options->samples = ssw_option_int(state, "quality-samples", value, 1, SSW_QUALITY_SAMPLES_MAX);
        break;
    case KEY_TOKENS:
        options->max_tokens = ssw_option_int(state, "quality-tokens", value, 1, SSW_PLAN_TOKENS_MAX);
        break;
    case KEY_TEMPERATURE:
        options->temperature = ssw_option_number(state, "quality-temperature", value, 0, 100);
        break;
    case KEY_MARGIN:
        options->margin = ssw_option_number(state, "quality-margin", value, 1e-6, 1);
        break;
    case KEY_PROBLEMS:
        options->problems = read_problems(state, value);
        break;
    case KEY_EMBEDDINGS_URL:
        if (strncmp(value, "http://", 7) != 0 || value[strlen(value) - 1] == '/')
            argp_error(state, "--embeddings-url wants http://HOST:PORT, not '%s'", value);
        options->embeddings_url = value;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    options->wanted = true;
    return 0;
}

void ssw_ab_quality_take_plan(struct argp_state *state, const ssw_plan_quality *said,
                              ssw_quality_options *options)
{
    const struct {
        int key;
        const char *value;
    } values[] = {{KEY_SAMPLES, said->samples},         {KEY_TOKENS, said->tokens},
                  {KEY_TEMPERATURE, said->temperature}, {KEY_MARGIN, said->margin},
                  {KEY_PROBLEMS, said->problems},       {KEY_EMBEDDINGS_URL, said->embeddings_url}};
    struct argp_state own = *state;
    own.input = options;
    options->wanted |= said->wanted;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (values[i].value)
            parse(values[i].key, (char *)(uintptr_t)values[i].value, &own);
    }
}

const struct argp ssw_ab_quality_argp = {.options = option_list, .parser = parse};
