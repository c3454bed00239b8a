/* The plan: defaults, building, checks. */
#include "bench/plan/plan.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bench/plan/plan_claims.h"
#include "bench/plan/plan_sweep.h"
#include "bench/plan/plan_words.h"

enum { ARENA_BYTES_MAX = 64 << 20 };

static const struct {
    const char *label, *text;
    int published_tokens;
} default_prompts[] = {
    {"short", "Write a haiku about AI", 7},
    {"medium", "Explain quantum computing in simple terms", 6},
    {"long", "Write a Python function to calculate fibonacci numbers recursively", 10},
    {"very long",
     "Write a detailed technical explanation of how gradient descent optimization works in machine learning",
     27},
};

void ssw_plan_init(ssw_plan *plan)
{
    *plan = (ssw_plan){
        .design = SSW_PLAN_ABBA,
        .seed = 1,
        .runs = 3,
        .warmup_runs = 1,
        .max_tokens = 100,
        .temperature = 0.3,
        .min_runs = 6,
        .pause_ns = 5 * SSW_NS_PER_S,
        .ready_timeout_ns = 600 * SSW_NS_PER_S,
        .hang_timeout_ns = 120 * SSW_NS_PER_S,
        .stop_grace_ns = 10 * SSW_NS_PER_S,
        .memory_timeout_ns = 30 * SSW_NS_PER_S,
    };
    ssw_arena_init(&plan->arena, ARENA_BYTES_MAX);
}

void ssw_plan_deinit(ssw_plan *plan)
{
    ssw_arena_deinit(&plan->arena);
    *plan = (ssw_plan){0};
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
            return false;
    }
    return n > 0 && n <= SSW_PLAN_ARM_NAME_MAX;
}

/* NAME=... with a NAME that an environment variable may have. */
static bool is_assignment(const char *word)
{
    if (!isalpha((unsigned char)*word) && *word != '_')
        return false;
    while (isalnum((unsigned char)*word) || *word == '_')
        word++;
    return *word == '=';
}

ssw_status ssw_plan_add_arm(ssw_plan *plan, const char *name, const char *words, ssw_error *err)
{
    if (!is_name(name))
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "arm name \"%.40s\": 1 to %d letters, digits, '-' or '_' are allowed", name,
                             SSW_PLAN_ARM_NAME_MAX);
    for (size_t i = 0; i < plan->n_arms; i++) {
        if (strcmp(plan->arms[i].name, name) == 0)
            return ssw_error_set(err, SSW_ERR_USAGE, "arm \"%s\" is declared twice", name);
    }
    if (plan->n_arms == SSW_PLAN_ARMS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d arms", SSW_PLAN_ARMS_MAX);
    const char **all = ssw_arena_alloc(&plan->arena, SSW_PLAN_ARM_WORDS_MAX, sizeof *all);
    ssw_plan_arm arm = {.name = ssw_arena_copy_text(&plan->arena, name, strlen(name)), .env = all};
    if (!all || !arm.name)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for arm \"%s\"", name);
    size_t n_words;
    ssw_status status = ssw_plan_split_words(&plan->arena, words, all, SSW_PLAN_ARM_WORDS_MAX, &n_words, err);
    if (status) {
        ssw_error_prefix(err, "arm \"%s\"", name);
        return status;
    }
    while (arm.n_env < n_words && is_assignment(all[arm.n_env]))
        arm.n_env++;
    arm.args = all + arm.n_env;
    arm.n_args = n_words - arm.n_env;
    plan->arms[plan->n_arms++] = arm;
    return SSW_OK;
}

ssw_status ssw_plan_set_server(ssw_plan *plan, const char *server, size_t n_bytes, ssw_error *err)
{
    ssw_plan_arm *arm = &plan->arms[plan->n_arms - 1];
    if (n_bytes == 0)
        return ssw_error_set(err, SSW_ERR_USAGE, "arm \"%s\": no server after '@'", arm->name);
    arm->server = ssw_arena_copy_text(&plan->arena, server, n_bytes);
    return arm->server ? SSW_OK
                       : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for arm \"%s\"", arm->name);
}

typedef ssw_status arm_adder(ssw_plan *plan, const char *name, const char *rest, ssw_error *err);

/* NAME[@SERVER]=REST */
static ssw_status add_named(ssw_plan *plan, const char *option, size_t n, arm_adder *add, ssw_error *err)
{
    char name[SSW_PLAN_ARM_NAME_MAX + 2];
    const char *at = memchr(option, '@', n);
    size_t n_name = at ? (size_t)(at - option) : n;
    snprintf(name, sizeof name, "%.*s", (int)(n_name < sizeof name ? n_name : sizeof name - 1), option);
    ssw_status status = add(plan, name, option + n + 1, err);
    if (status || !at)
        return status;
    return ssw_plan_set_server(plan, at + 1, n - n_name - 1, err);
}

ssw_status ssw_plan_add_arm_option(ssw_plan *plan, const char *option, ssw_error *err)
{
    const char *equals = strchr(option, '=');
    if (!equals)
        return ssw_error_set(err, SSW_ERR_USAGE, "--arm wants NAME='ARGUMENTS', not \"%.60s\"", option);
    return add_named(plan, option, (size_t)(equals - option), ssw_plan_add_arm, err);
}

ssw_status ssw_plan_add_url_option(ssw_plan *plan, const char *option, ssw_error *err)
{
    const char *equals = strchr(option, '=');
    if (!equals || strncmp(option, "http://", 7) == 0)
        return ssw_plan_add_url(plan, "running", option, err);
    return add_named(plan, option, (size_t)(equals - option), ssw_plan_add_url, err);
}

/* The array doubles inside the arena: what it leaves behind is at most as large as itself. */
static bool reserve_prompt(ssw_plan *plan)
{
    size_t n = plan->n_prompts;
    if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
        return true;
    ssw_plan_prompt *grown = ssw_arena_alloc(&plan->arena, n ? 2 * n : 4, sizeof *grown);
    if (!grown)
        return false;
    if (n)
        memcpy(grown, plan->prompts, n * sizeof *grown);
    plan->prompts = grown;
    return true;
}

ssw_status ssw_plan_add_prompt(ssw_plan *plan, const char *label, const char *text, size_t n_bytes,
                               int64_t published_tokens, ssw_error *err)
{
    if (n_bytes == 0)
        return ssw_error_set(err, SSW_ERR_USAGE, "prompt %zu is empty", plan->n_prompts + 1);
    if (n_bytes > SSW_PLAN_PROMPT_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "prompt %zu is larger than %d bytes", plan->n_prompts + 1,
                             SSW_PLAN_PROMPT_BYTES_MAX);
    if (memchr(text, '\0', n_bytes))
        return ssw_error_set(err, SSW_ERR_FORMAT, "prompt %zu holds a NUL byte", plan->n_prompts + 1);
    if (plan->n_prompts == SSW_PLAN_PROMPTS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d prompts", SSW_PLAN_PROMPTS_MAX);
    char id[16], number[16];
    snprintf(id, sizeof id, "q%zu", plan->n_prompts + 1);
    snprintf(number, sizeof number, "prompt %zu", plan->n_prompts + 1);
    if (!label)
        label = number;
    ssw_plan_prompt prompt = {
        .id = ssw_arena_copy_text(&plan->arena, id, strlen(id)),
        .label = ssw_arena_copy_text(&plan->arena, label, strlen(label)),
        .text = ssw_arena_copy_text(&plan->arena, text, n_bytes),
        .published_tokens = published_tokens,
        .tokens = SSW_PLAN_NO_COUNT,
    };
    if (!prompt.id || !prompt.label || !prompt.text || !reserve_prompt(plan))
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the prompts");
    plan->prompts[plan->n_prompts++] = prompt;
    return SSW_OK;
}

static ssw_status add_defaults(ssw_plan *plan, int first_port, ssw_error *err)
{
    ssw_status status = SSW_OK;
    if (plan->n_prompts == 0) {
        for (size_t i = 0; !status && i < sizeof default_prompts / sizeof *default_prompts; i++)
            status = ssw_plan_add_prompt(plan, default_prompts[i].label, default_prompts[i].text,
                                         strlen(default_prompts[i].text), default_prompts[i].published_tokens,
                                         err);
    }
    if (plan->n_arms == 0) {
        if (!status)
            status = ssw_plan_add_arm(plan, "baseline", "", err);
        if (!status)
            status = ssw_plan_add_arm(plan, "offload", "--cpu-moe", err);
    }
    for (size_t i = 0; i < plan->n_arms; i++) {
        if (plan->arms[i].port == 0)
            plan->arms[i].port = (first_port ? first_port : SSW_PLAN_FIRST_PORT) + (int)i;
    }
    return status;
}

static ssw_status check_duration(const char *name, int64_t value_ns, int64_t least_ns, ssw_error *err)
{
    if (value_ns < least_ns || value_ns > SSW_PLAN_DURATION_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "%s must be %g to 86400 s, not %g", name,
                             (double)least_ns / (double)SSW_NS_PER_S,
                             (double)value_ns / (double)SSW_NS_PER_S);
    return SSW_OK;
}

static ssw_status check_count(const char *name, int64_t value, int64_t least, int64_t most, ssw_error *err)
{
    if (value < least || value > most)
        return ssw_error_set(err, SSW_ERR_USAGE, "%s must be %lld to %lld, not %lld", name, (long long)least,
                             (long long)most, (long long)value);
    return SSW_OK;
}

static ssw_status check_ports(const ssw_plan *plan, ssw_error *err)
{
    for (size_t i = 0; i < plan->n_arms; i++) {
        ssw_status status = check_count("a port", plan->arms[i].port, 1, 65535, err);
        if (status)
            return status;
        for (size_t j = 0; j < i; j++) {
            bool both_run = plan->arms[i].url && plan->arms[j].url; /* it may be one server: A/A */
            if (!both_run && plan->arms[i].port == plan->arms[j].port)
                return ssw_error_set(err, SSW_ERR_USAGE, "arms \"%s\" and \"%s\" share port %d",
                                     plan->arms[j].name, plan->arms[i].name, plan->arms[i].port);
        }
    }
    return SSW_OK;
}

ssw_status ssw_plan_finish(ssw_plan *plan, int first_port, ssw_error *err)
{
    ssw_status status = ssw_plan_make_sweep(plan, err);
    if (!status)
        status = add_defaults(plan, first_port, err);
    if (!status)
        status = check_count("runs", plan->runs, 1, SSW_PLAN_RUNS_MAX, err);
    if (!status)
        status = check_count("warm-up requests", plan->warmup_runs, 0, SSW_PLAN_WARMUPS_MAX, err);
    if (!status)
        status = check_count("max tokens", plan->max_tokens, 1, SSW_PLAN_TOKENS_MAX, err);
    if (!status && !(isfinite(plan->temperature) && plan->temperature >= 0 && plan->temperature <= 100))
        status = ssw_error_set(err, SSW_ERR_USAGE, "temperature must be 0 to 100, not %g", plan->temperature);
    if (!status)
        status = check_count("top logprobs", plan->top_logprobs, 0, SSW_PLAN_TOP_LOGPROBS_MAX, err);
    if (!status)
        status = ssw_plan_check_claims(plan, err);
    if (!status)
        status = check_duration("pause", plan->pause_ns, 0, err);
    if (!status)
        status = check_duration("ready timeout", plan->ready_timeout_ns, SSW_NS_PER_MS, err);
    if (!status)
        status = check_duration("timeout", plan->hang_timeout_ns, SSW_NS_PER_MS, err);
    if (!status)
        status = check_duration("stop grace", plan->stop_grace_ns, 0, err);
    if (!status)
        status = check_duration("memory timeout", plan->memory_timeout_ns, 0, err);
    return status ? status : check_ports(plan, err);
}
