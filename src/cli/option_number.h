/* Numbers as option values; what is wrong ends the program through argp_error. */
#ifndef SSW_CLI_OPTION_NUMBER_H
#define SSW_CLI_OPTION_NUMBER_H

#include <argp.h>

/* name: of the option, without its dashes. */
double ssw_option_number(struct argp_state *state, const char *name, const char *text, double least,
                         double most);
/* "3%" or "3", as a share: 0.03. */
double ssw_option_percent(struct argp_state *state, const char *name, const char *text);
int ssw_option_int(struct argp_state *state, const char *name, const char *text, int least, int most);

#endif
