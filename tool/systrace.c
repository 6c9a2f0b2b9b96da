/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* System calls put together from their two events: who enters is known again when it returns. */
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "stop.h"
#include "systrace.h"

#define VCPUS        64
#define WAIT_MS      50
#define PENDING_MOST 65536	/* calls that wait; those beyond are shown without results */
#define X32_BIT      0x40000000u

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
		if (!strcmp(t->names[i], systrace_name(t, call->number, buf)))
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
	syscall_decode(&t->memory, systrace_name(t, call->number, buf), call);
}

static bool never_returns(struct systrace *t, const struct syscall *call)
{
	char buf[32];
	const char *name = systrace_name(t, call->number, buf);

	return !t->returns || !strcmp(name, "exit") || !strcmp(name, "exit_group");
}

/* Number and arguments: in registers, or where the kernel has put them. */
static int take_registers(struct systrace *t, const struct scry_event *e, struct syscall *call)
{
	static const enum scry_reg regs[] = {
		SCRY_REG_RDI, SCRY_REG_RSI, SCRY_REG_RDX, SCRY_REG_R10, SCRY_REG_R8, SCRY_REG_R9,
	};
	uint64_t frame = e->gpr[SCRY_REG_RDI], number = e->gpr[SCRY_REG_RAX];

	for (int i = 0; i < SYSCALL_ARGS; i++) {
		call->arg[i] = e->gpr[regs[i]];
		if (t->by_breakpoint && scry_read_virt_u64(scry_linux_as(t->guest.os),
				frame + t->entry_reg[i].offset, &call->arg[i]) < 0)
			return -1;
	}
	if (t->by_breakpoint && scry_read_virt_u64(scry_linux_as(t->guest.os),
			frame + t->entry_reg[SYSCALL_ARGS].offset, &number) < 0)
		return -1;
	call->number = (uint32_t)number & ~X32_BIT;
	return 0;
}

static void on_entry(struct systrace *t, const struct scry_event *e)
{
	struct syscall call = { .cr3 = e->cr3, .time_ns = now_ns() }, *kept;

	if (scry_linux_current(t->guest.os, e->vcpu, &call.who) < 0 || take_registers(t, e, &call) < 0) {
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
	uint64_t result;

	if (scry_linux_current(t->guest.os, e->vcpu, &who) < 0)
		return;		/* its call remains one that has not returned */
	key.task = who.address;
	found = tfind(&key, &t->pending, by_task);
	if (!found)
		return;
	call = *found;
	tdelete(call, &t->pending, by_task);
	t->pending_count--;
	call->returned = scry_read_virt_u64(scry_linux_as(t->guest.os),
					    e->gpr[SCRY_REG_RSP] + t->sp_ax, &result) >= 0;
	if (call->returned) {
		call->result = (int64_t)result;
		if (strcmp(systrace_name(t, call->number, (char[32]){ 0 }), "execve"))
			decode(t, call);
	}
	systrace_show(t, call);
	free(call);
}

static int take(struct systrace *t, const struct scry_event *e)
{
	if (e->kind == SCRY_EVENT_SYSCALL ? !e->syscall.sysenter :
	    t->by_breakpoint && e->breakpoint.number == t->entry)
		on_entry(t, e);
	else if (e->kind == SCRY_EVENT_BREAKPOINT && e->breakpoint.number == t->exit)
		on_return(t, e);
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
