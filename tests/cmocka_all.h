/* cmocka needs these four headers before its own, in this order. */
#ifndef SSW_TESTS_CMOCKA_ALL_H
#define SSW_TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
