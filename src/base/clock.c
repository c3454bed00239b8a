/* Thin names over clock_gettime and clock_nanosleep. */
#include "base/clock.h"

#include <errno.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * SSW_NS_PER_S + ts.tv_nsec;
}

int64_t ssw_clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t ssw_clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void ssw_clock_sleep_until_ns(int64_t t_ns)
{
    struct timespec ts = {.tv_sec = t_ns / SSW_NS_PER_S, .tv_nsec = t_ns % SSW_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR) {
    }
}

void ssw_clock_format_utc(int64_t wall_ns, char text[SSW_CLOCK_TEXT_MAX])
{
    time_t seconds = (time_t)(wall_ns / SSW_NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, SSW_CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
