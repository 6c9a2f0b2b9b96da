/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* System calls put together from their two events: who enters is known again when it returns. */
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "../common/stop.h"
#include "trace.h"

#define VCPUS        64
#define WAIT_MS      50
#define PENDING_MOST 65536	/* calls that wait; those beyond are shown without results */
#define X32_BIT      0x40000000u
#define CS_LONG      (1u << 13)	/* in a segment's attributes */

static int by_task(const void *a, const void *b)
{
	const struct syscall *x = a, *y = b;

	return (x->task > y->task) - (x->task < y->task);
}

static bool is_wanted(struct systrace *t, const struct syscall *call)
{
	char buf[32];

	if (t->pid && call->who.tgid != t->pid && call->who.pid != t->pid)
		return false;
	if (t->comm && strncmp(t->comm, call->who.comm, sizeof(call->who.comm)))
		return false;
	for (size_t i = 0; i < t->name_count; i++)
		if (!strcmp(t->names[i], systrace_name_of(t, call, buf)))
			return true;
	return !t->name_count;
}

/* The caller's address space: most often that of the call before. */
static void use_memory(struct user_memory *m, uint64_t cr3)
{
	struct scry_as_opts opts = { .sz = sizeof(opts), .mode = m->mode, .nxe = 1 };

	if (m->as && scry_as_root(m->as) == cr3)
		return;
	scry_as_free(m->as);
	if (scry_as_open(m->vm, cr3, &opts, &m->as) < 0)
		m->as = NULL;
}

static void decode(struct systrace *t, struct syscall *call)
{
	char buf[32];

	if (t->stat)
		return;
	use_memory(&t->memory, call->cr3);
	syscall_decode(&t->memory, systrace_name_of(t, call, buf), call);
}

static void decode_outputs(struct systrace *t, struct syscall *call)
{
	char buf[32];

	if (t->stat || !syscall_has_outputs(call))
		return;
	use_memory(&t->memory, call->cr3);
	syscall_decode_outputs(&t->memory, systrace_name_of(t, call, buf), call);
}

static bool never_returns(struct systrace *t, const struct syscall *call)
{
	char buf[32];
	const char *name = systrace_name_of(t, call, buf);

	return !t->returns || !strcmp(name, "exit") || !strcmp(name, "exit_group");
}

static void take_registers(const struct scry_event *e, struct syscall *call)
{
	static const enum scry_reg regs[] = {
		SCRY_REG_RDI, SCRY_REG_RSI, SCRY_REG_RDX, SCRY_REG_R10, SCRY_REG_R8, SCRY_REG_R9,
	};

	for (int i = 0; i < SYSCALL_ARGS; i++)
		call->arg[i] = e->gpr[regs[i]];
	call->number = (uint32_t)e->gpr[SCRY_REG_RAX] & ~X32_BIT;
}

/* What the kernel keeps of them: struct pt_regs. */
static int take_frame(struct systrace *t, const struct scry_event *e, enum entrance entry,
		      struct syscall *call)
{
	const struct frame *f = &t->entry[entry].frame;
	unsigned char bytes[FRAME_MOST];
	uint64_t number, sp;

	if (scry_read_virt(scry_linux_as(t->guest.os), e->gpr[SCRY_REG_RDI], bytes, t->frame_size) < 0)
		return -1;
	memcpy(&number, bytes + f->number, sizeof(number));
	call->number = (uint32_t)number;
	call->i386 = entry != ENTRY_64;
	/* One of x32; a number that is none at all stays what it is. */
	if (!call->i386 && (call->number & ~X32_BIT) < 2 * SYSCALLS_KNOWN)
		call->number &= ~X32_BIT;
	for (int i = 0; i < SYSCALL_ARGS; i++) {
		memcpy(&call->arg[i], bytes + f->arg[i], sizeof(call->arg[i]));
		if (call->i386)
			call->arg[i] = (uint32_t)call->arg[i];
	}
	if (entry != ENTRY_FAST)
		return 0;
	/* ebp had another use: the last argument is on the caller's stack. */
	memcpy(&sp, bytes + t->sp, sizeof(sp));
	call->arg[SYSCALL_ARGS - 1] = 0;
	use_memory(&t->memory, call->cr3);
	syscall_read_user(&t->memory, sp, &call->arg[SYSCALL_ARGS - 1], 4);
	return 0;
}

/* entry ENTRY_COUNT: by the event SYSCALL. */
static void on_entry(struct systrace *t, const struct scry_event *e, enum entrance entry)
{
	struct syscall call = { .cr3 = e->cr3, .time_ns = now_ns() }, *kept;

	if (entry == ENTRY_COUNT)
		take_registers(e, &call);
	if (scry_linux_current(t->guest.os, e->vcpu, &call.who) < 0 ||
	    (entry < ENTRY_COUNT && take_frame(t, e, entry, &call) < 0)) {
		t->lost++;
		return;
	}
	call.task = call.who.address;
	if (!is_wanted(t, &call))
		return;
	decode(t, &call);
	if (never_returns(t, &call) || t->pending_count >= PENDING_MOST) {
		systrace_show(t, &call);
		return;
	}
	kept = checked(malloc(sizeof(*kept)));
	*kept = call;
	if (*(struct syscall **)checked(tsearch(kept, &t->pending, by_task)) == kept) {
		t->pending_count++;
	} else {	/* that one never returned */
		struct syscall *before = *(struct syscall **)tfind(kept, &t->pending, by_task);

		systrace_show(t, before);
		*before = call;
		free(kept);
	}
}

static void on_return(struct systrace *t, const struct scry_event *e)
{
	struct scry_linux_task who;
	struct syscall key, **found, *call;
	uint64_t result, frame = e->gpr[t->exit_by_stack ? SCRY_REG_RSP : SCRY_REG_RDI];

	if (scry_linux_current(t->guest.os, e->vcpu, &who) < 0)
		return;		/* its call remains one that has not returned */
	key.task = who.address;
	found = tfind(&key, &t->pending, by_task);
	if (!found)
		return;
	call = *found;
	tdelete(call, &t->pending, by_task);
	t->pending_count--;
	call->returned = scry_read_virt_u64(scry_linux_as(t->guest.os), frame + t->ax, &result) >= 0;
	if (call->returned) {
		call->result = (int64_t)result;
		decode_outputs(t, call);
	}
	systrace_show(t, call);
	free(call);
}

/* A 32-bit program's SYSCALL enters elsewhere, which a breakpoint tells of. */
static bool is_64_bit(struct systrace *t, const struct scry_event *e)
{
	struct scry_regs regs;

	return e->rip >> 32 || scry_regs_get(t->guest.vm, e->vcpu, &regs) < 0 ||
	       regs.seg[SCRY_REG_CS - SCRY_REG_ES].attr & CS_LONG;
}

static void take_breakpoint(struct systrace *t, const struct scry_event *e)
{
	if (t->returns && e->breakpoint.number == t->exit)
		on_return(t, e);
	for (enum entrance i = 0; i < ENTRY_COUNT; i++)
		if (t->entry[i].armed && e->breakpoint.number == t->entry[i].breakpoint)
			on_entry(t, e, i);
}

static int take(struct systrace *t, const struct scry_event *e)
{
	if (e->kind == SCRY_EVENT_BREAKPOINT)
		take_breakpoint(t, e);
	else if (e->kind == SCRY_EVENT_SYSCALL && !e->syscall.sysenter && is_64_bit(t, e))
		on_entry(t, e, ENTRY_COUNT);
	return scry_reply_action(t->guest.vm, e, SCRY_CONTINUE);
}

static bool is_over(const struct systrace *t)
{
	return stop_asked() || (t->most && t->shown >= t->most) ||
	       (t->ms && now_ns() - t->began >= t->ms * UINT64_C(1000000));
}

static int loop(struct systrace *t)
{
	struct scry_event events[VCPUS];

	while (!is_over(t) && output_pass_on(&t->flushed)) {
		int n = scry_event_wait(t->guest.vm, events, VCPUS, WAIT_MS);

		for (int i = 0; i < n; i++) {
			int ret = take(t, &events[i]);

			if (ret < 0)
				return ret;
			if (t->most && t->shown >= t->most)
				break;
		}
		if (n < 0)
			return n;
	}
	return 0;
}

int systrace_run(struct systrace *t)
{
	int ret = systrace_arm(t);

	t->began = now_ns();
	if (!ret && !t->json && !t->stat)
		printf("%s%12s %6s %-15s  CALL%s\n", colour(BOLD), "SECONDS", "PID", "COMM",
		       colour(PLAIN));
	if (!ret) {
		ret = loop(t);
		if (ret == SCRY_E_GONE)
			note("%s", scry_errmsg());
		else if (ret < 0)
			fail_lib();
		ret = ret < 0 && ret != SCRY_E_GONE ? EXIT_FAILURE : 0;
		systrace_sum(t);
	}
	scry_as_free(t->memory.as);
	tdestroy(t->pending, free);
	for (uint32_t i = 0; i < SYSCALLS_KNOWN; i++)
		free(t->name_of[i]);
	return ret;
}
