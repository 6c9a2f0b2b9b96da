/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A vCPU's own tables, and its registers as they are after boot. */
#include "guest.h"

#define MSR_STAR         0xc0000081
#define MSR_EFER         0xc0000080
#define MSR_FS_BASE      0xc0000100
#define MSR_GS_BASE      0xc0000101
#define MSR_KERNEL_GS    0xc0000102
#define MSR_TSC_AUX      0xc0000103
#define MSR_SYSENTER_CS  0x174
#define MSR_PAT          0x277

static struct cpu cpus[PROBE_VCPUS];

struct cpu *cpu_of(const volatile struct probe_vcpu *v)
{
	return &cpus[v->index];
}

volatile struct probe_vcpu *this_vcpu(void)
{
	uint64_t self;

	asm volatile("mov %%gs:%c1, %0" : "=r"(self) : "i"(PROBE_V_SELF));
	return (volatile struct probe_vcpu *)(uintptr_t)self;
}

/* A system descriptor: two slots of the GDT from selector on. */
static void set_system(struct cpu *cpu, unsigned selector, const void *base, uint64_t size,
		       unsigned type)
{
	uint64_t address = (uintptr_t)base;

	cpu->gdt[selector / 8] = (size - 1) | (address & 0xffffff) << 16 |
				 (uint64_t)(0x80 | type) << 40 | (address >> 24 & 0xff) << 56;
	cpu->gdt[selector / 8 + 1] = address >> 32;
}

static void fill_gdt(struct cpu *cpu)
{
	for (unsigned i = 0; i < PROBE_GDT_SIZE / 8; i++)
		cpu->gdt[i] = boot_gdt[i];
	set_system(cpu, PROBE_SEL_TSS, &cpu->tss, sizeof(cpu->tss), 9);
	set_system(cpu, PROBE_SEL_TSS2, &cpu->tss, sizeof(cpu->tss), 9);
	set_system(cpu, PROBE_SEL_LDT, cpu->ldt, sizeof(cpu->ldt), 2);
}

static void load_segments(struct cpu *cpu)
{
	struct descriptor gdtr = { sizeof(cpu->gdt) - 1, (uintptr_t)cpu->gdt };

	fill_gdt(cpu);
	asm volatile("lgdt %0\n"
		     "lidt %1\n"
		     "push %2\n"
		     "lea 1f(%%rip), %%rax\n"
		     "push %%rax\n"
		     "lretq\n"
		     "1:\n"
		     "mov %3, %%ss\n"
		     "mov %3, %%ds\n"
		     "mov %3, %%es\n"
		     "mov %4, %%fs\n"
		     "mov %4, %%gs\n"
		     "lldt %w4\n"
		     "ltr %w5\n"
		     :: "m"(gdtr), "m"(idt_descriptor), "i"(PROBE_SEL_CODE),
			"r"(PROBE_SEL_DATA), "r"(0), "r"(PROBE_SEL_TSS)
		     : "rax", "memory");
}

static void load_msrs(volatile struct probe_vcpu *v)
{
	wrmsr(MSR_EFER, header->efer);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, v->self);
	wrmsr(MSR_KERNEL_GS, 0);
	for (uint32_t i = 0; i < 4; i++)	/* STAR, LSTAR, CSTAR, FMASK */
		wrmsr(MSR_STAR + i, 0);
	for (uint32_t i = 0; i < 3; i++)	/* SYSENTER_CS, _ESP, _EIP */
		wrmsr(MSR_SYSENTER_CS + i, 0);
	wrmsr(MSR_PAT, 0x0007040600070406);
}

static void load_control(void)
{
	asm volatile("mov %0, %%cr4" :: "r"(header->cr4));
	asm volatile("mov %0, %%cr3" :: "r"(header->cr3[0]));
	asm volatile("mov %0, %%cr0" :: "r"(header->cr0));
	/* TCG's SVM fails an assertion of its own when a guest in a guest writes it too often. */
	if (READ_REG("cr8"))
		asm volatile("mov %0, %%cr8" :: "r"(0ull));
	asm volatile("mov %0, %%dr0\n"
		     "mov %0, %%dr1\n"
		     "mov %0, %%dr2\n"
		     "mov %0, %%dr3\n"
		     "mov %0, %%cr2\n"
		     "mov %1, %%dr6\n"
		     "mov %2, %%dr7\n"
		     :: "r"(0ull), "r"(0xffff0ff0ull), "r"(0x400ull));
	if (header->features & PROBE_HAS_XSAVE)
		asm volatile("xsetbv" :: "c"(0), "a"((uint32_t)header->xcr0), "d"(0));
	asm volatile("fninit");
}

void cpu_reset(volatile struct probe_vcpu *v)
{
	load_segments(cpu_of(v));
	load_msrs(v);		/* after it: loading GS has cleared its base */
	load_control();
	apic_timer(false);
	v->interrupts = 0;
	for (unsigned i = 0; i < 32; i++)
		v->exceptions[i] = 0;
	v->last_vector = v->last_error = v->last_rip = v->last_cr2 = 0;
}

void cpu_init(volatile struct probe_vcpu *v)
{
	struct cpu *cpu = cpu_of(v);

	v->apic_id = apic_id();
	v->gdt = (uintptr_t)cpu->gdt;
	v->idt = idt_descriptor.base;
	v->tss = (uintptr_t)&cpu->tss;
	cpu->tss.io_base = sizeof(cpu->tss);	/* no port for CPL 3 */
	v->ldt = (uintptr_t)cpu->ldt;
	apic_enable();
	cpu_reset(v);
}
