/* Time: integer nanoseconds. CLOCK_MONOTONIC for every measurement; wall-clock time only to date a record. */
#ifndef SSW_BASE_CLOCK_H
#define SSW_BASE_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SSW_NS_PER_S  INT64_C(1000000000)
#define SSW_NS_PER_MS INT64_C(1000000)
#define SSW_NS_PER_US INT64_C(1000)

int64_t ssw_clock_now_ns(void);              /* CLOCK_MONOTONIC */
int64_t ssw_clock_wall_ns(void);             /* since 1970-01-01 UTC */
void ssw_clock_sleep_until_ns(int64_t t_ns); /* absolute, on CLOCK_MONOTONIC; returns late, never early */

enum { SSW_CLOCK_TEXT_MAX = 32 };
/* "2026-01-31T12:34:56Z" */
void ssw_clock_format_utc(int64_t wall_ns, char text[SSW_CLOCK_TEXT_MAX]);

#ifdef __cplusplus
}
#endif
#endif
