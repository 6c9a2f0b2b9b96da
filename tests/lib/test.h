/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_H
#define SCRY_TEST_H

/* cmocka, which wants these before it, and what tests of the library say with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <scry/error.h>

/* A failure with its sentence. */
#define assert_error(code, call) \
	do { \
		assert_int_equal(call, code); \
		assert_true(scry_errmsg()[0]); \
	} while (0)
#define assert_says(text) assert_non_null(strstr(scry_errmsg(), text))
#define assert_ok(call)   assert_int_equal(call, 0)

#endif
