/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "../../lib/drivers/dump/format.h"
#include "../common/message.h"
#include "dump.h"

#define LEGACY_BYTES 512	/* of an XSAVE area: what FXSAVE stores */
#define XCR0_OFFSET  464	/* where in them Linux, and gdb, have XCR0 */

static void append(struct dump_bytes *b, const void *data, size_t len, size_t padded)
{
	b->data = checked(realloc(b->data, b->size + padded));
	memcpy(b->data + b->size, data, len);
	memset(b->data + b->size + len, 0, padded - len);
	b->size += padded;
}

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

static void add_note(struct dump_bytes *b, const char *name, uint32_t type, const void *desc,
		     size_t len)
{
	const Elf64_Nhdr h = { (Elf64_Word)strlen(name) + 1, (Elf64_Word)len, type };

	append(b, &h, sizeof(h), sizeof(h));
	append(b, name, h.n_namesz, padded(h.n_namesz));
	append(b, desc, len, padded(len));
}

static const struct scry_seg *seg(const struct scry_regs *r, enum scry_reg reg)
{
	return &r->seg[reg - SCRY_REG_ES];
}

static void add_prstatus(struct dump_bytes *b, unsigned vcpu, const struct scry_regs *r)
{
	const uint64_t *g = r->gpr;
	const struct user_regs_struct u = {
		.rax = g[SCRY_REG_RAX], .rbx = g[SCRY_REG_RBX], .rcx = g[SCRY_REG_RCX],
		.rdx = g[SCRY_REG_RDX], .rsi = g[SCRY_REG_RSI], .rdi = g[SCRY_REG_RDI],
		.rbp = g[SCRY_REG_RBP], .rsp = g[SCRY_REG_RSP], .r8 = g[SCRY_REG_R8],
		.r9 = g[SCRY_REG_R9], .r10 = g[SCRY_REG_R10], .r11 = g[SCRY_REG_R11],
		.r12 = g[SCRY_REG_R12], .r13 = g[SCRY_REG_R13], .r14 = g[SCRY_REG_R14],
		.r15 = g[SCRY_REG_R15], .orig_rax = UINT64_MAX, .rip = r->rip, .eflags = r->rflags,
		.cs = seg(r, SCRY_REG_CS)->selector, .ss = seg(r, SCRY_REG_SS)->selector,
		.ds = seg(r, SCRY_REG_DS)->selector, .es = seg(r, SCRY_REG_ES)->selector,
		.fs = seg(r, SCRY_REG_FS)->selector, .gs = seg(r, SCRY_REG_GS)->selector,
		.fs_base = seg(r, SCRY_REG_FS)->base, .gs_base = seg(r, SCRY_REG_GS)->base,
	};
	struct elf_prstatus p = { .pr_pid = (pid_t)vcpu + 1 };

	memcpy(&p.pr_reg, &u, sizeof(u));
	add_note(b, "CORE", NT_PRSTATUS, &p, sizeof(p));
}

static struct dump_qemu_segment qemu_segment(const struct scry_seg *s)
{
	return (struct dump_qemu_segment){ .selector = s->selector, .limit = s->limit,
					   .flags = DUMP_QEMU_FLAGS(s->attr), .base = s->base };
}

static void add_qemu(struct dump_bytes *b, const struct scry_regs *r, uint64_t kernel_gs_base)
{
	const uint64_t *g = r->gpr;
	struct dump_qemu_cpu q = {
		.version = 1, .size = sizeof(q),
		.rax = g[SCRY_REG_RAX], .rbx = g[SCRY_REG_RBX], .rcx = g[SCRY_REG_RCX],
		.rdx = g[SCRY_REG_RDX], .rsi = g[SCRY_REG_RSI], .rdi = g[SCRY_REG_RDI],
		.rsp = g[SCRY_REG_RSP], .rbp = g[SCRY_REG_RBP], .rip = r->rip, .rflags = r->rflags,
		.cs = qemu_segment(seg(r, SCRY_REG_CS)), .ds = qemu_segment(seg(r, SCRY_REG_DS)),
		.es = qemu_segment(seg(r, SCRY_REG_ES)), .fs = qemu_segment(seg(r, SCRY_REG_FS)),
		.gs = qemu_segment(seg(r, SCRY_REG_GS)), .ss = qemu_segment(seg(r, SCRY_REG_SS)),
		.ldt = qemu_segment(seg(r, SCRY_REG_LDTR)),
		.tr = qemu_segment(seg(r, SCRY_REG_TR)),
		.gdt = { .base = r->gdtr.base, .limit = r->gdtr.limit },
		.idt = { .base = r->idtr.base, .limit = r->idtr.limit },
		.cr = { r->cr0, 0, r->cr2, r->cr3, r->cr4 },
		.kernel_gs_base = kernel_gs_base,
	};

	memcpy(q.r, g + SCRY_REG_R8, sizeof(q.r));
	add_note(b, DUMP_QEMU_NAME, 0, &q, sizeof(q));
}

/* EFER, STAR to SFMASK, FS and GS bases, TSC_AUX, SYSENTER's, APIC_BASE, MISC_ENABLE, PAT */
static const uint32_t msrs[] = {
	0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101,
	0xc0000102, 0xc0000103, 0x174, 0x175, 0x176, 0x1b, 0x1a0, 0x277,
};

#define KERNEL_GS_BASE 0xc0000102

static uint64_t add_scry(struct dump_bytes *b, struct scry_vm *vm, unsigned vcpu,
			 const struct scry_regs *r)
{
	struct dump_scry_cpu s = { .version = DUMP_SCRY_VERSION, .regs = *r };
	uint64_t kernel_gs_base = 0;

	_Static_assert(sizeof(msrs) / sizeof(msrs[0]) <= DUMP_SCRY_MSRS, "there is room");
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		struct dump_msr *m = &s.msr[s.msr_count];

		/* What this processor does not have is left out. */
		if (scry_msr_get(vm, vcpu, msrs[i], &m->value) < 0)
			continue;
		m->index = msrs[i];
		s.msr_count++;
		if (m->index == KERNEL_GS_BASE)
			kernel_gs_base = m->value;
	}
	add_note(b, DUMP_SCRY_NAME, DUMP_SCRY_CPU, &s, sizeof(s));
	return kernel_gs_base;
}

static void add_xsave(struct dump_bytes *b, struct scry_vm *vm, unsigned vcpu, uint64_t xcr0)
{
	int size = scry_xsave_get(vm, vcpu, NULL, 0);
	unsigned char *area;

	if (size < SCRY_XSAVE_LEAST)
		return;
	area = checked(malloc((size_t)size));
	if (scry_xsave_get(vm, vcpu, area, (size_t)size) == size) {
		memcpy(area + XCR0_OFFSET, &xcr0, sizeof(xcr0));
		add_note(b, "CORE", NT_PRFPREG, area, LEGACY_BYTES);
		add_note(b, "LINUX", NT_X86_XSTATE, area, (size_t)size);
	}
	free(area);
}

/* Behind NT_PRSTATUS must come what else there is of the same thread. */
static int add_vcpu(struct scry_vm *vm, unsigned vcpu, struct dump_bytes *notes,
		    struct dump_bytes *more)
{
	struct scry_regs r;
	int ret = scry_regs_get(vm, vcpu, &r);

	if (ret == SCRY_E_STATE) {
		note("%s: nothing of it is in the dump", scry_errmsg());
		return 0;
	}
	if (ret < 0)
		return fail_lib();
	add_prstatus(notes, vcpu, &r);
	add_xsave(notes, vm, vcpu, r.xcr0);
	add_qemu(more, &r, add_scry(more, vm, vcpu, &r));
	return 0;
}

int dump_notes(struct scry_vm *vm, const char *vmcoreinfo, struct dump_bytes *notes)
{
	unsigned count = scry_cap(vm, SCRY_CAP_REGS_READ, NULL) ? (unsigned)scry_vcpu_count(vm) : 0;
	struct dump_bytes more = { 0 };
	int ret = 0;

	for (unsigned i = 0; !ret && i < count; i++)
		ret = add_vcpu(vm, i, notes, &more);
	if (more.size)
		append(notes, more.data, more.size, more.size);
	free(more.data);
	if (!ret && vmcoreinfo)
		add_note(notes, DUMP_VMCOREINFO_NAME, 0, vmcoreinfo, strlen(vmcoreinfo));
	return ret;
}
