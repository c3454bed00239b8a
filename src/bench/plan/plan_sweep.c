/* Sweeps: values out of a range or a list, and an arm for each. */
#include "bench/plan/plan_sweep.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_BYTES_MAX = 1024, VALUE_BYTES_MAX = 64 };

static ssw_status add_value(ssw_plan *plan, const char *text, size_t n_bytes, ssw_error *err)
{
    ssw_plan_sweep *sweep = &plan->sweep;
    if (sweep->n == SSW_PLAN_ARMS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "the sweep has more than %d values", SSW_PLAN_ARMS_MAX);
    if (n_bytes == 0 || n_bytes > VALUE_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "a value of the sweep must have 1 to %d characters",
                             VALUE_BYTES_MAX);
    const char *kept = ssw_arena_copy_text(&plan->arena, text, n_bytes);
    if (!kept)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the sweep");
    sweep->values[sweep->n++] = kept;
    return SSW_OK;
}

/* "from:to" or "from:to:step"; false when it is no range of whole numbers. */
static bool read_range(const char *text, int64_t out[3])
{
    out[2] = 1;
    for (int i = 0; i < 3; i++) {
        char *end;
        errno = 0;
        out[i] = strtoll(text, &end, 10);
        if (end == text || errno || (*end != ':' && *end != '\0'))
            return false;
        if (*end == '\0')
            return i > 0;
        text = end + 1;
    }
    return false;
}

static ssw_status add_range(ssw_plan *plan, const int64_t range[3], ssw_error *err)
{
    int64_t from = range[0], to = range[1], step = range[2];
    int64_t most = INT32_MAX;
    if (step <= 0 || from > to || from < -most || to > most)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "a sweep's range goes up: FROM:TO:STEP, not %" PRId64 ":%" PRId64 ":%" PRId64,
                             from, to, step);
    ssw_status status = SSW_OK;
    for (int64_t value = from; value <= to && !status; value += step) {
        char text[24];
        int n = snprintf(text, sizeof text, "%" PRId64, value);
        status = add_value(plan, text, (size_t)n, err);
    }
    return status;
}

ssw_status ssw_plan_sweep_option(ssw_plan *plan, const char *option, ssw_error *err)
{
    const char *equals = strchr(option, '=');
    size_t n_flag = equals ? (size_t)(equals - option) : 0;
    if (!equals || n_flag == 0 || strlen(option) > OPTION_BYTES_MAX || strcspn(option, " \t\n'\"\\") < n_flag)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "--sweep wants FLAG=FROM:TO:STEP or FLAG=A,B,C, not \"%.60s\"", option);
    if (plan->sweep.flag)
        return ssw_error_set(err, SSW_ERR_USAGE, "one sweep at a time");
    char flag[OPTION_BYTES_MAX + 3];
    snprintf(flag, sizeof flag, "%s%.*s",
             *option == '-' ? ""
             : n_flag == 1  ? "-"
                            : "--",
             (int)n_flag, option);
    plan->sweep.flag = ssw_arena_copy_text(&plan->arena, flag, strlen(flag));
    if (!plan->sweep.flag)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the sweep");
    plan->sweep_is_new = true;
    int64_t range[3];
    const char *values = equals + 1;
    if (strchr(values, ':') && !strchr(values, ',') && read_range(values, range))
        return add_range(plan, range, err);
    for (;;) {
        size_t n = strcspn(values, ",");
        ssw_status status = add_value(plan, values, n, err);
        if (status || !values[n])
            return status;
        values += n + 1;
    }
}

ssw_status ssw_plan_fit_option(ssw_plan *plan, const char *option, ssw_error *err)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"KiB", 1024},
                 {"MiB", 1048576},
                 {"GiB", 1073741824},
                 {"kB", 1000},
                 {"MB", 1000 * 1000},
                 {"GB", 1e9}};
    char *end;
    double value = strtod(option, &end);
    while (end != option && *end == ' ')
        end++;
    for (size_t i = 0; end != option && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].name) == 0 && value * units[i].bytes >= 1 && value * units[i].bytes < 1e15) {
            plan->fit_bytes = (int64_t)(value * units[i].bytes);
            return SSW_OK;
        }
    }
    return ssw_error_set(err, SSW_ERR_USAGE, "--fit wants a size such as 8GiB, not \"%.40s\"", option);
}

/* Two arms that differ only in their numbers keep different names: what may not stand in one becomes '_'. */
static ssw_status add_arm(ssw_plan *plan, const char *prefix, const ssw_plan_arm *common, const char *value,
                          ssw_error *err)
{
    char name[SSW_PLAN_ARM_NAME_MAX + VALUE_BYTES_MAX + 2];
    snprintf(name, sizeof name, "%.*s-%s", SSW_PLAN_ARM_NAME_MAX, prefix, value);
    for (char *c = name; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '-')
            *c = '_';
    }
    ssw_status status = ssw_plan_add_arm(plan, name, "", err);
    if (status)
        return status;
    ssw_plan_arm *arm = &plan->arms[plan->n_arms - 1];
    const char **words = ssw_arena_alloc(&plan->arena, common->n_args + 2, sizeof *words);
    if (!words)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for arm \"%s\"", name);
    for (size_t i = 0; i < common->n_args; i++)
        words[i] = common->args[i];
    words[common->n_args] = plan->sweep.flag;
    words[common->n_args + 1] = value;
    arm->args = words;
    arm->n_args = common->n_args + 2;
    arm->env = common->env;
    arm->n_env = common->n_env;
    return SSW_OK;
}

ssw_status ssw_plan_make_sweep(ssw_plan *plan, ssw_error *err)
{
    if (plan->fit_bytes && !plan->sweep.flag)
        return ssw_error_set(err, SSW_ERR_USAGE, "--fit goes with --sweep");
    if (!plan->sweep_is_new)
        return SSW_OK;
    if (plan->sweep.n < 2)
        return ssw_error_set(err, SSW_ERR_USAGE, "a sweep wants two values or more");
    if (plan->n_arms > 1)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "--sweep makes the arms: at most one --arm may stand for all of them");
    ssw_plan_arm common = plan->n_arms ? plan->arms[0] : (ssw_plan_arm){0};
    if (common.url)
        return ssw_error_set(err, SSW_ERR_USAGE, "--sweep starts servers: it does not go with a URL");
    if (common.n_args + 2 > SSW_PLAN_ARM_WORDS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d words in the sweep's arms",
                             SSW_PLAN_ARM_WORDS_MAX);
    const char *prefix = common.name ? common.name : plan->sweep.flag + strspn(plan->sweep.flag, "-");
    plan->n_arms = 0;
    ssw_status status = SSW_OK;
    for (size_t i = 0; i < plan->sweep.n && !status; i++)
        status = add_arm(plan, prefix, &common, plan->sweep.values[i], err);
    if (!status && common.port)
        plan->arms[0].port = common.port;
    plan->sweep_is_new = status != SSW_OK;
    return status;
}
