/* The words of a plan's choices. */
#include <string.h>

#include "bench/plan/plan.h"

enum { CHOICES_MAX = 3 };

static const char *const designs[CHOICES_MAX + 1] = {"abba", "sequential"};
static const char *const asks[CHOICES_MAX + 1] = {"chat", "completion"};
static const char *const page_caches[CHOICES_MAX + 1] = {"as-is", "warm", "cold"};
static const char *const aas[CHOICES_MAX + 1] = {"off", "auto", "on"};
static const char *const lengths[CHOICES_MAX + 1] = {"natural", "fixed"};

static ssw_status parse(const char *what, const char *const *words, const char *text, int *out,
                        ssw_error *err)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return SSW_OK;
        }
    }
    return ssw_error_set(err, SSW_ERR_USAGE, "unknown %s \"%.40s\": %s%s%s%s%s", what, text, words[0],
                         words[2] ? ", " : " or ", words[1], words[2] ? " or " : "",
                         words[2] ? words[2] : "");
}

const char *ssw_plan_design_name(ssw_plan_design design)
{
    return designs[design];
}

ssw_status ssw_plan_parse_design(const char *text, ssw_plan_design *out, ssw_error *err)
{
    int choice = *out;
    ssw_status status = parse("design", designs, text, &choice, err);
    *out = (ssw_plan_design)choice;
    return status;
}

const char *ssw_plan_ask_name(ssw_plan_ask ask)
{
    return asks[ask];
}

ssw_status ssw_plan_parse_ask(const char *text, ssw_plan_ask *out, ssw_error *err)
{
    int choice = *out;
    ssw_status status = parse("way to ask", asks, text, &choice, err);
    *out = (ssw_plan_ask)choice;
    return status;
}

const char *ssw_plan_page_cache_name(ssw_plan_page_cache page_cache)
{
    return page_caches[page_cache];
}

ssw_status ssw_plan_parse_page_cache(const char *text, ssw_plan_page_cache *out, ssw_error *err)
{
    int choice = *out;
    ssw_status status = parse("state of the page cache", page_caches, text, &choice, err);
    *out = (ssw_plan_page_cache)choice;
    return status;
}

const char *ssw_plan_length_name(int fixed_length)
{
    return lengths[fixed_length != 0];
}

ssw_status ssw_plan_parse_length(const char *text, int *fixed_length, ssw_error *err)
{
    return parse("length", lengths, text, fixed_length, err);
}

const char *ssw_plan_aa_name(ssw_plan_aa aa)
{
    return aas[aa];
}

ssw_status ssw_plan_parse_aa(const char *text, ssw_plan_aa *out, ssw_error *err)
{
    int choice = *out;
    ssw_status status = parse("A/A setting", aas, text, &choice, err);
    *out = (ssw_plan_aa)choice;
    return status;
}
