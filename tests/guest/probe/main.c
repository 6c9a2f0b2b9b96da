/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Start-up, and each vCPU's loop: poll the mailbox, carry out the list, say so. */
#include "guest.h"

static void clear(volatile void *start, uint64_t size)
{
	for (uint64_t i = 0; i < size / 8; i++)
		((volatile uint64_t *)start)[i] = 0;
}

/* The compiler may call them. */
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *to, int c, size_t n)
{
	void *start = to;

	asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return start;
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *start = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) :: "memory");
	return start;
}

static uint32_t features(void)
{
	uint32_t out[4], found = 0;

	cpuid(1, 0, out);
	if (out[2] & 1u << 26)
		found |= PROBE_HAS_XSAVE;
	if (out[2] & 1u << 28)
		found |= PROBE_HAS_AVX;
	cpuid(7, 0, out);
	if (out[2] & 1u << 16)
		found |= PROBE_HAS_LA57;
	cpuid(0x80000001, 0, out);
	if (out[3] & 1u << 26)
		found |= PROBE_HAS_1GIB;
	return found;
}

static void header_init(void)
{
	uint32_t have = features();

	clear(header, sizeof(*header));
	header->version = PROBE_VERSION;
	header->features = have;
	header->cr0 = CR0_BOOT;
	header->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (have & PROBE_HAS_XSAVE) {
		header->cr4 |= CR4_OSXSAVE;
		header->xcr0 = have & PROBE_HAS_AVX ? 7 : 3;
	}
	header->efer = rdmsr(0xc0000080);
	header->patch = (uintptr_t)patch_page;
	header->patch_inline = (uintptr_t)patch_inline_page;
	header->patch_imm = (uint64_t)(patch_inline_imm - patch_inline_page);
	header->hold_alt = (uintptr_t)hold_alt;
	header->text = (uintptr_t)text_start;
	header->text_size = (uint64_t)(text_end - text_start);
}

static void run_list(volatile struct probe_vcpu *v)
{
	uint32_t count = v->op_count;

	v->state = PROBE_RUNS;
	for (v->rounds = 0; v->rounds < v->repeat && !v->stop; v->rounds++)
		for (uint32_t i = 0; i < count && i < PROBE_LIST && !v->stop; i++) {
			op_run(v, &v->op[i], v->rounds);
			v->beats++;
		}
	v->state = PROBE_IDLE;
}

static void __attribute__((noreturn)) serve(volatile struct probe_vcpu *v)
{
	for (;;) {
		uint32_t sequence = v->sequence;

		if (sequence != v->done) {
			run_list(v);
			v->done = sequence;
		}
		v->beats++;
		asm volatile("pause");
	}
}

void serve_this(void)
{
	volatile struct probe_vcpu *v = this_vcpu();

	cpu_reset(v);
	v->done = v->sequence;
	v->state = PROBE_IDLE;
	serve(v);
}

static void vcpu_init(unsigned index)
{
	volatile struct probe_vcpu *v = probe_vcpu(index);

	clear(v, sizeof(*v));
	v->index = index;
	v->self = (uintptr_t)v;
	cpu_init(v);
}

void boot_main(uint32_t ticket)
{
	unsigned index, count;

	if (ticket == 0) {
		header_init();
		paging_init();
		trap_init();
		vcpu_init(0);
	}
	index = smp_join(ticket);
	if (ticket == 0) {
		count = smp_start();
		header->vcpus = count;
		smp_open(count);
		header->magic = PROBE_MAGIC;
	} else {
		vcpu_init(index);
		smp_ready();
	}
	serve(probe_vcpu(index));
}
