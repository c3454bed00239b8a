/* What a plan says about its verdicts. */
#include "bench/plan/plan_claims.h"

#include <string.h>

static bool same_words(const char **a, size_t n_a, const char **b, size_t n_b)
{
    bool same = n_a == n_b;
    for (size_t i = 0; same && i < n_a; i++)
        same = strcmp(a[i], b[i]) == 0;
    return same;
}

bool ssw_plan_is_same_arm(const ssw_plan_arm *a, const ssw_plan_arm *b)
{
    const char *url = a->url ? a->url : "", *other_url = b->url ? b->url : "";
    const char *server = a->server ? a->server : "", *other_server = b->server ? b->server : "";
    return same_words(a->args, a->n_args, b->args, b->n_args) &&
           same_words(a->env, a->n_env, b->env, b->n_env) && strcmp(url, other_url) == 0 &&
           strcmp(server, other_server) == 0;
}

/* Why an A/A arm cannot be added, or NULL. */
static const char *find_obstacle(const ssw_plan *plan)
{
    if (plan->n_arms == SSW_PLAN_ARMS_MAX)
        return "there are as many arms as are allowed";
    for (size_t i = 0; i < plan->n_arms; i++) {
        if (strcmp(plan->arms[i].name, SSW_PLAN_AA_NAME) == 0)
            return "an arm of that name is declared";
        if (plan->arms[i].port == 65535)
            return "no port is left after the last arm's";
    }
    return NULL;
}

ssw_status ssw_plan_add_same_arm(ssw_plan *plan, ssw_error *err)
{
    const char *obstacle = find_obstacle(plan);
    bool wanted = plan->aa == SSW_PLAN_AA_ON;
    if (plan->aa == SSW_PLAN_AA_AUTO)
        wanted = plan->design == SSW_PLAN_ABBA && plan->n_arms > 1 && !obstacle;
    for (size_t i = 1; i < plan->n_arms; i++)
        wanted = wanted && !ssw_plan_is_same_arm(&plan->arms[i], &plan->arms[0]);
    if (!wanted)
        return SSW_OK;
    if (obstacle)
        return ssw_error_set(err, SSW_ERR_USAGE, "no arm \"%s\" for A/A: %s", SSW_PLAN_AA_NAME, obstacle);
    ssw_plan_arm arm = plan->arms[0];
    arm.name = SSW_PLAN_AA_NAME;
    for (size_t i = 0; i < plan->n_arms && !arm.url; i++) { /* a server that runs already is asked twice */
        if (plan->arms[i].port >= arm.port)
            arm.port = plan->arms[i].port + 1;
    }
    plan->arms[plan->n_arms++] = arm;
    return SSW_OK;
}

int ssw_plan_first_look(const ssw_plan *plan)
{
    return plan->min_runs + plan->min_runs % 2;
}

ssw_status ssw_plan_check_claims(const ssw_plan *plan, ssw_error *err)
{
    if (!(plan->equivalence_margin >= 0 && plan->equivalence_margin <= 1))
        return ssw_error_set(err, SSW_ERR_USAGE, "the margin of equivalence must be up to 100 %%");
    if (!(plan->precision >= 0 && plan->precision <= 1))
        return ssw_error_set(err, SSW_ERR_USAGE, "the precision must be up to 100 %%");
    if (plan->precision == 0)
        return SSW_OK;
    if (plan->design != SSW_PLAN_ABBA)
        return ssw_error_set(err, SSW_ERR_USAGE, "a precision needs blocks: the design must be abba");
    if (plan->min_runs < SSW_PLAN_MIN_RUNS_MIN || plan->min_runs > plan->runs)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "with a precision the first look must be after %d to %d runs, not %d",
                             SSW_PLAN_MIN_RUNS_MIN, plan->runs, plan->min_runs);
    return SSW_OK;
}
