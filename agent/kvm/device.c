/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "agent/qemu/qemu.h"
#include "alias.h"
#include "device.h"
#include "slot.h"

#define PAGE   ALIAS_PAGE
#define NO_RAM (~UINT64_C(0))
#define MOST   64u			/* slots */
#define LARGEST (UINT64_C(1) << 18)	/* of one, in pages: 1 GiB */

#define KEPT \
	"the processor itself serves this device, the local APIC, and nobody can trap its frame"
#define NOT_THERE \
	"there is no RAM that QEMU shares, and no device that is read or written: what lies in ROM or " \
	"flash cannot be trapped"
#define TOO_MANY "too many pieces of devices' memory would be trapped: 64 is the most"
#define FAILED   "KVM takes no slot for the frames of a device"

struct frames {
	uint64_t gfn, count;		/* count 0: unused */
};

/* Frames of devices that this traps. */
struct list {
	const struct slat *slat;
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
	return a.count && b.count && a.gfn < b.gfn + b.count && b.gfn < a.gfn + a.count;
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

/*
 * Only a slot that goes has KVM forget what it has mapped; on Intel's processors it would
 * go on serving a virtio device's doorbell by itself (handle_ept_misconfig()).
 */
static bool make_slot(const struct closed *c)
{
	return set_slot(c, true) && set_slot(c, false) && set_slot(c, true);
}

static void forget(struct closed *c)
{
	if (c->open || set_slot(c, false))
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
	if (c->is.count && c->open != open && (open ? set_slot(c, false) : make_slot(c)))
		c->open = open;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The last of the list, if it can grow by what begins there, or a new one; NULL: too many. */
static struct frames *last_or_new(struct list *list, uint64_t gfn)
{
	struct frames *last = list->count ? &list->at[list->count - 1] : NULL;

	if (last && last->gfn + last->count == gfn && last->count < LARGEST)
		return last;
	list->too_many |= list->count == MOST;
	if (list->too_many)
		return NULL;
	last = &list->at[list->count++];
	*last = (struct frames){ .gfn = gfn };
	return last;
}

/* Devices may share a page, which the last has then. */
static void add(struct list *list, uint64_t gfn, uint64_t end)
{
	struct frames *last = list->count ? &list->at[list->count - 1] : NULL;

	if (last && gfn < last->gfn + last->count)
		gfn = last->gfn + last->count;
	while (gfn < end && (last = last_or_new(list, gfn))) {
		uint64_t more = least(end - gfn, LARGEST - last->count);

		last->count += more;
		gfn += more;
	}
}

static bool is_device(struct qemu_region *mr)
{
	return qemu.memory_region_get_ram_addr(mr) == NO_RAM;
}

/* One range of QEMU's flat view: what of it is trapped, but on fetches, which no device has. */
static bool see_range(qemu_int128 start, qemu_int128 len, struct qemu_region *mr, uint64_t offset,
		      void *opaque)
{
	uint64_t gfn = (uint64_t)start / PAGE, end = (uint64_t)(start + len - 1) / PAGE + 1;
	struct list *list = opaque;

	(void)offset;
	for (uint64_t run; is_device(mr) && gfn < end && gfn <= SLAT_GFNS; gfn += run) {
		uint64_t entry = slat_find_run(list->slat, gfn, &run);

		run = least(run, end - gfn);
		if (entry & (SCRY_READ | SCRY_WRITE))
			add(list, gfn, gfn + run);
	}
	return false;
}

static void see_all(qemu_range_fn see, void *opaque)
{
	struct qemu_flatview *view = qemu.address_space_get_flatview(qemu.address_space_memory);

	qemu.flatview_for_each_range(view, see, opaque);
	qemu.flatview_unref(view);
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

/* False: errno says why. */
static bool close_frames(struct frames f)
{
	struct closed *c = closed;

	while (c < closed + MOST && c->is.count)
		c++;
	if (c == closed + MOST) {
		errno = ENOSPC;
		return false;
	}
	c->is = f;
	if (make_slot(c))
		return true;
	*c = (struct closed){ 0 };
	return false;
}

static const char *apply(const struct list *wanted)
{
	for (unsigned i = 0; i < MOST; i++)
		if (closed[i].is.count && !is_in(wanted, closed[i].is))
			forget(&closed[i]);
	for (unsigned i = 0; i < wanted->count; i++)
		if (!is_closed(wanted->at[i]) && !close_frames(wanted->at[i]) && errno != EEXIST)
			return FAILED;
	return NULL;
}

const char *devices_apply(const struct slat *slat)
{
	struct list wanted = { .slat = slat };
	const char *why;

	if (slat)
		see_all(see_range, &wanted);
	if (wanted.too_many)
		return TOO_MANY;
	pthread_mutex_lock(&lock);
	why = apply(&wanted);
	pthread_mutex_unlock(&lock);
	return why;
}

/* Can one be trapped, where KVM may have a slot of its own? */
static const char *cannot_close(uint64_t gfn)
{
	const char *why = NULL;

	pthread_mutex_lock(&lock);
	if (!find(gfn)) {
		if (close_frames((struct frames){ gfn, 1 }))
			forget(find(gfn));
		else
			why = errno == EEXIST ? KEPT : FAILED;
	}
	pthread_mutex_unlock(&lock);
	return why;
}

struct search {
	struct frames in;
	const char *why;	/* none of a device is found; NULL = one is */
};

static bool search_range(qemu_int128 start, qemu_int128 len, struct qemu_region *mr, uint64_t offset,
			 void *opaque)
{
	uint64_t first = (uint64_t)start / PAGE, last = (uint64_t)(start + len - 1) / PAGE;
	struct search *s = opaque;

	(void)offset;
	if (is_device(mr) && overlap((struct frames){ first, last - first + 1 }, s->in))
		s->why = cannot_close(s->in.gfn > first ? s->in.gfn : first);
	return !s->why;
}

const char *devices_lack(uint64_t gfn, uint64_t count)
{
	struct search s = { .in = { gfn, count }, .why = NOT_THERE };

	see_all(search_range, &s);
	return s.why;
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
		if (!(slot->slot & SLOT_SPACE) && overlap(closed[i].is, f))
			forget(&closed[i]);
}

void devices_go_on(void)
{
	pthread_mutex_unlock(&lock);
}
