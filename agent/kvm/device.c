/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <sys/mman.h>

#include "agent/qemu/qemu.h"
#include "alias.h"
#include "device.h"

#define PAGE   ALIAS_PAGE
#define NO_RAM (~UINT64_C(0))
#define MOST   64u			/* slots */
#define LARGEST (UINT64_C(1) << 18)	/* of one, in pages: 1 GiB */

#define KEPT \
	"the processor itself serves this device, the local APIC, and nobody can trap its frame"
#define NOT_THERE \
	"there is no RAM that QEMU shares, and no device: what lies in ROM or flash cannot be trapped"
#define TOO_MANY "too many pieces of devices' memory would be trapped, or one of over 1 GiB"

struct frames {
	uint64_t gfn, count;		/* count 0: unused */
};

struct list {
	unsigned count;
	bool too_many;
	struct frames at[MOST];
};

/* Number n has KVM's slot number last_slot() - n, unless it is open. */
static struct closed {
	struct frames is;
	bool open;
} closed[MOST];

/* Over these, once the first is closed, and KVM's slots while they change. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool overlap(struct frames a, struct frames b)
{
	return a.gfn < b.gfn + b.count && b.gfn < a.gfn + a.count;
}

/* QEMU takes the lowest numbers that are free. */
static uint32_t last_slot(void)
{
	return (uint32_t)kvm_ioctl(kvm.fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_NR_MEMSLOTS) - 1;
}

/* Memory for all of them, as nobody ever gets at it. */
static uint64_t no_access(void)
{
	static void *memory;

	if (!memory)
		memory = mmap(NULL, LARGEST * PAGE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory == MAP_FAILED ? 0 : (uint64_t)memory;
}

static bool set_slot(const struct closed *c, bool there)
{
	struct kvm_userspace_memory_region region = {
		.slot = last_slot() - (uint32_t)(c - closed),
		.guest_phys_addr = c->is.gfn * PAGE,
		.memory_size = there ? c->is.count * PAGE : 0,
		.userspace_addr = no_access(),
	};

	return region.userspace_addr && kvm_ioctl(kvm.fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

static void forget(struct closed *c)
{
	if (!c->open)
		set_slot(c, false);
	*c = (struct closed){ 0 };
}

static struct closed *find(uint64_t gfn)
{
	for (unsigned i = 0; i < MOST; i++)
		if (overlap(closed[i].is, (struct frames){ gfn, 1 }))
			return &closed[i];
	return NULL;
}

static void set_open(struct closed *c, bool open)
{
	if (!c->is.count || c->open == open)
		return;
	if (set_slot(c, !open))
		c->open = open;
	else
		*c = (struct closed){ 0 };
}

static void add(struct list *list, struct frames f)
{
	struct frames *last = list->count ? &list->at[list->count - 1] : NULL;

	if (last && f.gfn <= last->gfn + last->count) {
		if (f.gfn + f.count > last->gfn + last->count)
			last->count = f.gfn + f.count - last->gfn;
	} else if (list->count == MOST) {
		list->too_many = true;
	} else {
		list->at[list->count++] = f;
	}
}

/* One range of QEMU's flat view, in whole pages. */
static bool see_range(qemu_int128 start, qemu_int128 len, struct qemu_region *mr, uint64_t offset,
		      void *list)
{
	uint64_t first = (uint64_t)start / PAGE, last = (uint64_t)(start + len - 1) / PAGE;

	(void)offset;
	if (qemu.memory_region_get_ram_addr(mr) == NO_RAM || qemu.memory_region_is_ram_device(mr))
		add(list, (struct frames){ first, last - first + 1 });
	return false;
}

static void find_devices(struct list *devices)
{
	struct qemu_flatview *view = qemu.address_space_get_flatview(qemu.address_space_memory);

	*devices = (struct list){ 0 };
	qemu.flatview_for_each_range(view, see_range, devices);
	qemu.flatview_unref(view);
}

/* Those of the frames that are trapped otherwise than on fetches, which no device has. */
static void trapped_of(const struct slat *slat, struct frames of, struct list *list)
{
	for (uint64_t run, gfn = of.gfn; gfn < of.gfn + of.count && gfn <= SLAT_GFNS; gfn += run) {
		uint64_t left = of.gfn + of.count - gfn;
		uint64_t entry = slat_find_run(slat, gfn, &run);

		run = run < left ? run : left;
		if (entry & (SCRY_READ | SCRY_WRITE))
			add(list, (struct frames){ gfn, run });
	}
}

static void find_trapped(const struct slat *slat, struct list *trapped)
{
	struct list devices;

	find_devices(&devices);
	*trapped = (struct list){ .too_many = devices.too_many };
	for (unsigned i = 0; i < devices.count; i++)
		trapped_of(slat, devices.at[i], trapped);
	for (unsigned i = 0; i < trapped->count; i++)
		trapped->too_many |= trapped->at[i].count > LARGEST;
}

static bool is_in(const struct list *list, struct frames f)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->at[i].gfn == f.gfn && list->at[i].count == f.count)
			return true;
	return false;
}

static bool is_closed(struct frames f)
{
	const struct closed *c = find(f.gfn);

	return c && c->is.gfn == f.gfn && c->is.count == f.count;
}

static bool close_frames(struct frames f)
{
	for (unsigned i = 0; i < MOST; i++) {
		if (closed[i].is.count)
			continue;
		closed[i].is = f;
		if (set_slot(&closed[i], true))
			return true;
		closed[i] = (struct closed){ 0 };
		break;
	}
	return false;
}

static void apply(const struct list *wanted)
{
	for (unsigned i = 0; i < MOST; i++)
		if (closed[i].is.count && !is_in(wanted, closed[i].is))
			forget(&closed[i]);
	for (unsigned i = 0; i < wanted->count; i++)
		if (!is_closed(wanted->at[i]))
			close_frames(wanted->at[i]);
}

const char *devices_apply(const struct slat *slat)
{
	struct list wanted = { 0 };

	if (slat)
		find_trapped(slat, &wanted);
	if (wanted.too_many)
		return TOO_MANY;
	pthread_mutex_lock(&lock);
	apply(&wanted);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Can one be trapped, where KVM may have a slot of its own? */
static bool can_close(uint64_t gfn)
{
	const struct frames f = { gfn, 1 };
	bool can;

	pthread_mutex_lock(&lock);
	can = find(gfn);
	if (!can && close_frames(f)) {
		forget(find(gfn));
		can = true;
	}
	pthread_mutex_unlock(&lock);
	return can;
}

const char *devices_lack(uint64_t gfn, uint64_t count)
{
	const char *why = NOT_THERE;
	struct list devices;

	find_devices(&devices);
	for (unsigned i = 0; i < devices.count; i++) {
		uint64_t first = devices.at[i].gfn;

		if (!overlap(devices.at[i], (struct frames){ gfn, count }))
			continue;
		if (can_close(gfn > first ? gfn : first))
			return NULL;
		why = KEPT;
	}
	return why;
}

bool device_blocks(uint64_t gfn)
{
	bool blocks;

	pthread_mutex_lock(&lock);
	blocks = find(gfn);
	pthread_mutex_unlock(&lock);
	return blocks;
}

static void open_one(uint64_t gfn, bool open)
{
	struct closed *c;

	pthread_mutex_lock(&lock);
	c = find(gfn);
	if (c)
		set_open(c, open);
	pthread_mutex_unlock(&lock);
}

void device_open(uint64_t gfn)
{
	open_one(gfn, true);
}

void device_close(uint64_t gfn)
{
	open_one(gfn, false);
}

static void open_all(bool open)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MOST; i++)
		set_open(&closed[i], open);
	pthread_mutex_unlock(&lock);
}

void devices_open_all(void)
{
	open_all(true);
}

void devices_close_all(void)
{
	open_all(false);
}

void devices_make_way(const struct kvm_userspace_memory_region *slot)
{
	const struct frames f = { slot->guest_phys_addr / PAGE, slot->memory_size / PAGE };

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MOST; i++)
		if (closed[i].is.count && overlap(closed[i].is, f))
			forget(&closed[i]);
}

void devices_go_on(void)
{
	pthread_mutex_unlock(&lock);
}
