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

/* The two functions of a choice, ssw_plan_NOUN_name and ssw_plan_parse_NOUN. */
#define DEFINE_CHOICE(noun, type, words, what)                                                               \
    const char *ssw_plan_##noun##_name(type choice)                                                          \
    {                                                                                                        \
        return words[choice];                                                                                \
    }                                                                                                        \
    ssw_status ssw_plan_parse_##noun(const char *text, type *out, ssw_error *err)                            \
    {                                                                                                        \
        int choice = (int)*out;                                                                              \
        ssw_status status = parse(what, words, text, &choice, err);                                          \
        *out = (type)choice;                                                                                 \
        return status;                                                                                       \
    }

DEFINE_CHOICE(design, ssw_plan_design, designs, "design")
DEFINE_CHOICE(ask, ssw_plan_ask, asks, "way to ask")
DEFINE_CHOICE(page_cache, ssw_plan_page_cache, page_caches, "state of the page cache")
DEFINE_CHOICE(aa, ssw_plan_aa, aas, "A/A setting")

const char *ssw_plan_length_name(int fixed_length)
{
    return lengths[fixed_length != 0];
}

ssw_status ssw_plan_parse_length(const char *text, int *fixed_length, ssw_error *err)
{
    return parse("length", lengths, text, fixed_length, err);
}
