/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: steer VM vendor TEXT	answer CPUID leaf 0 with a vendor of 12 letters
 *        steer VM deny MSR	deny writes of a MSR
 *        steer VM hold LEAF	hold the first CPUID of that leaf until SIGUSR1
 *        steer VM pagein VA	have the process that executes CPUID 0x40000123 page in the
 *				page at VA, and then the next one
 *        steer VM protect	trap every write to RAM, of which it wants to know none
 *        steer VM inject VCPU	inject one of each kind
 *        steer VM read		read all RAM again and again
 *
 * What the tests over Linux need of the library and the command does not do.
 * Prints "ready" once it has begun and "held" when it holds an event; goes on
 * until SIGTERM (exit status 0) or the VM's end (3).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <scry/scry.h>

#define CHUNK   65536u
#define NOWHERE 0x7ffff00000u	/* where the guest has no memory */

static volatile sig_atomic_t ended, released;

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		released = 1;
	else
		ended = 1;
}

static int fail(int code)
{
	fprintf(stderr, "steer: %s\n", scry_errmsg());
	return code == SCRY_E_GONE ? 3 : 1;
}

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

/* What each way of use makes of an event. */
typedef int (*event_fn)(struct scry_vm *vm, const struct scry_event *event, const char *arg);

static int answer_vendor(struct scry_vm *vm, const struct scry_event *event, const char *vendor)
{
	struct scry_regs regs = { 0 };
	struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_SKIP, .regs = &regs };
	static const enum scry_reg order[] = { SCRY_REG_RBX, SCRY_REG_RDX, SCRY_REG_RCX };

	regs.gpr[SCRY_REG_RAX] = event->cpuid.eax;
	reply.set = SCRY_REG_BIT(SCRY_REG_RAX);
	for (int i = 0; i < 3; i++) {
		memcpy(&regs.gpr[order[i]], vendor + 4 * i, 4);
		reply.set |= SCRY_REG_BIT(order[i]);
	}
	return scry_reply(vm, event, &reply);
}

static int deny(struct scry_vm *vm, const struct scry_event *event, const char *arg)
{
	(void)arg;
	return scry_reply_action(vm, event, SCRY_DENY);
}

static int hold(struct scry_vm *vm, const struct scry_event *event, const char *arg)
{
	(void)arg;
	say("held");
	while (!ended && !released)
		usleep(10000);
	return scry_reply_action(vm, event, SCRY_CONTINUE);
}

#define PAGEIN_LEAF 0x40000123u
#define WRITE_FAULT 6u	/* error code: a write at CPL 3 to a page that is not there */

/* Raise it in the place of the CPUID, which then comes again; and from outside, before it. */
static int pagein(struct scry_vm *vm, const struct scry_event *event, const char *arg)
{
	static int turn;
	uint64_t page = strtoull(arg, NULL, 0) + (turn ? 4096 : 0);
	struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_INJECT };
	const struct scry_injection fault = { .sz = sizeof(fault),
					      .exception = { 14, WRITE_FAULT, page } };
	int ret;

	reply.exception = fault.exception;
	switch (event->cpl == 3 ? turn++ : 2) {
	case 0:
		return scry_reply(vm, event, &reply);
	case 1:
		ret = scry_inject(vm, event->vcpu, &fault);
		return ret < 0 ? ret : scry_reply_action(vm, event, SCRY_CONTINUE);
	default:
		say("taken");
		return scry_reply_action(vm, event, SCRY_CONTINUE);
	}
}

static int events(struct scry_vm *vm, const struct scry_subscription *sub, event_fn fn,
		  const char *arg)
{
	struct scry_event event;
	int ret = scry_subscribe(vm, sub);

	if (ret < 0)
		return fail(ret);
	say("ready");
	while (!ended && ret >= 0) {
		ret = scry_event_wait(vm, &event, 1, 100);
		if (ret > 0)
			ret = fn(vm, &event, arg);
	}
	return ret < 0 ? fail(ret) : 0;
}

/* An event that nobody asked for. */
static int unwanted(struct scry_vm *vm, const struct scry_event *event, const char *arg)
{
	(void)arg;
	say("unwanted");
	return scry_reply_action(vm, event, SCRY_CONTINUE);
}

static int protect(struct scry_vm *vm)
{
	const struct scry_subscription sub = {
		.sz = sizeof(sub), .kind = SCRY_EVENT_MEMORY,
		.memory = { .use_range = 1, .first = NOWHERE, .last = NOWHERE },
	};
	uint64_t last;
	int ret = scry_max_gfn(vm, &last);

	if (ret >= 0)
		ret = scry_view_protect(vm, 0, 0, last + 1, SCRY_WRITE);
	return ret < 0 ? fail(ret) : events(vm, &sub, unwanted, NULL);
}

static int read_for_ever(struct scry_vm *vm)
{
	static char buf[CHUNK];
	struct scry_region regions[64];
	int count = scry_memory_map(vm, regions, 64), ret = count;

	say("ready");
	while (!ended && ret >= 0)
		for (int i = 0; i < count && i < 64 && ret >= 0; i++)
			for (uint64_t at = 0; at < regions[i].size && ret >= 0; at += 4096)
				ret = scry_read_phys(vm, regions[i].gpa + at, buf, 4096);
	return ret < 0 ? fail(ret) : 0;
}

/* The last refusal counts, and that nothing was taken. */
static int inject(struct scry_vm *vm, unsigned vcpu)
{
	static const struct scry_injection each[] = {
		{ .sz = sizeof(each[0]), .exception = { .vector = 3 } },
		{ .sz = sizeof(each[0]), .type = SCRY_INTERRUPT_HARDWARE, .vector = 64 },
		{ .sz = sizeof(each[0]), .type = SCRY_INTERRUPT_NMI },
	};
	int ret = 0;

	for (size_t i = 0; i < 3; i++) {
		ret = scry_inject(vm, vcpu, &each[i]);
		if (ret >= 0)
			say("taken");
	}
	return ret < 0 ? fail(ret) : 0;
}

static int steer(struct scry_vm *vm, const char *what, const char *arg)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CPUID };
	uint32_t number = (uint32_t)strtoul(arg, NULL, 0);

	sub.cpuid.use_leaf = 1;
	if (!strcmp(what, "vendor") && strlen(arg) == 12)
		return events(vm, &sub, answer_vendor, arg);
	if (!strcmp(what, "hold")) {
		sub.cpuid.leaf = number;
		return events(vm, &sub, hold, arg);
	}
	if (!strcmp(what, "pagein")) {
		sub.cpuid.leaf = PAGEIN_LEAF;
		return events(vm, &sub, pagein, arg);
	}
	if (!strcmp(what, "deny")) {
		sub = (struct scry_subscription){ .sz = sizeof(sub), .kind = SCRY_EVENT_MSR_WRITE };
		sub.msr.count = 1;
		sub.msr.index[0] = number;
		return events(vm, &sub, deny, arg);
	}
	if (!strcmp(what, "protect"))
		return protect(vm);
	if (!strcmp(what, "inject"))
		return inject(vm, number);
	if (!strcmp(what, "read"))
		return read_for_ever(vm);
	fprintf(stderr, "steer: there is no '%s %s'\n", what, arg);
	return 2;
}

int main(int argc, char **argv)
{
	struct scry_vm *vm;
	int ret;

	if (argc < 3)
		return 2;
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	ret = scry_open(&vm, argv[1], NULL);
	if (ret < 0)
		return fail(ret);
	ret = steer(vm, argv[2], argc > 3 ? argv[3] : "");
	scry_close(vm);
	return ret;
}
