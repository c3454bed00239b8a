/* Numbers as option values. */
#include "cli/option_number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

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
