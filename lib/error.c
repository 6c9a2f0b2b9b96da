/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "vm.h"

static _Thread_local char message[512];

int scry_fail(int code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	return code;
}

const char *scry_errmsg(void)
{
	return message;
}

const char *scry_strerror(int code)
{
	switch (code) {
#define SCRY_ERROR_TEXT(name, number, text) case number: return text;
	SCRY_ERRORS(SCRY_ERROR_TEXT)
#undef SCRY_ERROR_TEXT
	default:
		return code >= 0 ? "success" : "unknown error";
	}
}
