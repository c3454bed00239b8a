/* The report of `seesaw inspect`: as a table for people and as JSON for programs. Both say the same. */
#ifndef SSW_CLI_INSPECT_REPORT_H
#define SSW_CLI_INSPECT_REPORT_H

#include <jansson.h>

#include "base/read_bandwidth.h"
#include "base/sha256.h"
#include "inspect/memory_forecast.h"
#include "inspect/model_facts.h"

enum { SSW_INSPECT_SCHEMA = 1 };

typedef struct ssw_inspect_report {
    const char *path;
    const ssw_gguf *gguf;
    const ssw_model_facts *facts;
    const ssw_forecast *forecast;
    ssw_forecast_options options;    /* that the forecast was made with */
    const ssw_read_bandwidth *probe; /* NULL: not measured */
    ssw_sha256_text *sha256;         /* [files of the set], NULL: not asked for */
} ssw_inspect_report;

void ssw_inspect_print_tables(const ssw_inspect_report *report);
json_t *
ssw_inspect_make_json(const ssw_inspect_report *report); /* a new reference; NULL when out of memory */

#endif
