/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/bits.h"
#include "selftest.h"

#define PAGE      4096u
#define CODE      0x1000u		/* guest-physical; the closed page is behind it */
#define WATCHED   0x1800u		/* in the page of the code */
#define RUN_SIZE  PAGE			/* of what is looked at */
#define TSS       0xfffbd000u		/* older processors of Intel's want one */

struct machine {
	int kvm, vm, vcpu;
	uint8_t *memory;		/* the page with the code, and the closed one */
	struct kvm_run *run;
};

static bool has_memory(struct machine *m)
{
	/* mov %eax,0x1800; mov 0x2000,%eax; hlt */
	static const uint8_t code[] = { 0xa3, 0x00, 0x18, 0x00, 0x00, 0xa1, 0x00, 0x20, 0x00, 0x00,
					0xf4 };
	struct kvm_userspace_memory_region slot = { .guest_phys_addr = CODE, .memory_size = 2 * PAGE };

	m->memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->memory == MAP_FAILED)
		return false;
	memcpy(m->memory, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)m->memory;
	return ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0 &&
	       mprotect(m->memory + PAGE, PAGE, PROT_NONE) == 0;
}

/* Flat segments of 32 bits, no paging. */
static bool has_vcpu(struct machine *m)
{
	struct kvm_segment flat = { .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1,
				    .db = 1, .s = 1, .g = 1 };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0L);
	if (m->vcpu < 0)
		return false;
	m->run = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED || ioctl(m->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return false;
	sregs.ds = sregs.es = sregs.ss = flat;
	flat.type = 11;
	flat.selector = 8;
	sregs.cs = flat;
	sregs.cr0 |= CR0_PE;
	return ioctl(m->vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(m->vcpu, KVM_SET_REGS, &regs) == 0;
}

static int run(struct machine *m)
{
	int ret;

	do
		ret = ioctl(m->vcpu, KVM_RUN, 0L);
	while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	return ret;
}

/* Have a write of four bytes watched; as ioctl(). */
static int watch(struct machine *m)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };

	debug.arch.debugreg[0] = WATCHED;
	debug.arch.debugreg[7] = DR7_USED | 0xd0002;
	return ioctl(m->vcpu, KVM_SET_GUEST_DEBUG, &debug);
}

/* What came out in some other way than as it must; what cannot be tried is not held against it. */
static struct faults {
	bool closed, watched;
} faults;

static void find_faults(struct machine *m)
{
	int ret;

	m->vm = ioctl(m->kvm, KVM_CREATE_VM, 0L);
	if (m->vm < 0)
		return;
	ioctl(m->vm, KVM_SET_TSS_ADDR, (unsigned long)TSS);
	if (!has_memory(m) || !has_vcpu(m))
		return;
	faults.watched = watch(m) == 0;
	ret = run(m);
	if (ret == 0 && m->run->exit_reason == KVM_EXIT_DEBUG) {
		faults.watched = false;
		ret = run(m);
	}
	faults.closed = !ret || errno != EFAULT;
}

static void try(void)
{
	struct machine m = { .vm = -1, .vcpu = -1, .memory = MAP_FAILED, .run = MAP_FAILED };

	m.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m.kvm < 0)
		return;
	find_faults(&m);
	if (m.run != MAP_FAILED)
		munmap(m.run, RUN_SIZE);
	if (m.vcpu >= 0)
		close(m.vcpu);
	if (m.vm >= 0)
		close(m.vm);
	if (m.memory != MAP_FAILED)
		munmap(m.memory, 2 * PAGE);
	close(m.kvm);
}

static const struct faults *tried(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, try);
	return &faults;
}

const char *kvm_watches_nothing(void)
{
	return tried()->watched ? "this host's KVM does not carry out watchpoints of the debug "
				  "registers, not even the guest's own: use -accel tcg" : NULL;
}

const char *kvm_tells_nothing(void)
{
	return tried()->closed ? "this host's KVM emulates its guests, and does not tell of RAM that is closed to "
		       "them: use -accel tcg" : NULL;
}
