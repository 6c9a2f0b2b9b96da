/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_EVENT_H
#define SCRY_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include <scry/regs.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scry_vm;

/*
 * X(NAME, "name", "what happens").  An event is delivered before the
 * instruction takes effect (but STEP and WATCHPOINT, behind it), its vCPU waits for
 * the reply, and other vCPUs go on.
 */
#define SCRY_EVENTS(X) \
	X(CR_WRITE,  "cr",    "control register written") \
	X(CPUID,     "cpuid", "CPUID executed") \
	X(MSR_READ,  "rdmsr", "MSR read") \
	X(MSR_WRITE, "wrmsr", "MSR written") \
	X(INT3,      "int3",  "breakpoint instruction executed") \
	X(CR_READ,    "rdcr",      "control register read") \
	X(XSETBV,     "xsetbv",    "extended control register written") \
	X(DR_READ,    "rddr",      "debug register read") \
	X(DR_WRITE,   "dr",        "debug register written") \
	X(DESCRIPTOR, "desc",      "descriptor-table register loaded or stored") \
	X(HYPERCALL,  "hypercall", "VMCALL or VMMCALL executed") \
	X(IO,         "io",        "port read or written") \
	X(HLT,        "hlt",       "HLT executed") \
	X(RDTSC,      "rdtsc",     "time-stamp counter read") \
	X(INVLPG,     "invlpg",    "INVLPG executed") \
	X(SYSCALL,    "syscall",   "SYSCALL or SYSENTER executed") \
	X(INTERRUPT,  "int",       "exception or interrupt about to be delivered") \
	X(STEP,       "step",      "instruction executed") \
	X(MEMORY,     "mem",       "memory accessed that a view traps") \
	X(BREAKPOINT, "break",     "hidden breakpoint hit (breakpoint.h)") \
	X(SHUTDOWN,   "shutdown",  "machine about to be reset or switched off by the guest") \
	X(START,      "start",     "processor started by another") \
	X(WATCHPOINT, "watch",     "watched memory has been accessed (watchpoint.h)")

enum scry_event_kind {
#define SCRY_EVENT_ENUM(NAME, name, text) SCRY_EVENT_##NAME,
	SCRY_EVENTS(SCRY_EVENT_ENUM)
#undef SCRY_EVENT_ENUM
	SCRY_EVENT_COUNT
};

const char *scry_event_name(enum scry_event_kind kind);

/* Most MSRs that one subscription can list. */
#define SCRY_FILTER_MSRS 32

/* Descriptor-table registers, as bits of a filter 1u << SCRY_TABLE_GDTR and so on. */
enum scry_table_reg { SCRY_TABLE_GDTR, SCRY_TABLE_IDTR, SCRY_TABLE_LDTR, SCRY_TABLE_TR };

/* What is delivered through the IDT, as bits of a filter 1u << SCRY_INTERRUPT_... */
enum scry_interrupt_type {
	SCRY_INTERRUPT_EXCEPTION,	/* fault, trap or abort: vectors 0 to 31 */
	SCRY_INTERRUPT_SOFTWARE,	/* INT n, INT3, INTO */
	SCRY_INTERRUPT_HARDWARE,	/* from an interrupt controller */
	SCRY_INTERRUPT_NMI,
};

/* How a guest ends, as bits of a filter 1u << SCRY_SHUTDOWN_... */
enum scry_shutdown_type {
	SCRY_SHUTDOWN_RESET,		/* by a device: keyboard controller, port 0xcf9, ACPI */
	SCRY_SHUTDOWN_OFF,		/* by ACPI */
	SCRY_SHUTDOWN_TRIPLE_FAULT,	/* an exception that cannot be delivered */
};

/* Accesses, as bits of a filter; 0 = all. */
#define SCRY_READ  1u	/* also: IN; SGDT, SIDT, SLDT, STR */
#define SCRY_WRITE 2u	/* also: OUT; LGDT, LIDT, LLDT, LTR */
#define SCRY_EXEC  4u	/* instruction fetch */

/*
 * What to be told of.  The filter is evaluated beside the vCPU, so that what
 * does not match costs no round trip.  Zero-initialise, set sz and kind, and
 * narrow as wished.
 */
struct scry_subscription {
	size_t sz;			/* sizeof(struct scry_subscription) */
	enum scry_event_kind kind;
	uint32_t reserved;
	uint64_t vcpus;			/* bit n = vCPU n; 0 = all */
	union {
		struct {		/* SCRY_EVENT_CR_WRITE, SCRY_EVENT_CR_READ */
			uint32_t cr;	/* 0, 2, 3, 4 or 8 */
			uint32_t on_change;	/* write: 1 = only if a bit of mask changes */
			uint64_t mask;	/* with on_change: the bits; 0 = all */
		} cr;
		struct {		/* SCRY_EVENT_MSR_READ, SCRY_EVENT_MSR_WRITE */
			uint32_t count;	/* of index[]; 0 = every MSR */
			uint32_t index[SCRY_FILTER_MSRS];
		} msr;
		struct {		/* SCRY_EVENT_CPUID */
			uint32_t use_leaf;	/* 1 = only this leaf (EAX) */
			uint32_t leaf;
			uint32_t use_subleaf;	/* 1 = only this subleaf (ECX) */
			uint32_t subleaf;
		} cpuid;
		struct {		/* SCRY_EVENT_DR_READ, SCRY_EVENT_DR_WRITE */
			uint32_t mask;	/* bit n = DRn; 0 = all */
		} dr;
		struct {		/* SCRY_EVENT_DESCRIPTOR */
			uint32_t tables;	/* bits by enum scry_table_reg; 0 = all */
			uint32_t access;	/* SCRY_READ, SCRY_WRITE */
		} desc;
		struct {		/* SCRY_EVENT_IO */
			uint32_t use_range;	/* 1 = only accesses that touch first to last */
			uint32_t first, last;	/* ports, 0 to 0xffff */
			uint32_t access;	/* SCRY_READ, SCRY_WRITE */
		} io;
		struct {		/* SCRY_EVENT_INTERRUPT */
			uint32_t types;	/* bits by enum scry_interrupt_type; 0 = all */
			uint32_t reserved;
			uint64_t vectors[4];	/* bit n % 64 of [n / 64]; none = all */
		} interrupt;
		struct {		/* SCRY_EVENT_STEP */
			uint32_t block_interrupts;	/* 1 = none is taken meanwhile */
			uint32_t use_range;	/* 1 = only where rip is outside first to last */
			uint64_t first, last;
			uint64_t count;	/* only each count-th instruction; 0 = each */
		} step;
		struct {		/* SCRY_EVENT_MEMORY: of what a view traps (view.h) */
			uint32_t access;	/* SCRY_READ, SCRY_WRITE, SCRY_EXEC */
			uint32_t use_range;	/* 1 = only accesses that touch first to last */
			uint64_t first, last;	/* guest-physical addresses */
			uint64_t views;	/* bit n = in view n; 0 = all */
		} memory;
		struct {		/* SCRY_EVENT_SHUTDOWN */
			uint32_t types;	/* bits by enum scry_shutdown_type; 0 = all */
		} shutdown;
		uint64_t reserved_filter[24];
	};
};

/*
 * Start to be told of what *sub says.  Returns the subscription's number
 * (positive), for scry_unsubscribe().  An occurrence that several
 * subscriptions match is one event.
 */
int scry_subscribe(struct scry_vm *vm, const struct scry_subscription *sub);

/* Stop.  Events already under way may still be delivered. */
int scry_unsubscribe(struct scry_vm *vm, int subscription);

struct scry_event {
	uint32_t kind;		/* enum scry_event_kind */
	uint32_t vcpu;
	uint64_t sequence;	/* per vCPU, without gaps, from 1 */
	uint64_t rip;		/* of the instruction */
	uint64_t rflags;
	uint64_t gpr[16];	/* by enum scry_reg */
	uint64_t cr3;
	uint32_t insn_len;	/* bytes of the instruction; kvmi: 0 where it is not told */
	uint32_t cpl;		/* current privilege level, 0 to 3 */
	uint32_t view;		/* that the vCPU is in */
	uint32_t reserved;
	uint64_t time_ns;	/* when it came up, by CLOCK_MONOTONIC; 0 without scry_event_times() */
	union {
		struct {
			uint32_t cr;
			uint32_t reserved;
			uint64_t old_value;	/* CR_READ: what the guest would get */
			uint64_t new_value;	/* CR_WRITE */
		} cr;
		struct {
			uint32_t leaf, subleaf;
			uint32_t eax, ebx, ecx, edx;	/* what the guest would get */
		} cpuid;
		struct {
			uint32_t index;
			uint32_t faults;	/* 1 = the access would raise #GP */
			uint64_t old_value;	/* what a read would give */
			uint64_t new_value;	/* MSR_WRITE: what is written */
		} msr;
		struct {
			uint32_t index;		/* ECX: 0 is XCR0 */
			uint32_t reserved;
			uint64_t old_value;	/* of XCR0 */
			uint64_t new_value;	/* EDX:EAX */
		} xsetbv;
		struct {
			uint32_t dr;		/* 0 to 3, 6, 7: DR4 and DR5 mean DR6 and DR7 */
			uint32_t reserved;
			uint64_t old_value;	/* DR_READ: what the guest would get */
			uint64_t new_value;	/* DR_WRITE */
		} dr;
		struct {
			uint32_t table;		/* enum scry_table_reg */
			uint32_t access;	/* SCRY_READ = stored, SCRY_WRITE = loaded */
		} desc;
		struct {
			uint32_t vmmcall;	/* 1 = VMMCALL (AMD), 0 = VMCALL (Intel) */
		} hypercall;
		struct {
			uint16_t port;
			uint8_t size;		/* 1, 2 or 4 bytes */
			uint8_t access;		/* SCRY_READ = IN, SCRY_WRITE = OUT */
			uint8_t string;		/* 1 = INS or OUTS: value is 0 */
			uint8_t rep;		/* 1 = with a REP prefix: see below */
			uint16_t reserved;
			uint32_t value;		/* OUT: what is written */
		} io;
		struct {
			uint64_t gva;		/* as computed, canonical or not */
		} invlpg;
		struct {
			uint32_t type;		/* enum scry_interrupt_type */
			uint8_t vector;
			uint8_t has_error;	/* 1 = error_code goes with it */
			uint16_t reserved;
			uint32_t error_code;
			uint64_t cr2;		/* of a page fault (vector 14) */
		} interrupt;
		struct {
			uint32_t sysenter;	/* 1 = SYSENTER, 0 = SYSCALL */
		} syscall;
		struct {
			uint64_t gva;	/* of the access; of the page walker: that it translates */
			uint64_t gpa;	/* in the guest's eyes: before a remap */
			uint32_t access;	/* SCRY_READ, SCRY_WRITE, SCRY_EXEC: see below */
			uint32_t size;	/* bytes, in this page; 0 = not known */
			uint32_t walk;	/* 1 = the page walker's, of a table's entry at gpa */
			uint32_t reserved;
		} memory;
		struct {
			uint32_t number;	/* scry_breakpoint_add()'s */
		} breakpoint;
		struct {		/* the watchpoint: processors do not tell more of the access */
			uint64_t gva;
			uint32_t number;	/* scry_watchpoint_add()'s */
			uint32_t size, access;
			uint32_t reserved;
		} watchpoint;
		struct {
			uint32_t type;		/* enum scry_shutdown_type */
		} shutdown;
		struct {
			uint64_t gpa;		/* of its first instruction */
		} start;
	};
};

/*
 * SCRY_EVENT_INTERRUPT comes before the IDT is looked at, with rip where the
 * guest will return to, but for a software interrupt: there rip is of the
 * instruction, and insn_len leads behind it.  SCRY_CONTINUE delivers it;
 * SCRY_SKIP drops it: a software interrupt does nothing, a hardware interrupt
 * is taken and, if it came through the local APIC, ended there; behind a fault
 * the guest would meet the same fault again, unless the reply changes what
 * caused it.  SCRY_DENY and SCRY_INJECT deliver another exception instead; or,
 * for a software or hardware interrupt, SCRY_INJECT with a vector from 32 to 255
 * delivers that vector in the same way (a hardware interrupt is then still the
 * guest's to end).
 * With SCRY_REG_RIP in the reply it is dropped, and the guest goes on there.
 * After a dropped NMI the processor takes no other until the guest's next IRET.
 * INT3 can be an event of both kinds, SCRY_EVENT_INT3 first.  Exceptions that
 * a reply or scry_inject() raised are no events.
 */

/*
 * SCRY_EVENT_STEP comes behind an instruction, with rip at the next; and when an
 * exception or interrupt has been delivered, with rip at its handler.  Each
 * repetition of a REP is one.  The vCPUs of such a subscription execute one
 * instruction at a time as long as it lasts, whether the filter matches or not.
 */

/*
 * SCRY_EVENT_MEMORY comes before the access, with rip at its instruction.
 * SCRY_CONTINUE: this access takes place; the next to the same page is an event
 * again.  An access that crosses into another trapped page is an event for each.
 * An instruction that reads and then writes is two (if both are trapped), but for
 * one with LOCK, and XCHG, which is one with both bits of access.  One that
 * makes several accesses, FXSAVE or PUSHA say, can be an event for each.  The page
 * walker reads; that it may set accessed and dirty bits is not told apart.  While
 * the processor delivers an exception or interrupt (insn_len = 0 then) the answer
 * is always taken for SCRY_CONTINUE.
 */

/*
 * SCRY_EVENT_BREAKPOINT comes before any other event of its instruction, but for
 * its fetch (SCRY_EVENT_MEMORY).  One
 * with REP is an event at least, and one for each repetition at most.
 */

/*
 * SCRY_EVENT_WATCHPOINT comes behind the instruction, with rip at the next, insn_len 0,
 * and before that instruction's SCRY_EVENT_STEP; of one with REP behind the repetition.
 * One that hits several is an event for each, by ascending number.  None of an instruction
 * that raised an exception instead.  Accesses of the page walker, of devices (DMA) and of
 * an instruction that the hypervisor carries out itself are none.
 */

/*
 * SCRY_EVENT_SHUTDOWN comes before it takes place, with rip behind the instruction
 * that caused it; of a triple fault at the instruction.  With SCRY_CONTINUE it
 * does; any other answer drops it, and the guest goes on; but after a triple fault
 * the processor does nothing any more until an NMI or INIT (Intel SDM volume 3,
 * 6.15).  What the host does to the machine is no event.
 * SCRY_EVENT_START comes before the first instruction of a processor that INIT had
 * stopped and a start-up message (SIPI) starts.  SCRY_SKIP is taken for
 * SCRY_CONTINUE.
 */

/*
 * No event: an instruction that raises an exception instead (#GP or #UD for
 * the privilege level, an I/O bitmap that forbids the port, CR4.TSD, ...), but
 * for msr.faults, and for a hypercall, which is one even where the processor
 * knows no such instruction.  An instruction that faults after its event, on
 * its memory operand, say, is an event again when it is tried again.  INS and
 * OUTS with REP are one event at least, and one for each repetition at most.
 */

/*
 * Wait until at least one event is there, at most timeout_ms (0 = do not wait,
 * -1 = for ever), and put up to max of them into events, at most one a vCPU.
 * Returns how many (0 = time out); SCRY_E_GONE when the VM has ended.  Each
 * event returned must be answered by scry_reply(): until then its vCPU waits.
 * One thread at a time.
 */
int scry_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms);

/*
 * A descriptor to poll for POLLIN: readable when scry_event_wait(..., 0) may
 * have something (an event, or the VM's end).  Belongs to the handle.  Call
 * scry_event_wait(..., 0) until it returns 0 before each poll.
 */
int scry_event_fd(struct scry_vm *vm);

enum scry_action {
	SCRY_CONTINUE,	/* execute the instruction */
	SCRY_SKIP,	/* go on behind it, without its effect */
	SCRY_DENY,	/* raise #GP(0) at it */
	SCRY_INJECT,	/* raise another exception at it */
};

/* For SCRY_INJECT. */
struct scry_exception {
	uint32_t vector;	/* 0 to 31, not 2; more in place of an interrupt */
	uint32_t error_code;	/* for those that have one: 8, 10 to 14, 17, 21 */
	uint64_t cr2;		/* page fault (14): the address */
};

/* The answer to an event. */
struct scry_reply {
	size_t sz;			/* sizeof(struct scry_reply) */
	enum scry_action action;
	uint32_t flags;			/* SCRY_REPLY_... */
	uint64_t set;			/* registers to write first (SCRY_REG_BIT()) */
	const struct scry_regs *regs;	/* their values; may be NULL if set is 0 */
	struct scry_exception exception;	/* SCRY_INJECT */
	uint32_t view;			/* SCRY_REPLY_VIEW, SCRY_REPLY_STEP */
	uint32_t reserved;
};

/*
 * Before the action the vCPU goes to `view`.  With SCRY_CONTINUE it then executes
 * what it finds there at its rip; of an instruction's event of another kind than
 * SCRY_EVENT_MEMORY it is no event again, but what it accesses there may be.
 */
#define SCRY_REPLY_VIEW 1u

/*
 * The same, for one instruction: when that is complete, or raises an exception,
 * the vCPU is back in the view it was in, with no event and no interrupt between.
 * SCRY_CONTINUE only.
 */
#define SCRY_REPLY_STEP 2u

/*
 * Answer an event and let its vCPU go on; any thread.  Registers in `set` are
 * written before the action; with SCRY_REG_RIP among them the vCPU goes on
 * there, and SCRY_CONTINUE and SCRY_SKIP both mean just that; an exception is
 * raised there.  Where insn_len is 0 there is nothing to skip: SCRY_SKIP means
 * SCRY_CONTINUE.  SCRY_E_STATE if the event has been answered.  SCRY_E_REFUSED
 * if a register value is refused: nothing is written and the event still
 * waits for a reply.
 */
int scry_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply);

/* What scry_inject() makes a vCPU take. */
struct scry_injection {
	size_t sz;			/* sizeof(struct scry_injection) */
	enum scry_interrupt_type type;	/* not SCRY_INTERRUPT_SOFTWARE */
	uint32_t vector;		/* SCRY_INTERRUPT_HARDWARE: 16 to 255 */
	struct scry_exception exception;	/* SCRY_INTERRUPT_EXCEPTION */
};

/*
 * Have the vCPU take an exception, a hardware interrupt or an NMI, any thread.
 * The first is taken before the vCPU's next instruction, even if it is halted,
 * and is no event; a second one before then takes its place.  The others go to
 * the local APIC as if a device had sent them: they are taken when the guest
 * permits it.  A vCPU that waits in an event takes the exception when that is
 * answered, before it executes the instruction, which is an event again when the
 * handler returns to it; SCRY_INJECT in the reply is the shorter way.  What a
 * paused vCPU was to take is dropped with the handle that paused it.
 */
int scry_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection);

/* scry_reply() with nothing but an action. */
int scry_reply_action(struct scry_vm *vm, const struct scry_event *event,
		      enum scry_action action);

/* From now on tell in each event when it came up (on = 1), or no longer (0). */
int scry_event_times(struct scry_vm *vm, int on);

/*
 * Wait for events and call fn for each, until it returns non-zero, which is
 * then returned, or the VM ends (SCRY_E_GONE).  *reply arrives zeroed, with sz
 * set: as it is it means "continue".  It is sent when fn returns, whatever fn
 * returns.
 */
typedef int (*scry_event_fn)(struct scry_vm *vm, const struct scry_event *event,
			     struct scry_reply *reply, void *opaque);
int scry_event_loop(struct scry_vm *vm, scry_event_fn fn, void *opaque);

#ifdef __cplusplus
}
#endif
#endif
