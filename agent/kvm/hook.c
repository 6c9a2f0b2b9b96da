/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>
#include <errno.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "agent/qemu/image.h"
#include "agent/refuse.h"
#include "device.h"
#include "kvm.h"
#include "ram.h"
#include "slot.h"
#include "sync.h"

#define RUN_SIZE 8192	/* struct kvm_run, and a page with the data of ports */

struct kvm_vm kvm = { .fd = -1 };

static int (*original)(int fd, unsigned long request, ...);

static bool placed;		/* hook() stands in QEMU's tables */

static __thread int *overheard;	/* where to put the file of what QEMU asks KVM next */

/* dlsym() gives the address of the calling thread's. */
static struct qemu_cpu *current(void)
{
	static __thread struct qemu_cpu **mine;

	if (!mine)
		mine = dlsym(RTLD_DEFAULT, "current_cpu");
	return mine ? *mine : NULL;
}

/*
 * QEMU 8.0 and later count who is in an ioctl(), and wait, with the big lock held, for
 * nobody to be before they change slots.  NULL in older ones.
 */
static void (*ioctl_begin)(struct qemu_cpu *cpu), (*ioctl_end)(struct qemu_cpu *cpu);

static void count(void (*step)(struct qemu_cpu *cpu))
{
	int err;

	if (!step)
		return;
	err = errno;
	step(current());
	errno = err;
}

static struct kvcpu *known(int fd)
{
	unsigned count = __atomic_load_n(&kvm.vcpus, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; i < count; i++)
		if (kvm.vcpu[i].fd == fd)
			return &kvm.vcpu[i];
	return NULL;
}

int kvm_ioctl_run(struct kvcpu *k)
{
	int answer;

	sync_enter(k);
	count(ioctl_begin);
	answer = original(k->fd, KVM_RUN, NULL);
	count(ioctl_end);
	sync_left(k, answer);
	return answer;
}

int kvm_ioctl(int fd, unsigned long request, void *argument)
{
	struct kvcpu *k = known(fd);

	if (k && sync_answers(k, request, argument))
		return 0;
	if (k)
		sync_request(k, request);
	return original(fd, request, argument);
}

/* A vCPU that waits for the client in here does not keep QEMU waiting. */
static int run(struct vcpu *vcpu, struct kvcpu *k)
{
	int answer;

	count(ioctl_end);
	answer = kvm_run(vcpu, k);
	count(ioctl_begin);
	return answer;
}

/* Whose every ioctl() fails. */
static struct kvcpu nobody = { .fd = -1 };

struct kvcpu *kvm_of(const struct vcpu *vcpu)
{
	unsigned count = __atomic_load_n(&kvm.vcpus, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; i < count; i++)
		if (kvm.vcpu[i].cpu == vcpu->cpu)
			return &kvm.vcpu[i];
	return &nobody;
}

/* One that has been unplugged may have had its memory where a new one's is. */
static void forget(const struct qemu_cpu *cpu)
{
	for (unsigned i = 0; i < kvm.vcpus; i++)
		if (kvm.vcpu[i].cpu == cpu)
			kvm.vcpu[i].cpu = NULL;
}

/* In its new thread, with QEMU's big lock held. */
static void vcpu_created(int fd)
{
	void *run;

	forget(current());
	if (kvm.vcpus == SCRY_AGENT_VCPUS)
		return;
	run = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		return;
	kvm.vcpu[kvm.vcpus] = (struct kvcpu){ .cpu = current(), .fd = fd, .run = run };
	__atomic_store_n(&kvm.vcpus, kvm.vcpus + 1, __ATOMIC_RELEASE);
}

/* QEMU makes a vCPU that has been unplugged into another: what was known of it has ended. */
static void vcpu_set_up(int fd)
{
	struct kvcpu *k = known(fd);

	if (!k || !current() || k->cpu == current())
		return;
	forget(current());
	*k = (struct kvcpu){ .cpu = current(), .fd = fd, .run = k->run };
	kvm_ioctl(fd, KVM_SET_GUEST_DEBUG, &k->debug);
}

static void heard(int fd, unsigned long request, void *argument, int answer)
{
	const struct kvm_enable_cap *cap = argument;

	switch (request) {
	case KVM_CREATE_VCPU:
		kvm.fd = fd;
		kvm.syncs = sync_possible();
		vcpu_created(answer);
		break;
	case KVM_SET_CPUID2:
		vcpu_set_up(fd);
		break;
	case KVM_ENABLE_CAP:
		if (cap->cap == KVM_CAP_X86_USER_SPACE_MSR)
			kvm.msr_exits = cap->args[0];
		break;
	case KVM_X86_SET_MSR_FILTER:
		kvm.msr_filter = *(const struct kvm_msr_filter *)argument;
		break;
	}
}

void kvm_hook_listen(int *fd)
{
	overheard = fd;
}

void kvm_hook_vcpu(int fd)
{
	if (known(fd))
		vcpu_set_up(fd);
	else
		vcpu_created(fd);
}

/* The vCPU of this thread, once the agent knows it. */
static struct vcpu *own_vcpu(struct kvcpu **k)
{
	static __thread struct vcpu *mine;
	static __thread struct kvcpu *own;

	if (!mine && current())
		mine = vcpu_of(current());
	if (mine && (!own || own->fd < 0))
		own = kvm_of(mine);
	*k = own;
	return mine;
}

/* Linux 6.8's form of the request, which QEMU 9.1 and later prefer. */
struct region2 {
	struct kvm_userspace_memory_region region;
	uint64_t rest[16];
};

#define SET_REGION2 _IOW(KVMIO, 0x49, struct region2)

static int set_slot(int fd, unsigned long request, const void *slot)
{
	struct region2 ours = { 0 };
	int answer;

	memcpy(&ours, slot, request == SET_REGION2 ? sizeof(ours) : sizeof(ours.region));
	if (!slot_told(&ours.region))
		return 0;
	ram_slots_changed();
	devices_make_way(&ours.region);
	answer = original(fd, request, &ours);
	devices_go_on();
	return answer;
}

static int hook(int fd, unsigned long request, void *argument)
{
	struct vcpu *vcpu;
	struct kvcpu *k;
	int answer;

	if (overheard)
		*overheard = fd;
	if (request == KVM_RUN && (vcpu = own_vcpu(&k)) && k->fd == fd)
		return run(vcpu, k);
	k = known(fd);
	if (k)
		sync_request(k, request);
	if (request == KVM_SET_USER_MEMORY_REGION || request == SET_REGION2)
		return set_slot(fd, request, argument);
	if (request == KVM_SET_GUEST_DEBUG && k)
		return kvm_qemus_debug(k, argument);
	if (request == UFFDIO_REGISTER && ram_is_trapped()) {
		errno = EBUSY;	/* it would not hear of what goes by the second mapping */
		return -1;
	}
	answer = original(fd, request, argument);
	if (answer >= 0)
		heard(fd, request, argument, answer);
	return answer;
}

int kvm_hook_init(void)
{
	void *begin = dlsym(RTLD_DEFAULT, "accel_cpu_ioctl_begin");
	void *end = dlsym(RTLD_DEFAULT, "accel_cpu_ioctl_end");

	memcpy(&ioctl_begin, &begin, sizeof(begin));
	memcpy(&ioctl_end, &end, sizeof(end));
	original = (int (*)(int, unsigned long, ...))dlsym(RTLD_DEFAULT, "ioctl");
	if (!original)
		return refuse("there is no ioctl()");
	placed = image_replace("ioctl", (void *)original, (void *)hook) == 0;
	return placed ? 0 : -1;
}

void kvm_hook_leave(void)
{
	if (placed)
		image_replace("ioctl", (void *)hook, (void *)original);
	placed = false;
}
