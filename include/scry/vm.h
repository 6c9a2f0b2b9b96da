/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_VM_H
#define SCRY_VM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A VM that is looked into.  Handles are independent of each other. */
struct scry_vm;

struct scry_open_opts {
	size_t sz;		/* sizeof(struct scry_open_opts) */
	int timeout_ms;		/* longest wait for the hypervisor's answer to any
				 * one request; 0 = 5000 */
	int reply_timeout_ms;	/* longest that a vCPU waits for the reply to its event,
				 * time in which it is paused not counted: then the VM goes
				 * on as if this client had died, and every call is
				 * SCRY_E_TIMEOUT; 0 = 60000, -1 = for ever */
};

/*
 * Attach to the VM that uri names:
 *   qemu:NAME, qemu:PID, qemu:/path/agent.sock
 *   kvmi:/path.sock[,key=SECRET|,key-file=FILE]
 *   xen:NAME, xen:DOMID	a domain, from dom0
 *   file:/path		a dump: an ELF core (of QEMU, virsh, kdump, scry dump), LiME's
 *			format, or raw memory from address 0
 * NAME alone is a VM of scry_list(), QEMU's before Xen's.  With kvmi: it is this library that listens, at the
 * path, and the VM is the one whose QEMU connects there; that may take six times
 * opts->timeout_ms, for QEMU tries every so often (reconnect=).  SECRET is what
 * QEMU's secret object holds, if its introspection object has a key=; as the
 * whole of a file it is in no process's arguments.
 * opts may be NULL.  On success *vm is the
 * caller's, to be closed with scry_close().  A VM takes one client at a time
 * (SCRY_E_BUSY names the one attached).
 */
int scry_open(struct scry_vm **vm, const char *uri, const struct scry_open_opts *opts);

/*
 * Detach: every subscription removed, every waiting vCPU continued, every
 * pause undone.  NULL is fine.  No other thread may be using the handle.
 */
void scry_close(struct scry_vm *vm);

/* How guest RAM is reached. */
enum scry_ram_access {
	SCRY_RAM_MAPPED,	/* a mapping shared with the VM: a read is a load */
	SCRY_RAM_PROCESS,	/* process_vm_readv() on the VMM */
	SCRY_RAM_MESSAGES,	/* messages to the agent or hypervisor */
};

struct scry_info {
	size_t sz;		/* set by the caller before the call */
	char driver[16];	/* "qemu", "kvmi", "file" */
	char name[64];		/* the VM's name */
	char hypervisor[96];	/* "QEMU 7.2.22 (TCG)" */
	int pid;		/* VMM process, or 0 */
	unsigned vcpus;
	uint64_t max_gfn;
	uint64_t ram_bytes;	/* sum of the regions that are neither ROM nor a device's */
	enum scry_ram_access ram_access;
	uint32_t reserved;
	uint64_t missing_bytes;	/* by which a dump is shorter than its headers say */
};

int scry_info(struct scry_vm *vm, struct scry_info *info);

/* Number of vCPUs; at least 1, but 0 of a dump without registers. */
int scry_vcpu_count(struct scry_vm *vm);

/* Highest guest frame number (gpa >> 12) that is backed by RAM or ROM. */
int scry_max_gfn(struct scry_vm *vm, uint64_t *gfn);

/* One stretch of guest-physical addresses that is backed by memory. */
struct scry_region {
	uint64_t gpa, size;	/* bytes; both multiples of 4096 */
	uint32_t flags;
	uint32_t reserved;
};

#define SCRY_REGION_ROM    1u	/* the guest cannot write it */
#define SCRY_REGION_MAPPED 2u	/* scry_phys_ptr() works on it */
#define SCRY_REGION_DEVICE 4u	/* memory of a device (a video adapter), not of the VM's RAM */

/*
 * The guest-physical memory map as it is now, by ascending address; what lies
 * between regions is a hole (nothing, or a device).  Fills at most max regions
 * and returns how many there are.
 */
int scry_memory_map(struct scry_vm *vm, struct scry_region *regions, size_t max);

/*
 * What a driver may be able to do: X(NAME, "name", "what it is").
 * doc/capabilities.md tells what each driver has.
 */
#define SCRY_CAPS(X) \
	X(VCPU_COUNT,   "vcpu-count",   "number of vCPUs") \
	X(MAX_GFN,      "max-gfn",      "highest guest frame number") \
	X(MEMORY_MAP,   "memory-map",   "guest-physical memory map with its holes") \
	X(PAUSE,        "pause",        "pause and resume the VM") \
	X(VCPU_PAUSE,   "vcpu-pause",   "pause and resume one vCPU") \
	X(PHYS_READ,    "phys-read",    "read physical memory") \
	X(PHYS_WRITE,   "phys-write",   "write physical memory") \
	X(RAM_MAP,      "ram-map",      "zero-copy mapping of guest RAM") \
	X(REGS_READ,    "regs-read",    "read vCPU registers") \
	X(REGS_WRITE,   "regs-write",   "write vCPU registers") \
	X(MSR_READ,     "msr-read",     "read model-specific registers") \
	X(MSR_WRITE,    "msr-write",    "write model-specific registers") \
	X(XSAVE_READ,   "xsave-read",   "read FPU/SSE/AVX state") \
	X(XSAVE_WRITE,  "xsave-write",  "write FPU/SSE/AVX state") \
	X(INJECT,       "inject",       "inject exceptions and interrupts") \
	X(EVENT_CR_WRITE,  "event-cr-write",  "event: CR0, CR2, CR3, CR4, CR8 written") \
	X(EVENT_CPUID,     "event-cpuid",     "event: CPUID executed") \
	X(EVENT_MSR_READ,  "event-msr-read",  "event: MSR read") \
	X(EVENT_MSR_WRITE, "event-msr-write", "event: MSR written") \
	X(EVENT_INT3,      "event-int3",      "event: breakpoint instruction (int3)") \
	X(EVENT_CR_READ,    "event-cr-read",    "event: CR0, CR2, CR3, CR4, CR8 read") \
	X(EVENT_XSETBV,     "event-xsetbv",     "event: XCR0 written") \
	X(EVENT_DR_READ,    "event-dr-read",    "event: debug register read") \
	X(EVENT_DR_WRITE,   "event-dr-write",   "event: debug register written") \
	X(EVENT_DESCRIPTOR, "event-descriptor", "event: GDTR, IDTR, LDTR, TR loaded or stored") \
	X(EVENT_HYPERCALL,  "event-hypercall",  "event: VMCALL or VMMCALL") \
	X(EVENT_IO,         "event-io",         "event: port read or written") \
	X(EVENT_HLT,        "event-hlt",        "event: HLT") \
	X(EVENT_RDTSC,      "event-rdtsc",      "event: time-stamp counter read") \
	X(EVENT_INVLPG,     "event-invlpg",     "event: INVLPG") \
	X(EVENT_SYSCALL,    "event-syscall",    "event: SYSCALL or SYSENTER") \
	X(EVENT_INTERRUPT,  "event-interrupt",  "event: exception or interrupt delivered") \
	X(EVENT_STEP,       "event-step",       "event: instruction executed (single-step)") \
	X(EVENT_MEMORY,     "event-memory",     "event: memory read, written or executed") \
	X(EVENT_MMIO,       "event-mmio",       "event: memory of devices read or written") \
	X(EVENT_BREAKPOINT, "event-breakpoint", "event: hidden breakpoint hit") \
	X(EVENT_SHUTDOWN,   "event-shutdown",   "event: machine reset or switched off, triple fault") \
	X(EVENT_START,      "event-start",      "event: processor started") \
	X(EVENT_WATCHPOINT, "event-watchpoint", "event: watched memory has been accessed") \
	X(VIEWS,            "views",            "several memory views, with traps and remaps") \
	X(PT,           "pt",           "Intel PT packets of what the vCPUs execute")

enum scry_cap {
#define SCRY_CAP_ENUM(NAME, name, text) SCRY_CAP_##NAME,
	SCRY_CAPS(SCRY_CAP_ENUM)
#undef SCRY_CAP_ENUM
	SCRY_CAP_COUNT
};

/*
 * 1 if this VM's driver has the capability, 0 if not; then *reason, if reason
 * is not NULL, is a sentence that says why (valid until scry_close()).  A
 * capability may carry a note too (how RAM is reached, say): then *reason is
 * that note, else "".  A note that begins with "only" says what part of the
 * capability there is.
 */
int scry_cap(struct scry_vm *vm, enum scry_cap cap, const char **reason);

/* "phys-read" and "read physical memory" for SCRY_CAP_PHYS_READ. Static. */
const char *scry_cap_name(enum scry_cap cap);
const char *scry_cap_text(enum scry_cap cap);

/*
 * Stop all vCPUs, or one, and let them go on.  Both count: a vCPU runs when it
 * has been resumed as often as paused, both ways taken together.  On return
 * from a pause the vCPU executes no guest instruction.  While the whole VM is
 * paused the guest's clocks stand still.  Devices that were given work finish
 * it (DMA may still arrive).  SCRY_E_STATE for a resume without a pause.
 */
int scry_pause(struct scry_vm *vm);
int scry_resume(struct scry_vm *vm);
int scry_vcpu_pause(struct scry_vm *vm, unsigned vcpu);
int scry_vcpu_resume(struct scry_vm *vm, unsigned vcpu);

/* One VM that can be opened. */
struct scry_vm_entry {
	const char *uri;	/* for scry_open() */
	const char *name;
	const char *hypervisor;
	int pid;		/* VMM process, or 0 */
	unsigned vcpus;
	uint64_t ram_bytes;
	int client_pid;		/* the client attached now, or 0 */
};

/*
 * Call fn for each VM on this host that this user may open, until it returns
 * non-zero, which is then returned.  What *entry points to is valid only
 * inside fn.
 */
typedef int (*scry_list_fn)(const struct scry_vm_entry *entry, void *opaque);
int scry_list(scry_list_fn fn, void *opaque);

#ifdef __cplusplus
}
#endif
#endif
