/* The options by which a command says how a model is loaded and where it runs: of serve and eval, under the
 * same names. */
#ifndef SSW_CLI_ENGINE_OPTIONS_H
#define SSW_CLI_ENGINE_OPTIONS_H

#include <argp.h>

#include "seesaw/engine.h"

/* The child's input is an ssw_engine_options, initialised by ssw_cli_engine_options_init. Its keys are 1000
 * and up and -c, -b and -t. */
extern const struct argp ssw_cli_engine_argp;

/* f16 or q8_0; anything else ends the program through argp_error. option: without its dashes. */
ssw_dtype ssw_cli_parse_cache_type(struct argp_state *state, const char *option, const char *text);

void ssw_cli_engine_options_init(ssw_engine_options *options); /* the engine's own, threads pinned, and all
                                                                  layers on the GPU where there is one */

/* Before argp: llama-server's one-dash spellings -ngl, -ot, -ctk and -ctv, which argp would take for short
 * options. */
void ssw_cli_engine_spell_out(int argc, char **argv);

#endif
