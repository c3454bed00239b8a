/* What was loaded and where every class of tensors went, as people read it. */
#ifndef SSW_CLI_PLACEMENT_TABLE_H
#define SSW_CLI_PLACEMENT_TABLE_H

#include <stdio.h>

#include "seesaw/engine.h"

/* The model in one line, then a row per place: class, device, how, bytes predicted and actual. */
void ssw_cli_print_placement(const ssw_engine_info *info, FILE *out);

/* What keeping experts in host memory has changed: nothing, when no tensor is on a GPU. */
void ssw_cli_print_offload_effect(const ssw_engine_info *info, FILE *out);

#endif
