/* The headers that cmocka needs before its own. */
#ifndef RELAY_TESTS_UNIT_SPOE_CMOCKA_ENV_H
#define RELAY_TESTS_UNIT_SPOE_CMOCKA_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
