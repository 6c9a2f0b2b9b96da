/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_DOCTOR_H
#define TOOL_DOCTOR_H

#include <json-c/json.h>
#include <stdbool.h>

enum finding_level {
	FINDING_OK,
	FINDING_NOTE,	/* works, but not in every way */
	FINDING_BAD,
};

/* What `scry doctor` finds: printed as it comes, or gathered as JSON. */
struct findings {
	struct json_object *json;	/* an array, or NULL to print */
};

/* fix is the command that changes it, or NULL. */
void finding(struct findings *f, enum finding_level level, const char *what, const char *fix,
	     const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The host; those that return something tell whether a VM can be looked into as to this. */
bool doctor_agent(struct findings *f, enum finding_level missing);
bool doctor_rundir(struct findings *f);
void doctor_ptrace(struct findings *f);
void doctor_kvm(struct findings *f);
enum finding_level doctor_xen(struct findings *f);	/* NOTE where this is no dom0 */
void doctor_vms(struct findings *f);
void doctor_kvmi(struct findings *f);
/* Listen at this socket (as behind "kvmi:"), and say what connects. */
bool doctor_kvmi_try(struct findings *f, const char *socket);

/*
 * One QEMU binary, with more arguments of the user's if wished: starts a VM
 * without a guest, and looks into it.
 */
bool doctor_qemu(struct findings *f, const char *binary, char *const *args);

#endif
