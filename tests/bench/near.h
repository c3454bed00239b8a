/* |actual - expected| <= tolerance in double precision, for cmocka tests; NaN never passes. */
#ifndef SSW_TESTS_BENCH_NEAR_H
#define SSW_TESTS_BENCH_NEAR_H

#include <math.h>

#define assert_near(actual, expected, tolerance)                                                             \
    near_check((double)(actual), (double)(expected), (double)(tolerance), #actual, __FILE__, __LINE__)

static inline void near_check(double actual, double expected, double tolerance, const char *what,
                              const char *file, int line)
{
    if (fabs(actual - expected) <= tolerance)
        return;
    print_error("%s is %.17g, not %.17g within %g\n", what, actual, expected, tolerance);
    _fail(file, line);
}

#endif
