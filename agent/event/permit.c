/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/vcpu/msr.h"
#include "permit.h"
#include "protocol/bits.h"
#include "value.h"

#define MSR_SYSENTER_CS 0x174
#define CPUID_CR8LEG    (1u << 4)	/* 0x80000001, ECX */
#define CPUID_EBX_INTEL 0x756e6547	/* "Genu" */

/* The plugin interface of QEMU 8 and later; 7.2 has an older one. */
#define PLUGIN_LOCK_FAULTS 3

#define TSS_IO_BASE 0x66	/* where a 32-bit or 64-bit TSS says where its I/O bitmap begins */

static unsigned cpl(const struct qemu_cpu *cpu)
{
	return cpu_hflags(cpu) & HF_CPL;
}

static bool in_vm86(const struct qemu_cpu *cpu)
{
	return cpu_get64(cpu, cpu_layout.eflags) & EFLAGS_VM;
}

static unsigned iopl(const struct qemu_cpu *cpu)
{
	return (cpu_get64(cpu, cpu_layout.eflags) & HF_IOPL) >> 12;
}

static bool cr4_has(const struct qemu_cpu *cpu, uint64_t bit)
{
	return cpu_get64(cpu, cpu_layout.cr4) & bit;
}

/* The I/O permission bitmap in the TSS (Intel SDM volume 1, 19.5.2). */
static bool bitmap_permits(struct qemu_cpu *cpu, struct site site)
{
	size_t tr = cpu_segment(7);
	uint64_t base = cpu_get64(cpu, tr + cpu_layout.seg.base);
	uint32_t limit = cpu_get32(cpu, tr + cpu_layout.seg.limit);
	uint32_t port = value_port(cpu, site), mask = (1u << value_port_size(cpu, site)) - 1;
	uint16_t at, bits;

	if (limit < TSS_IO_BASE + 1 ||
	    qemu.cpu_memory_rw_debug(cpu, base + TSS_IO_BASE, &at, sizeof(at), false) != 0 ||
	    at + port / 8 + 1 > limit ||
	    qemu.cpu_memory_rw_debug(cpu, base + at + port / 8, &bits, sizeof(bits), false) != 0)
		return false;
	return !(bits >> port % 8 & mask);
}

static bool io_permitted(struct qemu_cpu *cpu, struct site site)
{
	bool free = !(cpu_hflags(cpu) & HF_PE) || (cpl(cpu) <= iopl(cpu) && !in_vm86(cpu));

	return free || bitmap_permits(cpu, site);
}

static bool table_permitted(const struct qemu_cpu *cpu, struct site site)
{
	bool selector = site.number == SCRY_TABLE_LDTR || site.number == SCRY_TABLE_TR;

	if (selector && (!(cpu_hflags(cpu) & HF_PE) || in_vm86(cpu)))
		return false;
	return !cpl(cpu) || (site.access == SCRY_READ && !cr4_has(cpu, CR4_UMIP));
}

/* AMD's processors have no SYSENTER in long mode; none takes one without a code segment. */
static bool sysenter_permitted(struct qemu_cpu *cpu)
{
	uint32_t eax, maker, ecx, edx;
	uint64_t selector;

	qemu.cpu_x86_cpuid(cpu_env(cpu), 0, 0, &eax, &maker, &ecx, &edx);
	if (cpu_hflags(cpu) & HF_LMA && maker != CPUID_EBX_INTEL)
		return false;
	return cpu_hflags(cpu) & HF_PE && msr_read(cpu, MSR_SYSENTER_CS, &selector) == 0 &&
	       selector & 0xfffc;
}

static bool syscall_permitted(struct qemu_cpu *cpu, struct site site)
{
	if (site.form == SITE_SYSENTER)
		return sysenter_permitted(cpu);
	return cpu_get64(cpu, cpu_layout.efer) & EFER_SCE;
}

static bool cr_read_permitted(const struct qemu_cpu *cpu, struct site site)
{
	return !cpl(cpu) || (site.form == SITE_SMSW && !cr4_has(cpu, CR4_UMIP));
}

bool site_unlock(struct qemu_cpu *cpu, struct site *site)
{
	uint32_t eax, ebx, ecx, edx;

	if (!site->lock)
		return true;
	site->lock = 0;
	qemu.cpu_x86_cpuid(cpu_env(cpu), 0x80000001, 0, &eax, &ebx, &ecx, &edx);
	if (ecx & CPUID_CR8LEG && site->form == SITE_PLAIN && site->number == 0 &&
	    (site->kind == SCRY_EVENT_CR_READ || site->kind == SCRY_EVENT_CR_WRITE)) {
		site->number = 8;
		return true;
	}
	return qemu.plugin_version < PLUGIN_LOCK_FAULTS;
}

/* QEMU knows DR7.GD since it knows that LOCK faults, or earlier: 7.2 has neither. */
static bool dr_permitted(const struct qemu_cpu *cpu, struct site site)
{
	bool guarded = cpu_get64(cpu, cpu_layout.dr + 7 * sizeof(uint64_t)) & DR7_GD &&
		       qemu.plugin_version >= PLUGIN_LOCK_FAULTS;

	/* With CR4.DE there are no DR4 and DR5. */
	return !cpl(cpu) && !guarded && !((site.number | 1) == 5 && cr4_has(cpu, CR4_DE));
}

bool site_permitted(struct qemu_cpu *cpu, struct site site)
{
	switch (site.kind) {
	case SCRY_EVENT_CPUID:
	case SCRY_EVENT_HYPERCALL:
		return true;
	case SCRY_EVENT_INT3:	/* INT 3 of two bytes needs IOPL 3 in virtual-8086 mode */
		return site.len == 1 || !in_vm86(cpu) || iopl(cpu) == 3;
	case SCRY_EVENT_IO:
		return io_permitted(cpu, site);
	case SCRY_EVENT_RDTSC:
		return !cpl(cpu) || !cr4_has(cpu, CR4_TSD);
	case SCRY_EVENT_SYSCALL:
		return syscall_permitted(cpu, site);
	case SCRY_EVENT_DESCRIPTOR:
		return table_permitted(cpu, site);
	case SCRY_EVENT_CR_READ:
		return cr_read_permitted(cpu, site);
	case SCRY_EVENT_XSETBV:
		return !cpl(cpu) && cr4_has(cpu, CR4_OSXSAVE);
	case SCRY_EVENT_DR_READ:
	case SCRY_EVENT_DR_WRITE:
		return dr_permitted(cpu, site);
	default:
		return !cpl(cpu);
	}
}
