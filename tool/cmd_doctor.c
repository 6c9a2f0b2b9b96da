/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/command.h"
#include "common/output.h"
#include "doctor/doctor.h"

enum { KEY_QEMU = KEY_FIRST_OWN, KEY_KVMI };

static const struct {
	const char *word, *shown;
	enum colour colour;
} levels[] = {
	[FINDING_OK] = { "ok", "ok  ", GREEN },
	[FINDING_NOTE] = { "note", "note", YELLOW },
	[FINDING_BAD] = { "bad", "BAD ", RED },
};

static void add_json(struct findings *f, enum finding_level level, const char *what,
		     const char *fix, const char *text)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_string(o, "level", levels[level].word);
	json_add_string(o, "what", what);
	json_add_string(o, "text", text);
	if (fix)
		json_add_string(o, "fix", fix);
	json_object_array_add(f->json, o);
}

void finding(struct findings *f, enum finding_level level, const char *what, const char *fix,
	     const char *format, ...)
{
	char text[2400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (f->json) {
		add_json(f, level, what, fix, text);
		return;
	}
	printf("%s%s%s  %s%s%s: %s\n", colour(levels[level].colour), levels[level].shown,
	       colour(PLAIN), colour(BOLD), what, colour(PLAIN), text);
	if (fix)
		printf("      to change it: %s\n", fix);
	fflush(stdout);
}

/* Those that distributions install, where they are. */
static bool check_qemus(struct findings *f)
{
	static const char *const others[] = { "/usr/libexec/qemu-kvm", NULL };
	bool works = doctor_qemu(f, "qemu-system-x86_64", NULL);

	for (const char *const *path = others; *path; path++)
		if (!access(*path, X_OK))
			works = doctor_qemu(f, *path, NULL) || works;
	return works;
}

static int check_all(struct findings *f, const char *qemu, char *const *qemu_args)
{
	bool dom0 = doctor_xen(f) == FINDING_OK, works;

	/* Xen's domains need no agent, and a dom0 has no KVM. */
	works = doctor_agent(f, dom0 ? FINDING_NOTE : FINDING_BAD);
	works = doctor_rundir(f) && works;
	/* Without the agent there is nothing to try in a QEMU. */
	if (works)
		works = qemu ? doctor_qemu(f, qemu, qemu_args) : check_qemus(f);
	doctor_ptrace(f);
	if (!dom0)
		doctor_kvm(f);
	if (!dom0)
		doctor_kvmi(f);
	doctor_vms(f);
	return works || dom0 ? 0 : EXIT_FAILURE;
}

static int doctor(struct args *args)
{
	struct findings f = { 0 };
	const char *qemu = NULL, *kvmi = NULL;
	int key, ret;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_QEMU)
			qemu = optarg;
		else if (key == KEY_KVMI)
			kvmi = optarg;
		else if (!f.json)
			f.json = checked(json_object_new_array());
	}
	if (args->next < args->argc && !qemu)
		usage_error(args, "QEMU's own arguments need --qemu");
	if (kvmi)
		ret = doctor_kvmi_try(&f, kvmi) ? 0 : EXIT_FAILURE;
	else
		ret = check_all(&f, qemu, args->argv + args->next);
	if (f.json) {
		json_print(f.json);
	} else if (!kvmi) {
		printf("\n%s%s%s\n", colour(BOLD),
		       ret ? "No VM can be looked into on this host as it is." :
			     "VMs can be looked into on this host.", colour(PLAIN));
	}
	return ret;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "what works on this host, and what to do about what does not",
	.usage = "[--json] [--qemu BINARY [-- QEMU-ARGS...] | --kvmi SOCKET]",
	.about = "Looks for the agent, the runtime folder, QEMU and what else matters, and\n"
		 "tries each QEMU out: starts a VM without a guest, looks into it, and ends\n"
		 "it. Exit status 0 if a VM can be looked into. Beside what can be changed\n"
		 "stands the command that does it.",
	.opts = (const struct opt[]){
		{ KEY_QEMU, "qemu", "BINARY", "try this QEMU, not those installed" },
		{ KEY_KVMI, "kvmi", "SOCKET", "wait there for a VM of a kernel with KVMI, and try it" },
		OPT_JSON,
		{ 0 },
	},
	.example = "scry doctor\n"
		   "scry doctor --qemu /opt/qemu/bin/qemu-system-x86_64",
	.options_first = true,
	.run = doctor,
};
