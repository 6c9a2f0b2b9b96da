/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_ERROR_H
#define SCRY_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Every function of libscry that can fail returns an int: 0 or a positive
 * result on success, one of these negative codes on failure.  A number, once
 * given, is never used for anything else.
 */
#define SCRY_ERRORS(X) \
	X(SCRY_E_INVAL,       -1,  "invalid argument") \
	X(SCRY_E_NOTFOUND,    -2,  "not found") \
	X(SCRY_E_UNSUPPORTED, -3,  "the driver cannot do this") \
	X(SCRY_E_PERM,        -4,  "permission denied") \
	X(SCRY_E_BUSY,        -5,  "busy: another client is attached") \
	X(SCRY_E_VERSION,     -6,  "versions do not match") \
	X(SCRY_E_GONE,        -7,  "the VM has ended") \
	X(SCRY_E_NOMEM,       -8,  "out of memory") \
	X(SCRY_E_ADDRESS,     -9,  "no guest memory at this address") \
	X(SCRY_E_NOTMAPPED,   -10, "virtual address not mapped") \
	X(SCRY_E_STATE,       -11, "not possible in this state") \
	X(SCRY_E_TIMEOUT,     -12, "timed out") \
	X(SCRY_E_IO,          -13, "input/output error") \
	X(SCRY_E_PROTOCOL,    -14, "the other side broke the protocol") \
	X(SCRY_E_REFUSED,     -15, "the hypervisor refused the value")

enum scry_error {
#define SCRY_ERROR_ENUM(name, number, text) name = number,
	SCRY_ERRORS(SCRY_ERROR_ENUM)
#undef SCRY_ERROR_ENUM
};

/* A few words for a code; never NULL.  Static. */
const char *scry_strerror(int code);

/*
 * One sentence about the calling thread's last failure in libscry: what
 * failed, and what to do about it.  "" if nothing has failed yet.  Valid until
 * this thread's next failing call.
 */
const char *scry_errmsg(void);

#ifdef __cplusplus
}
#endif
#endif
