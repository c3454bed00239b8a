/* Numbers as option values. */
#include "cli/option_number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double ssw_option_number(struct argp_state *state, const char *name, const char *text, double least,
                         double most)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || errno || !(value >= least && value <= most))
        argp_error(state, "--%s wants a number from %g to %g, not '%s'", name, least, most, text);
    return value;
}

int ssw_option_int(struct argp_state *state, const char *name, const char *text, int least, int most)
{
    double value = ssw_option_number(state, name, text, least, most);
    if (value != floor(value))
        argp_error(state, "--%s wants a whole number, not '%s'", name, text);
    return (int)value;
}

double ssw_option_percent(struct argp_state *state, const char *name, const char *text)
{
    char number[32];
    size_t n = strlen(text);
    if (n > 0 && text[n - 1] == '%')
        n--;
    snprintf(number, sizeof number, "%.*s", n < sizeof number ? (int)n : (int)sizeof number - 1, text);
    return ssw_option_number(state, name, number, 0.01, 100) / 100;
}
