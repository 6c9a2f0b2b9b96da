/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <scry/scry.h>

#include "hostile.h"

unsigned hostile_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

struct session {
	struct peer *p;
	struct scry_vm *vm;
	int first;			/* failure */
	const char *which;
};

static void check(struct session *s, int ret, const char *what)
{
	if (ret >= 0)
		return;
	if (!scry_errmsg()[0] || ret < SCRY_E_REFUSED)
		abort();
	if (s->first)
		return;
	s->first = ret;
	s->which = what;
}

#define CALL(s, call) check(s, (int)(call), #call)

static void look(struct session *s)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct scry_region regions[8];
	struct scry_regs regs = { 0 };
	uint8_t buf[8192];
	uint64_t value;

	CALL(s, scry_info(s->vm, &info));
	CALL(s, scry_memory_map(s->vm, regions, 8));
	CALL(s, scry_read_phys(s->vm, 0x1ff0, buf, 5000));
	CALL(s, scry_write_phys(s->vm, 0x100ff0, buf, 5000));
	CALL(s, scry_pause(s->vm));
	CALL(s, scry_regs_get(s->vm, 0, &regs));
	CALL(s, scry_regs_set(s->vm, 0, &regs, SCRY_REG_BIT(SCRY_REG_RAX)));
	CALL(s, scry_resume(s->vm));
	CALL(s, scry_msr_get(s->vm, 1, 0x174, &value));
	CALL(s, scry_xsave_get(s->vm, 1, buf, sizeof(buf)));
	CALL(s, scry_xsave_set(s->vm, 1, buf, 4096));
}

static const struct scry_subscription subs[] = {
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_CR_WRITE, .cr = { .cr = 3 } },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_MSR_WRITE,
	  .msr = { .count = 1, .index = { 0x174 } } },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_XSETBV },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_INT3 },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_DESCRIPTOR },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_HYPERCALL },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_MEMORY },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_STEP },
	{ .sz = sizeof(subs[0]), .kind = SCRY_EVENT_CPUID },	/* v7 */
};

#define SUBS (sizeof(subs) / sizeof(subs[0]))

static void arm(struct session *s, bool v7)
{
	const struct scry_breakpoint b = { .sz = sizeof(b), .address = 0x200123,
					   .flags = SCRY_BREAKPOINT_PHYSICAL };

	for (size_t i = 0; i < SUBS - !v7; i++)
		CALL(s, scry_subscribe(s->vm, &subs[i]));
	CALL(s, scry_view_protect(s->vm, 0, 0x101, 700, SCRY_WRITE));
	CALL(s, scry_breakpoint_add(s->vm, &b));
	if (v7) {
		CALL(s, scry_view_create(s->vm, 0));
		CALL(s, scry_view_switch(s->vm, 0, 1));
		CALL(s, scry_view_destroy(s->vm, 1));
	}
}

/* One of every kind, with the part that a kernel would give it. */
static void raise_one(struct session *s, enum kvmi_event event)
{
	union {
		struct kvmi_event_cr cr;
		struct kvmi_event_msr msr;
		struct kvmi_event_breakpoint int3;
		struct kvmi_event_descriptor desc;
		struct kvmi_event_pf pf;
		struct kvmi_v7_event_cpuid cpuid;
		uint8_t bytes[24];
	} part = { 0 };

	if (event == KVMI_EVENT_CR)
		part.cr = (struct kvmi_event_cr){ .cr = 3, .new_value = 0x1000 };
	else if (event == KVMI_EVENT_MSR)
		part.msr = (struct kvmi_event_msr){ .msr = 0x174, .new_value = 1 };
	else if (event == KVMI_EVENT_BREAKPOINT)
		part.int3.insn_len = 1;
	else if (event == KVMI_EVENT_DESCRIPTOR)
		part.desc.descriptor = KVMI_IDTR;
	else if (event == KVMI_EVENT_PF)
		part.pf = (struct kvmi_event_pf){ 0x123, 0x200123, KVMI_EXEC, 0, 0, 0 };
	else if (event == KVMI_EVENT_CPUID)
		part.cpuid.insn_len = 2;
	/* A vCPU that waits for the reply to another cannot tell of it. */
	if (peer_runs(s->p, 0, HOSTILE_TIMEOUT_MS))
		peer_raise(s->p, 0, event, part.bytes, sizeof(part));
}

static void take_one(struct session *s)
{
	struct scry_event e;
	int n = scry_event_wait(s->vm, &e, 1, HOSTILE_TIMEOUT_MS);

	check(s, n, "scry_event_wait");
	if (n <= 0)
		return;
	if (e.kind >= SCRY_EVENT_COUNT || e.vcpu >= (unsigned)scry_vcpu_count(s->vm) || e.cpl > 3 ||
	    e.insn_len > 15 || e.view >= SCRY_VIEWS)
		abort();
	check(s, scry_reply_action(s->vm, &e, SCRY_CONTINUE), "scry_reply");
}

static void events(struct session *s, bool v7)
{
	static const enum kvmi_event all[] = {
		KVMI_EVENT_CR, KVMI_EVENT_MSR, KVMI_EVENT_XSETBV, KVMI_EVENT_BREAKPOINT,
		KVMI_EVENT_DESCRIPTOR, KVMI_EVENT_HYPERCALL, KVMI_EVENT_PF, KVMI_EVENT_SINGLESTEP,
		KVMI_EVENT_CPUID,
	};
	struct scry_injection ud = { .sz = sizeof(ud), .exception = { .vector = 6 } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) - !v7 && s->first != SCRY_E_GONE; i++) {
		raise_one(s, all[i]);
		take_one(s);
	}
	CALL(s, scry_inject(s->vm, 0, &ud));
	CALL(s, scry_unsubscribe(s->vm, 1));
}

int hostile_session(struct peer *p, enum kvmi_generation generation, const char *path,
		    unsigned timeout_ms, const char **which)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = timeout_ms };
	struct session s = { .p = p, .which = "nothing" };
	char uri[256];

	snprintf(uri, sizeof(uri), "kvmi:%s", path);
	peer_start(p, generation, path);
	CALL(&s, scry_open(&s.vm, uri, &opts));
	if (s.vm) {
		look(&s);
		arm(&s, generation == KVMI_V7);
		events(&s, generation == KVMI_V7);
	}
	scry_close(s.vm);
	peer_stop(p);
	if (which)
		*which = s.which;
	return s.first;
}
