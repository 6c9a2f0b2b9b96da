/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kvmi.h"

/*
 * What a capability needs of the kernel: commands and events, a bit each.  `never`:
 * why no kernel with KVMI has it.  `note` stands beside one that is there.
 */
static const struct rule {
	enum scry_cap cap;
	uint64_t commands;
	uint32_t events;
	const char *never, *note;
} rules[] = {
#define BIT(n) ((n) == KVMI_NONE ? 0 : UINT64_C(1) << ((n) & 63))
/* Events of vCPUs are asked for. */
#define EVENT(n) ((n) == KVMI_NONE || (n) == KVMI_EVENT_PAUSE || (n) == KVMI_EVENT_TRAP ? 0 : \
		  BIT(KVMI_VCPU_CONTROL_EVENTS))
#define HAS(CAP, command, event, note) \
	{ SCRY_CAP_##CAP, BIT(command) | EVENT(event), (uint32_t)BIT(event), NULL, note }
#define NEVER(CAP, why) { SCRY_CAP_##CAP, 0, 0, why, NULL }
	HAS(VCPU_COUNT, KVMI_GET_INFO, KVMI_NONE, ""),
	HAS(MAX_GFN, KVMI_READ_PHYSICAL, KVMI_NONE, ""),
	HAS(MEMORY_MAP, KVMI_READ_PHYSICAL, KVMI_NONE,
	    "found by reading a byte of a frame in each 2 MiB; ROM is not seen"),
	HAS(PAUSE, KVMI_PAUSE, KVMI_EVENT_PAUSE, "only the vCPUs: the guest's clocks go on"),
	HAS(VCPU_PAUSE, KVMI_PAUSE, KVMI_EVENT_PAUSE, ""),
	HAS(PHYS_READ, KVMI_READ_PHYSICAL, KVMI_NONE, ""),
	HAS(PHYS_WRITE, KVMI_WRITE_PHYSICAL, KVMI_NONE, "by messages"),
	HAS(RAM_MAP, KVMI_READ_PHYSICAL, KVMI_NONE, ""),
	HAS(REGS_READ, KVMI_GET_REGISTERS, KVMI_NONE,
	    "KVMI does not tell debug registers: they read as 0"),
	HAS(REGS_WRITE, KVMI_SET_REGISTERS, KVMI_NONE, "only the general registers, rip and rflags"),
	HAS(MSR_READ, KVMI_GET_REGISTERS, KVMI_NONE, "only those that KVM knows"),
	NEVER(MSR_WRITE, "KVMI has no command for it"),
	HAS(XSAVE_READ, KVMI_GET_XSAVE, KVMI_NONE, ""),
	HAS(XSAVE_WRITE, KVMI_SET_XSAVE, KVMI_NONE, ""),
	HAS(INJECT, KVMI_INJECT_EXCEPTION, KVMI_EVENT_TRAP, "only exceptions"),
	HAS(EVENT_CR_WRITE, KVMI_CONTROL_CR, KVMI_EVENT_CR,
	    "only CR0, CR3 and CR4, when the value changes; no exception in the reply"),
	HAS(EVENT_CPUID, KVMI_VCPU_CONTROL_EVENTS, KVMI_EVENT_CPUID,
	    "only with the answers of leaves that there are; no exception in the reply"),
	NEVER(EVENT_MSR_READ, "KVMI tells of writes only (wrmsr, msr:lstar:w)"),
	HAS(EVENT_MSR_WRITE, KVMI_CONTROL_MSR, KVMI_EVENT_MSR,
	    "only MSRs to 0x1fff and 0xc0000000 to 0xc0001fff, when the value changes; no "
	    "exception in the reply"),
	HAS(EVENT_INT3, KVMI_VCPU_CONTROL_EVENTS, KVMI_EVENT_BREAKPOINT, ""),
	NEVER(EVENT_CR_READ, "KVMI tells of writes only"),
	HAS(EVENT_XSETBV, KVMI_VCPU_CONTROL_EVENTS, KVMI_EVENT_XSETBV,
	    "only when it is done: it can be nothing but continued"),
	NEVER(EVENT_DR_READ, "KVMI has no such event"),
	NEVER(EVENT_DR_WRITE, "KVMI has no such event"),
	HAS(EVENT_DESCRIPTOR, KVMI_VCPU_CONTROL_EVENTS, KVMI_EVENT_DESCRIPTOR, ""),
	HAS(EVENT_HYPERCALL, KVMI_VCPU_CONTROL_EVENTS, KVMI_EVENT_HYPERCALL,
	    "only KVMI's own (rax 34, rdi 24, rsi 0), which can be nothing but continued"),
	NEVER(EVENT_IO, "KVMI has no such event"),
	NEVER(EVENT_HLT, "KVMI has no such event"),
	NEVER(EVENT_RDTSC, "KVMI has no such event"),
	NEVER(EVENT_INVLPG, "KVMI has no such event"),
	NEVER(EVENT_SYSCALL, "KVMI has no such event"),
	NEVER(EVENT_INTERRUPT, "KVMI has no such event"),
	HAS(EVENT_STEP, KVMI_CONTROL_SINGLESTEP, KVMI_EVENT_SINGLESTEP,
	    "interrupts are held back meanwhile"),
	HAS(EVENT_MEMORY, KVMI_SET_PAGE_ACCESS, KVMI_EVENT_PF,
	    "only of RAM; instructions that are continued are emulated by KVM"),
	NEVER(EVENT_MMIO, "KVMI traps frames of RAM only"),
	{ SCRY_CAP_EVENT_BREAKPOINT, BIT(KVMI_SET_PAGE_ACCESS) | BIT(KVMI_CONTROL_SINGLESTEP) |
	  BIT(KVMI_VCPU_CONTROL_EVENTS) | BIT(KVMI_PAUSE), BIT(KVMI_EVENT_PF) |
	  BIT(KVMI_EVENT_SINGLESTEP) | BIT(KVMI_EVENT_PAUSE), NULL,
	  "only in the frame that the address is mapped to when it is planted" },
	NEVER(EVENT_SHUTDOWN, "KVMI has no such event"),
	NEVER(EVENT_START, "KVMI has no such event"),
	NEVER(EVENT_WATCHPOINT, "KVMI does not give the debug registers: trap the page (mem:)"),
	HAS(VIEWS, KVMI_SET_EPT_VIEW, KVMI_NONE, "only 3, and no frames of the tool's own"),
	NEVER(PT, "KVMI has no such packets"),
};

/* Those that kernels of v7 deny for ever, or that only later ones of them have. */
static bool may_lack(bool is_event, int number)
{
	static const uint64_t rare = UINT64_C(1) << KVMI_SET_PAGE_WRITE_BITMAP |
		UINT64_C(1) << KVMI_GET_NEXT_GFN | UINT64_C(1) << KVMI_QUERY_PHYSICAL |
		UINT64_C(1) << KVMI_CREATE_EPT_VIEW | UINT64_C(1) << KVMI_DESTROY_EPT_VIEW |
		UINT64_C(1) << KVMI_ALLOC_GFN | UINT64_C(1) << KVMI_FREE_GFN;

	return !is_event && rare >> number & 1;
}

/* Ask which commands and events QEMU allows; the pipelined questions of one round. */
static int ask(struct kvmi_vm *k, bool *denied)
{
	struct kvmi_call call[KVMI_COMMAND_COUNT + KVMI_EVENT_COUNT];
	bool *answer[KVMI_COMMAND_COUNT + KVMI_EVENT_COUNT];
	bool optional[KVMI_COMMAND_COUNT + KVMI_EVENT_COUNT];
	size_t n = 0;
	int ret;

	for (int i = 0; i < KVMI_COMMAND_COUNT + KVMI_EVENT_COUNT; i++) {
		bool is_event = i >= KVMI_COMMAND_COUNT;
		int number = is_event ? i - KVMI_COMMAND_COUNT : i;
		int id = is_event ? kvmi_event_id(k->generation, number) :
				    kvmi_command_id(k->generation, number);
		const struct kvmi_check check = { .id = (uint16_t)id };

		if (id == KVMI_NONE)
			continue;
		optional[n] = may_lack(is_event, number);
		answer[n] = is_event ? &k->event[number] : &k->command[number];
		call[n++] = kvmi_vm_call(is_event ? KVMI_CHECK_EVENT : KVMI_CHECK_COMMAND, &check,
					 sizeof(check));
	}
	ret = kvmi_calls(k, call, n);
	*denied = false;
	for (size_t i = 0; !ret && i < n; i++) {
		*answer[i] = !call[i].err;
		*denied = *denied || (call[i].err == KVMI_EPERM && !optional[i]);
	}
	return ret;
}

#define ROUNDS   10
#define PAUSE_NS 20000000L

/*
 * QEMU hands the connection to the kernel before it says what is allowed: what is
 * denied may not be a moment later.
 */
static int ask_until_settled(struct kvmi_vm *k)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	bool denied, command[KVMI_COMMAND_COUNT], event[KVMI_EVENT_COUNT];
	int ret = ask(k, &denied);

	for (int i = 0; !ret && denied && i < ROUNDS; i++) {
		memcpy(command, k->command, sizeof(command));
		memcpy(event, k->event, sizeof(event));
		nanosleep(&pause, NULL);
		ret = ask(k, &denied);
		if (!memcmp(command, k->command, sizeof(command)) &&
		    !memcmp(event, k->event, sizeof(event)) && k->command[KVMI_READ_PHYSICAL])
			break;
	}
	return ret;
}

static void lacks(struct kvmi_vm *k, enum scry_cap cap, bool is_event, int number)
{
	const char *name = is_event ? kvmi_event_name(number) : kvmi_command_name(number);
	int id = is_event ? kvmi_event_id(k->generation, number) :
			    kvmi_command_id(k->generation, number);
	char reason[160];

	if (id == KVMI_NONE)
		snprintf(reason, sizeof(reason), "this generation of KVMI has no %s %s",
			 is_event ? "event" : "command", name);
	else
		snprintf(reason, sizeof(reason), "the kernel or QEMU (option %s=) does not allow the "
			 "%s %s, number %d", is_event ? "event" : "command",
			 is_event ? "event" : "command", name, id);
	scry_cap_set(k->vm, cap, false, reason);
}

/* The first of these that is not allowed, or -1. */
static int first_lacking(uint64_t wanted, const bool *allowed)
{
	for (uint64_t left = wanted; left; left &= left - 1)
		if (!allowed[__builtin_ctzll(left)])
			return __builtin_ctzll(left);
	return -1;
}

static void apply(struct kvmi_vm *k, const struct rule *r)
{
	int command = first_lacking(r->commands, k->command);
	int event = first_lacking(r->events, k->event);

	if (r->never)
		scry_cap_set(k->vm, r->cap, false, r->never);
	else if (command >= 0)
		lacks(k, r->cap, false, command);
	else if (event >= 0)
		lacks(k, r->cap, true, event);
	else
		scry_cap_set(k->vm, r->cap, true, r->note);
}

/* What the processor lacks under the kernel. */
static void apply_processor(struct kvmi_vm *k)
{
	static const char no_step[] = "the host's processor, or its kernel, cannot single-step a "
				      "guest (Intel's monitor trap flag)";

	if (!k->has_step) {
		scry_cap_set(k->vm, SCRY_CAP_EVENT_STEP, false, no_step);
		scry_cap_set(k->vm, SCRY_CAP_EVENT_BREAKPOINT, false, no_step);
	}
	if (k->vm->caps[SCRY_CAP_VIEWS].supported && !k->eptp)
		scry_cap_set(k->vm, SCRY_CAP_VIEWS, false, "the host's processor cannot switch views "
			     "(Intel's EPTP switching)");
}

int kvmi_caps(struct kvmi_vm *k)
{
	int ret = ask_until_settled(k);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		apply(k, &rules[i]);
	apply_processor(k);
	return 0;
}
