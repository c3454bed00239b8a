/* A look at the width of a run's intervals while it goes on: the stopping rule of docs/METHOD.md. */
#ifndef SSW_BENCH_REPORT_LOOK_H
#define SSW_BENCH_REPORT_LOOK_H

#include "base/status.h"
#include "bench/evidence/decisions.h"

enum { SSW_LOOK_ARM_MAX = 64 };

/* Reads DIR as it lies there. Of the arms' intervals over blocks of the headline's rate the widest counts;
 * stop is set when it is at most the plan's precision. block is written through; arm_name keeps out->arm. */
ssw_status ssw_report_look(const char *dir, int block, char arm_name[SSW_LOOK_ARM_MAX], ssw_look *out,
                           ssw_error *err);

#endif
