/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/memory/memory_map.h"
#include "agent/qemu/image.h"
#include "agent/refuse.h"
#include "kvm.h"
#include "slot.h"
#include "sync.h"

/*
 * The agent has come to a VM that runs.  QEMU is made to tell it what it told KVM: each
 * answer is that of QEMU's own functions, overheard in the hook.
 */

#define PATIENCE 60		/* seconds for a vCPU to come by, on a host that is very busy */
#define VGA_LOG  0		/* DIRTY_MEMORY_VGA */
#define NO_RAM   (~UINT64_C(0))
#define MSR_CORE_THREADS 0x35u	/* the first that QEMU has a filter for */

static struct {
	int (*vm_ioctl)(void *state, int request, ...);
	int (*vcpu_ioctl)(struct qemu_cpu *cpu, int request, ...);
	void **state;
} qemu_kvm;

static int find_functions(void)
{
	void *vm = dlsym(RTLD_DEFAULT, "kvm_vm_ioctl"), *vcpu = dlsym(RTLD_DEFAULT, "kvm_vcpu_ioctl");

	qemu_kvm.state = dlsym(RTLD_DEFAULT, "kvm_state");
	if (!vm || !vcpu || !qemu_kvm.state || !*qemu_kvm.state)
		return refuse("this QEMU has no kvm_vm_ioctl, kvm_vcpu_ioctl or kvm_state: use a QEMU "
			      "whose symbols are exported, as the distributions' 7.2 and 10.0 are");
	memcpy(&qemu_kvm.vm_ioctl, &vm, sizeof(vm));
	memcpy(&qemu_kvm.vcpu_ioctl, &vcpu, sizeof(vcpu));
	return 0;
}

/* Is it a file of KVM's that is called so? */
static bool is_called(int fd, const char *name)
{
	char path[32], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	return strncmp(link, name, strlen(name)) == 0;
}

static int learn_vm(void)
{
	int fd = -1;

	bql_lock();
	kvm_hook_listen(&fd);
	qemu_kvm.vm_ioctl(*qemu_kvm.state, KVM_CHECK_EXTENSION, (void *)KVM_CAP_USER_MEMORY);
	kvm_hook_listen(NULL);
	qemu.bql_unlock();
	if (!is_called(fd, "anon_inode:kvm-vm"))
		return refuse("QEMU does not ask KVM by its ioctl(): use the distributions' 7.2 or 10.0");
	kvm.fd = fd;
	kvm.syncs = sync_possible();
	return 0;
}

/* For jobs that may be carried out when nobody waits for them any more. */
static sem_t done;

/* In a vCPU's thread, which KVM_RUN has been left for. */
static void learn_vcpu(struct qemu_cpu *cpu, uint64_t unused)
{
	struct kvm_mp_state state;
	int fd = -1;

	(void)unused;
	kvm_hook_listen(&fd);
	qemu_kvm.vcpu_ioctl(cpu, KVM_GET_MP_STATE, &state);
	kvm_hook_listen(NULL);
	if (is_called(fd, "anon_inode:kvm-vcpu"))
		kvm_hook_vcpu(fd);
	sem_post(&done);
}

static int learn_vcpus(void)
{
	struct timespec until;

	while (sem_trywait(&done) == 0)		/* of who has come by late */
		;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	for (unsigned i = 0; i < vcpu_count; i++) {
		qemu.async_run_on_cpu(vcpus[i].cpu, learn_vcpu, 0);
		while (sem_timedwait(&done, &until) < 0)
			if (errno != EINTR)
				return refuse("vCPU %u does not come by for %d seconds", i, PATIENCE);
		if (kvm_of(&vcpus[i])->fd < 0)
			return refuse("vCPU %u has no file of KVM's: use the distributions' 7.2 or 10.0",
				      i);
	}
	return 0;
}

/* QEMU's KVMMSRHandlers. */
struct msr_handler {
	uint32_t msr, pad;
	const void *read, *write;
};

static bool is_code(const void *p)
{
	return image_contains(p) && !image_constant(p);
}

static bool is_handler(const struct msr_handler *h)
{
	return !h->pad && (h->read || h->write) && (!h->read || is_code(h->read)) &&
	       (!h->write || is_code(h->write));
}

/* Its list of those that it has KVM tell it of, which has no symbol; NULL unless there is one. */
static const struct msr_handler *find_handlers(void)
{
	const struct msr_handler *found = NULL;
	size_t size;
	const char *at = image_variables(&size);

	for (const char *end = at + size; at + sizeof(*found) <= end; at += sizeof(void *)) {
		const struct msr_handler *h = (const struct msr_handler *)at;

		if (h->msr != MSR_CORE_THREADS || image_constant(h) || !is_handler(h))
			continue;
		if (found)
			return NULL;
		found = h;
	}
	return found;
}

/* KVM does not tell what filter it has; QEMU sets the same one for good when it starts. */
static int learn_msr_filter(void)
{
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };
	const struct msr_handler *h;

	if (kvm_ioctl(kvm.fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_X86_USER_SPACE_MSR) <= 0)
		return 0;
	h = find_handlers();
	if (!h)
		return refuse("QEMU's list of MSRs that it handles itself is not found: use the "
			      "distributions' 7.2 or 10.0");
	for (int i = 0; i < KVM_MSR_FILTER_MAX_RANGES && is_handler(&h[i]); i++)
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = (h[i].read ? KVM_MSR_FILTER_READ : 0) |
				 (h[i].write ? KVM_MSR_FILTER_WRITE : 0),
			.base = h[i].msr, .nmsrs = 1,
		};
	kvm.msr_filter = filter;
	kvm.msr_exits = KVM_MSR_EXIT_REASON_FILTER;
	return 0;
}

struct regions {
	struct qemu_region *at[SCRY_AGENT_REGIONS];
	unsigned count;
};

static bool note_region(qemu_int128 start, qemu_int128 len, struct qemu_region *mr, uint64_t offset,
			void *opaque)
{
	struct regions *r = opaque;

	(void)start;
	(void)len;
	(void)offset;
	if (qemu.memory_region_get_ram_addr(mr) == NO_RAM || r->count == SCRY_AGENT_REGIONS)
		return false;
	for (unsigned i = 0; i < r->count; i++)
		if (r->at[i] == mr)
			return false;
	r->at[r->count++] = mr;
	return false;
}

/* How QEMU's MemoryListener ends. */
struct listener_end {
	const char *name;
	const void *address_space;
	const char *next;		/* listener, of those of all address spaces */
};

/* Where that is in one that is registered; 0: it is not as known. */
static size_t find_end(const struct qemu_listener *listener)
{
	const uint64_t *rest = listener->rest;

	for (size_t i = 1; i + 1 < sizeof(listener->rest) / sizeof(rest[0]); i++)
		if (rest[i] == (uint64_t)qemu.address_space_memory)
			return (size_t)((const char *)&rest[i - 1] - (const char *)listener);
	return 0;
}

/* Is there any that is called so, behind this, which asks for no priority and is an early one? */
static bool any_called(const struct qemu_listener *first, const char *name)
{
	size_t at = find_end(first);
	const struct listener_end *end = (const struct listener_end *)((const char *)first + at);

	if (!at)
		return true;
	while (end->next) {
		end = (const struct listener_end *)(end->next + at);
		if (end->name && strncmp(end->name, name, strlen(name)) == 0)
			return true;
	}
	return false;
}

/* What is below would have vhost's devices lose sight of the RAM for a moment. */
static bool has_vhost(void)
{
	struct qemu_listener first = { 0 };
	bool has;

	qemu.memory_listener_register(&first, qemu.address_space_memory);
	has = any_called(&first, "vhost");
	qemu.memory_listener_unregister(&first);
	return has;
}

/*
 * To have written pages noted, and no more, is two changes of flags, for which QEMU tells
 * KVM, and the hook, of each slot that the region is in.  Nothing else of a slot changes.
 */
static void have_slots_told(void)
{
	struct qemu_flatview *view = qemu.address_space_get_flatview(qemu.address_space_memory);
	struct regions regions = { 0 };

	qemu.flatview_for_each_range(view, note_region, &regions);
	qemu.flatview_unref(view);
	for (unsigned i = 0; i < regions.count; i++) {
		qemu.memory_region_set_log(regions.at[i], true, VGA_LOG);
		qemu.memory_region_set_log(regions.at[i], false, VGA_LOG);
	}
}

static bool all_known(const struct memory_map *map)
{
	uint8_t byte;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct scry_agent_region *r = &map->region[i];

		if (!r->flags && (!slot_read(r->gpa, &byte, 1) || !slot_read(r->gpa + r->size - 1, &byte, 1)))
			return false;
	}
	return true;
}

static int learn_slots(void)
{
	bool known = false, vhost;

	bql_lock();
	slots_forget();
	vhost = has_vhost();
	if (!vhost) {
		have_slots_told();
		known = all_known(memory_map());
		memory_map_forget();
	}
	qemu.bql_unlock();
	if (vhost)
		return refuse("the VM has a device that vhost serves, which would lose sight of its RAM for a "
			      "moment: start QEMU with -plugin, or that device without vhost (vhost=off)");
	return known ? 0 : refuse("QEMU does not say where KVM has the guest's RAM: the VM may be being "
				  "migrated or saved: try again when that is done");
}

int kvm_learn(void)
{
	if (find_functions() < 0 || learn_vm() < 0 || learn_vcpus() < 0 || learn_msr_filter() < 0)
		return -1;
	return learn_slots();
}
