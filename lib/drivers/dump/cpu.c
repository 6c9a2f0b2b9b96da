/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "../../../protocol/bits.h"
#include "dump.h"

#define MSR_EFER           0xc0000080u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u

#define ATTR_LONG   (1u << 13)
#define ATTR_PRESENT (1u << 7)
#define UNUSABLE    (1u << 16)

/* vCPU n, made if it is the next; NULL with a failure in *err, or with none if left out. */
static struct dump_cpu *cpu_at(struct dump_vm *d, unsigned n, int *err)
{
	*err = 0;
	if (n >= SCRY_MAX_VCPUS) {
		if (n - SCRY_MAX_VCPUS + 1 > d->cpus_left_out)
			d->cpus_left_out = n - SCRY_MAX_VCPUS + 1;
		return NULL;
	}
	if (!d->cpu)
		d->cpu = calloc(SCRY_MAX_VCPUS, sizeof(d->cpu[0]));
	if (!d->cpu) {
		*err = scry_fail(SCRY_E_NOMEM, "out of memory for the dump %s", d->file.path);
		return NULL;
	}
	if (n >= d->cpus)
		d->cpus = n + 1;
	return &d->cpu[n];
}

uint64_t *dump_cpu_msr(struct dump_cpu *cpu, uint32_t index)
{
	for (uint32_t i = 0; i < cpu->msr_count; i++)
		if (cpu->msr[i].index == index)
			return &cpu->msr[i].value;
	if (cpu->msr_count == DUMP_SCRY_MSRS)
		return NULL;
	cpu->msr[cpu->msr_count].index = index;
	return &cpu->msr[cpu->msr_count++].value;
}

static void set_msr(struct dump_cpu *cpu, uint32_t index, uint64_t value)
{
	uint64_t *place = dump_cpu_msr(cpu, index);

	if (place)
		*place = value;
}

static void take_user_regs(struct scry_regs *r, const struct user_regs_struct *u)
{
	const uint64_t gpr[16] = { u->rax, u->rcx, u->rdx, u->rbx, u->rsp, u->rbp, u->rsi, u->rdi,
				   u->r8, u->r9, u->r10, u->r11, u->r12, u->r13, u->r14, u->r15 };
	const uint64_t seg[6] = { u->es, u->cs, u->ss, u->ds, u->fs, u->gs };

	memcpy(r->gpr, gpr, sizeof(gpr));
	r->rip = u->rip;
	r->rflags = u->eflags;
	for (int i = 0; i < 6; i++)
		r->seg[i].selector = (uint16_t)seg[i];
	r->seg[SCRY_REG_FS - SCRY_REG_ES].base = u->fs_base;
	r->seg[SCRY_REG_GS - SCRY_REG_ES].base = u->gs_base;
}

/* The 32-bit layout: <sys/procfs.h> has only that of the program's own class. */
static void take_user_regs_32(struct scry_regs *r, const uint32_t *u)
{
	/* ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss */
	const uint64_t gpr[16] = { u[6], u[1], u[2], u[0], u[15], u[5], u[3], u[4] };
	const uint32_t seg[6] = { u[8], u[13], u[16], u[7], u[9], u[10] };

	memcpy(r->gpr, gpr, sizeof(gpr));
	r->rip = u[12];
	r->rflags = u[14];
	for (int i = 0; i < 6; i++)
		r->seg[i].selector = (uint16_t)seg[i];
}

#define PRSTATUS_32      144
#define PRSTATUS_32_REGS 72

int dump_cpu_prstatus(struct dump_vm *d, unsigned n, const void *desc, size_t len, bool is_64)
{
	struct user_regs_struct u;
	uint32_t u32[17];
	struct dump_cpu *cpu;
	int err;

	if (len < (is_64 ? sizeof(struct elf_prstatus) : PRSTATUS_32))
		return scry_fail(SCRY_E_INVAL, "%s is malformed: a note with registers is too short",
				 d->file.path);
	cpu = cpu_at(d, n, &err);
	/* Other notes tell more. */
	if (!cpu || cpu->has_system)
		return err;
	if (is_64) {
		memcpy(&u, (const char *)desc + offsetof(struct elf_prstatus, pr_reg), sizeof(u));
		take_user_regs(&cpu->regs, &u);
		set_msr(cpu, MSR_FS_BASE, u.fs_base);
		set_msr(cpu, MSR_GS_BASE, u.gs_base);
	} else {
		memcpy(u32, (const char *)desc + PRSTATUS_32_REGS, sizeof(u32));
		take_user_regs_32(&cpu->regs, u32);
	}
	return 0;
}

static struct scry_seg segment(const struct dump_qemu_segment *s)
{
	uint32_t attr = DUMP_QEMU_ATTR(s->flags);

	return (struct scry_seg){ .base = s->base, .limit = s->limit,
				  .selector = (uint16_t)s->selector,
				  .attr = attr | (attr & ATTR_PRESENT ? 0 : UNUSABLE) };
}

/*
 * The note has no EFER.  Long mode shows in CS, or, in compatibility mode, in
 * tables that lie where only it can reach; whether bit 63 of an entry is NXE's or
 * reserved cannot be told, so it is taken for the former.
 */
static uint64_t guess_efer(const struct scry_regs *r, const struct dump_qemu_cpu *q)
{
	uint64_t tables = r->gdtr.base | r->idtr.base | q->tr.base | q->ldt.base;

	if (!(r->cr0 & CR0_PG) || !(r->cr4 & CR4_PAE))
		return 0;
	if (r->seg[SCRY_REG_CS - SCRY_REG_ES].attr & ATTR_LONG || tables >> 32)
		return EFER_LME | EFER_LMA | EFER_NXE;
	return EFER_NXE;
}

static void take_qemu(struct scry_regs *r, const struct dump_qemu_cpu *q)
{
	const uint64_t gpr[16] = { q->rax, q->rcx, q->rdx, q->rbx, q->rsp, q->rbp, q->rsi, q->rdi,
				   q->r[0], q->r[1], q->r[2], q->r[3], q->r[4], q->r[5], q->r[6],
				   q->r[7] };
	const struct dump_qemu_segment *const seg[8] = { &q->es, &q->cs, &q->ss, &q->ds, &q->fs,
							 &q->gs, &q->ldt, &q->tr };

	memcpy(r->gpr, gpr, sizeof(gpr));
	r->rip = q->rip;
	r->rflags = q->rflags;
	for (int i = 0; i < 8; i++)
		r->seg[i] = segment(seg[i]);
	r->gdtr = (struct scry_table){ .base = q->gdt.base, .limit = q->gdt.limit };
	r->idtr = (struct scry_table){ .base = q->idt.base, .limit = q->idt.limit };
	r->cr0 = q->cr[0];
	r->cr2 = q->cr[2];
	r->cr3 = q->cr[3];
	r->cr4 = q->cr[4];
	r->efer = guess_efer(r, q);
}

int dump_cpu_qemu(struct dump_vm *d, unsigned n, const void *desc, size_t len)
{
	const size_t least = offsetof(struct dump_qemu_cpu, kernel_gs_base);
	struct dump_qemu_cpu q = { 0 };
	struct dump_cpu *cpu;
	int err;

	memcpy(&q, desc, len < sizeof(q) ? len : sizeof(q));
	if (len < least || q.version != 1)
		return scry_fail(SCRY_E_INVAL, "%s has a note of QEMU's of a version that is not known",
				 d->file.path);
	d->by_qemu = true;
	cpu = cpu_at(d, n, &err);
	if (!cpu || cpu->has_system)
		return err;
	take_qemu(&cpu->regs, &q);
	cpu->has_system = true;
	set_msr(cpu, MSR_FS_BASE, q.fs.base);
	set_msr(cpu, MSR_GS_BASE, q.gs.base);
	set_msr(cpu, MSR_EFER, cpu->regs.efer);
	if (len >= sizeof(q))
		set_msr(cpu, MSR_KERNEL_GS_BASE, q.kernel_gs_base);
	return 0;
}

int dump_cpu_scry(struct dump_vm *d, unsigned n, const void *desc, size_t len)
{
	struct dump_scry_cpu s;
	struct dump_cpu *cpu;
	int err;

	/* A later version begins with another number. */
	if (len != sizeof(s))
		return 0;
	memcpy(&s, desc, sizeof(s));
	if (s.version != DUMP_SCRY_VERSION || s.msr_count > DUMP_SCRY_MSRS)
		return 0;
	d->by_scry = true;
	cpu = cpu_at(d, n, &err);
	if (!cpu)
		return err;
	cpu->regs = s.regs;
	cpu->has_system = true;
	cpu->msr_count = s.msr_count;
	memcpy(cpu->msr, s.msr, sizeof(s.msr));
	return 0;
}

void dump_cpu_xsave(struct dump_vm *d, unsigned n, uint64_t offset, size_t len)
{
	/* Without a header it cannot be told what it has. */
	if (n >= d->cpus || len < SCRY_XSAVE_LEAST)
		return;
	d->cpu[n].xsave_offset = offset;
	d->cpu[n].xsave_size = len;
}
