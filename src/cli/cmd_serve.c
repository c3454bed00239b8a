/* seesaw serve: reads the options. */
#include <argp.h>
#include <stdio.h>

#include "cli/commands.h"

int ssw_cmd_serve(int argc, char **argv)
{
    static const struct argp argp = {.doc = "Serve a Mixture-of-Experts model over HTTP."};
    if (argp_parse(&argp, argc, argv, 0, NULL, NULL))
        return SSW_EXIT_USAGE;
    fprintf(stderr, "%s: the server is not built yet\n", argv[0]);
    return SSW_EXIT_FAILED;
}
