/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bare_kvm.h"
#include "bench.h"

#define RUN_SIZE 8192
#define BATCH    200
#define MSRS     0x2000u
#define CPUIDS   100

/* Guest-physical: page tables, code, and the page that is for reading only. */
#define PAGE   0x1000u
#define PML4   0x1000u
#define PDPT   0x2000u
#define PD     0x3000u
#define CODE   0x4000u
#define TARGET 0x5000u

struct bare_kvm {
	int kvm, vm, vcpu;
	unsigned char *memory;
	struct kvm_run *run;
	enum bare_exit exit;
};

static int set_slot(const struct bare_kvm *b, uint32_t slot, uint32_t flags, uint64_t gpa,
		    uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uint64_t)b->memory + gpa,
	};

	return ioctl(b->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* The first 2 MiB, by one page; and the loop. */
static void fill(const struct bare_kvm *b)
{
	static const uint8_t wrmsr[] = { 0x0f, 0x30, 0xeb, 0xfc };	/* and a jump there */
	static const uint8_t write[] = { 0x48, 0x89, 0x03, 0xeb, 0xfb };	/* mov %rax,(%rbx) */
	const uint64_t pml4 = PDPT | 3, pdpt = PD | 3, pd = 0x83;

	memcpy(b->memory + PML4, &pml4, sizeof(pml4));
	memcpy(b->memory + PDPT, &pdpt, sizeof(pdpt));
	memcpy(b->memory + PD, &pd, sizeof(pd));
	if (b->exit == BARE_WRMSR)
		memcpy(b->memory + CODE, wrmsr, sizeof(wrmsr));
	else
		memcpy(b->memory + CODE, write, sizeof(write));
}

static int set_filter(const struct bare_kvm *b)
{
	static uint8_t bitmap[MSRS / 8];
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
				      .args = { KVM_MSR_EXIT_REASON_FILTER } };
	struct kvm_msr_filter filter = {
		.ranges[0] = { .flags = KVM_MSR_FILTER_WRITE, .base = 0xc0000000, .nmsrs = MSRS,
			       .bitmap = bitmap },
	};

	return ioctl(b->vm, KVM_ENABLE_CAP, &cap) < 0 ? -1 :
	       ioctl(b->vm, KVM_X86_SET_MSR_FILTER, &filter);
}

static int set_cpuid(const struct bare_kvm *b)
{
	union {
		struct kvm_cpuid2 head;
		uint8_t space[sizeof(struct kvm_cpuid2) + CPUIDS * sizeof(struct kvm_cpuid_entry2)];
	} all = { .head.nent = CPUIDS };

	return ioctl(b->kvm, KVM_GET_SUPPORTED_CPUID, &all) < 0 ? -1 :
	       ioctl(b->vcpu, KVM_SET_CPUID2, &all);
}

/* In 64-bit mode, in front of the loop. */
static int set_registers(const struct bare_kvm *b)
{
	const struct kvm_segment code = { .limit = UINT32_MAX, .selector = 8, .type = 11,
					  .present = 1, .s = 1, .l = 1, .g = 1 };
	const struct kvm_segment data = { .limit = UINT32_MAX, .selector = 16, .type = 3,
					  .present = 1, .s = 1, .db = 1, .g = 1 };
	const struct kvm_regs general = { .rip = CODE, .rflags = 2, .rbx = TARGET,
					  .rcx = BARE_MSR };
	struct kvm_sregs system;

	if (ioctl(b->vcpu, KVM_GET_SREGS, &system) < 0)
		return -1;
	system.cs = code;
	system.ds = system.es = system.fs = system.gs = system.ss = data;
	system.cr0 = 0x80000033;
	system.cr3 = PML4;
	system.cr4 = 0x20;
	system.efer = 0x500;
	return ioctl(b->vcpu, KVM_SET_SREGS, &system) < 0 ? -1 :
	       ioctl(b->vcpu, KVM_SET_REGS, &general);
}

static int set_up(struct bare_kvm *b)
{
	void *p;

	b->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	b->vm = ioctl(b->kvm, KVM_CREATE_VM, 0UL);
	p = mmap(NULL, TARGET + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	b->memory = p == MAP_FAILED ? NULL : p;
	if (b->vm < 0 || !b->memory)
		return -1;
	fill(b);
	if (set_slot(b, 0, 0, 0, TARGET) < 0 ||
	    set_slot(b, 1, KVM_MEM_READONLY, TARGET, PAGE) < 0 ||
	    (b->exit == BARE_WRMSR && set_filter(b) < 0))
		return -1;
	b->vcpu = ioctl(b->vm, KVM_CREATE_VCPU, 0UL);
	p = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b->vcpu, 0);
	b->run = p == MAP_FAILED ? NULL : p;
	return b->run && set_cpuid(b) == 0 ? set_registers(b) : -1;
}

struct bare_kvm *bare_kvm_start(enum bare_exit exit)
{
	struct bare_kvm *b = calloc(1, sizeof(*b));

	if (!b) {
		bench_fail("out of memory");
		return NULL;
	}
	*b = (struct bare_kvm){ .kvm = -1, .vm = -1, .vcpu = -1, .exit = exit };
	if (set_up(b) == 0)
		return b;
	bench_fail("cannot make a VM by /dev/kvm: %s", strerror(errno));
	bare_kvm_stop(b);
	return NULL;
}

void bare_kvm_stop(struct bare_kvm *b)
{
	if (!b)
		return;
	if (b->run)
		munmap(b->run, RUN_SIZE);
	if (b->memory)
		munmap(b->memory, TARGET + PAGE);
	for (unsigned i = 0; i < 3; i++) {
		const int fd[] = { b->vcpu, b->vm, b->kvm };

		if (fd[i] >= 0)
			close(fd[i]);
	}
	free(b);
}

double bare_kvm_ns(struct bare_kvm *b, int ms)
{
	const uint32_t wanted = b->exit == BARE_WRMSR ? KVM_EXIT_X86_WRMSR : KVM_EXIT_MMIO;
	struct samples samples = { .count = 0 };
	double now = bench_now(), end = now + ms / 1e3;

	do {
		double start = now;

		for (int i = 0; i < BATCH; i++) {
			b->run->msr.error = 0;
			if (ioctl(b->vcpu, KVM_RUN, 0) < 0 || b->run->exit_reason != wanted)
				return bench_fail("the bare VM does not do what it is to (exit %u)",
						  b->run->exit_reason);
		}
		now = bench_now();
		samples_add(&samples, (now - start) * 1e9 / BATCH);
	} while (now < end);
	return bench_median(samples.value, samples.count);
}
