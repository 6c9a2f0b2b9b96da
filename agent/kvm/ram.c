/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <sys/mman.h>

#include "agent/memory/frame.h"
#include "agent/memory/memory_map.h"
#include "agent/memory/slat.h"
#include "agent/memory/view.h"
#include "ram.h"

#define PAGE        UINT64_C(4096)
#define SLOTS       128u
#define NO_MEMORY   "QEMU has no memory left for a second mapping of the guest's RAM"
#define TOO_FINE \
	"the view is too finely divided, or shows what is no RAM that can be shared"
#define FRAMES_BASE (UINT64_C(1) << 52)	/* of the client's own frames, which are no guest's */

/* As QEMU has told KVM of them. */
static struct kvm_userspace_memory_region slots[SLOTS];

/* The second mapping of a region of RAM that can be shared. */
static struct alias {
	struct scry_agent_region region;
	int fd;
	char *memory;
	uint64_t *is;		/* entry of the slat, of each page, as it is in force */
	uint16_t *held;		/* by so many that trap each page's fetches, whatever the view says */
} aliases[SCRY_AGENT_REGIONS];
static unsigned alias_count;
static unsigned holders;	/* in all */

static struct kvm_userspace_memory_region *slot_of(uint32_t id)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].memory_size && slots[i].slot == id)
			return &slots[i];
	return NULL;
}

static void note(const struct kvm_userspace_memory_region *slot)
{
	struct kvm_userspace_memory_region *known = slot_of(slot->slot);

	for (unsigned i = 0; !known && i < SLOTS; i++)
		if (!slots[i].memory_size)
			known = &slots[i];
	if (known)
		*known = *slot;
}

/* Where KVM is to find what QEMU has at this address. */
static uint64_t place_of(uint64_t host)
{
	for (unsigned i = 0; i < alias_count; i++)
		if (host - aliases[i].region.host < aliases[i].region.size)
			return (uint64_t)aliases[i].memory + (host - aliases[i].region.host);
	return host;
}

bool ram_slot(struct kvm_userspace_memory_region *slot)
{
	if (slot->guest_phys_addr >= FRAMES_BASE)
		return false;
	note(slot);
	if (slot->memory_size)
		slot->userspace_addr = place_of(slot->userspace_addr);
	return true;
}

/* Have each slot be where place_of() says now. */
static void move_slots(const uint64_t *before)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct kvm_userspace_memory_region slot = slots[i];

		slot.userspace_addr = place_of(slot.userspace_addr);
		if (!slot.memory_size || slot.userspace_addr == before[i])
			continue;
		slot.memory_size = 0;
		kvm_ioctl(kvm.fd, KVM_SET_USER_MEMORY_REGION, &slot);
		slot.memory_size = slots[i].memory_size;
		kvm_ioctl(kvm.fd, KVM_SET_USER_MEMORY_REGION, &slot);
	}
}

static void places(uint64_t *place)
{
	for (unsigned i = 0; i < SLOTS; i++)
		place[i] = place_of(slots[i].userspace_addr);
}

static bool add_alias(const struct scry_agent_region *region, int fd)
{
	struct alias *a = &aliases[alias_count];
	void *p = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)region->file_offset);

	if (p == MAP_FAILED)
		return false;
	*a = (struct alias){ .region = *region, .fd = fd, .memory = p };
	a->is = calloc(region->size / PAGE, sizeof(*a->is));
	a->held = calloc(region->size / PAGE, sizeof(*a->held));
	if (!a->is || !a->held) {
		munmap(p, region->size);
		free(a->is);
		free(a->held);
		return false;
	}
	alias_count++;
	return true;
}

static void drop_aliases(void)
{
	struct alias old[SCRY_AGENT_REGIONS];
	unsigned count = alias_count;
	uint64_t before[SLOTS];

	places(before);
	memcpy(old, aliases, sizeof(old));
	alias_count = 0;
	move_slots(before);
	for (unsigned i = 0; i < count; i++) {
		munmap(old[i].memory, old[i].region.size);
		free(old[i].is);
		free(old[i].held);
	}
}

/* The regions that can be shared, with their files; how many. */
static unsigned regions(struct scry_agent_region *region, int *fd)
{
	const struct memory_map *map;
	int files[SCRY_AGENT_FILES];
	unsigned n = 0;

	bql_lock();
	map = memory_map();
	memcpy(region, map->region, sizeof(map->region));
	memory_map_files(map, region, files);
	for (unsigned i = 0; i < map->count; i++) {
		if (region[i].file < 0 || region[i].flags)
			continue;
		region[n] = region[i];
		fd[n] = files[region[n].file];
		n++;
	}
	qemu.bql_unlock();
	return n;
}

static bool make_aliases(void)
{
	struct scry_agent_region region[SCRY_AGENT_REGIONS];
	int fd[SCRY_AGENT_REGIONS];
	unsigned n = regions(region, fd);
	uint64_t before[SLOTS];
	bool made = true;

	places(before);
	for (unsigned i = 0; i < n && made; i++)
		made = add_alias(&region[i], fd[i]);
	move_slots(before);
	if (!made)
		drop_aliases();
	return made;
}

static int protection(uint64_t entry)
{
	if (entry & (SCRY_READ | SCRY_EXEC))
		return PROT_NONE;
	return entry & SCRY_WRITE ? PROT_READ : PROT_READ | PROT_WRITE;
}

/* The file behind a page, and where in it; -1 = none that can be shared. */
static int file_of(uint64_t gpa, uint64_t *offset)
{
	int fd;

	for (unsigned i = 0; i < alias_count; i++) {
		const struct scry_agent_region *r = &aliases[i].region;

		if (gpa - r->gpa >= r->size)
			continue;
		*offset = r->file_offset + (gpa - r->gpa);
		return aliases[i].fd;
	}
	*offset = gpa - FRAMES_BASE;
	return gpa >= FRAMES_BASE && frame_at(gpa, &fd) ? fd : -1;
}

/* Have pages first to last - 1 be so, which all are alike; remapped ones are one. */
static bool set_pages(struct alias *a, uint64_t first, uint64_t last, uint64_t entry)
{
	char *at = a->memory + first * PAGE;
	uint64_t offset = a->region.file_offset + first * PAGE, size = (last - first) * PAGE;
	bool moves = (a->is[first] ^ entry) & ~SLAT_TRAPS;
	int fd = a->fd;

	if (moves && entry & SLAT_REMAPPED)
		fd = file_of(entry & SLAT_PAGE, &offset);
	if (fd < 0)
		return false;
	if (moves ? mmap(at, size, protection(entry), MAP_SHARED | MAP_FIXED, fd, (off_t)offset) ==
			    MAP_FAILED :
		    mprotect(at, size, protection(entry)) < 0)
		return false;
	for (uint64_t i = first; i < last; i++)
		a->is[i] = entry;
	return true;
}

static uint64_t wanted_of(const struct alias *a, const struct slat *slat, uint64_t page)
{
	uint64_t entry = slat ? slat_find(slat, a->region.gpa / PAGE + page) : 0;

	return a->held[page] ? entry | SCRY_EXEC : entry;
}

/* The first page from here on that does not go together with the page `first`. */
static uint64_t run_end(const struct alias *a, const struct slat *slat, uint64_t first,
			uint64_t wanted)
{
	uint64_t pages = a->region.size / PAGE, i = first + 1;

	if ((a->is[first] | wanted) & SLAT_REMAPPED)
		return i;
	while (i < pages && a->is[i] == a->is[first] && wanted_of(a, slat, i) == wanted)
		i++;
	return i;
}

static bool apply(struct alias *a, const struct slat *slat)
{
	uint64_t pages = a->region.size / PAGE;

	for (uint64_t i = 0; i < pages;) {
		uint64_t wanted = wanted_of(a, slat, i);
		uint64_t end = run_end(a, slat, i, wanted);

		if (wanted != a->is[i] && !set_pages(a, i, end, wanted))
			return false;
		i = end;
	}
	return true;
}

bool ram_is_trapped(void)
{
	return alias_count;
}

const char *ram_apply(void)
{
	const struct slat *slat = vcpus[0].slat;

	if (!slat && !holders && !alias_count)
		return NULL;
	if (!slat && !holders) {
		drop_aliases();
		return NULL;
	}
	if (!alias_count && !make_aliases())
		return NO_MEMORY;
	for (unsigned i = 0; i < alias_count; i++)
		if (!apply(&aliases[i], slat))
			return TOO_FINE;
	return NULL;
}

static struct alias *alias_of(uint64_t gfn, uint64_t *page)
{
	for (unsigned i = 0; i < alias_count; i++) {
		*page = gfn - aliases[i].region.gpa / PAGE;
		if (*page < aliases[i].region.size / PAGE)
			return &aliases[i];
	}
	return NULL;
}

static bool hold(uint64_t gfn, int by)
{
	uint64_t page, wanted;
	struct alias *a = alias_of(gfn, &page);

	if (!a)
		return true;	/* nothing is executed where there is no RAM */
	a->held[page] = (uint16_t)(a->held[page] + by);
	wanted = wanted_of(a, vcpus[0].slat, page);
	return wanted == a->is[page] || set_pages(a, page, page + 1, wanted);
}

const char *ram_hold(uint64_t gfn)
{
	const char *lacks = alias_count ? NULL : ram_lacks();

	if (lacks)
		return lacks;
	if (!alias_count && !make_aliases())
		return NO_MEMORY;
	holders++;
	if (hold(gfn, 1))
		return NULL;
	ram_let(gfn);
	return TOO_FINE;
}

void ram_let(uint64_t gfn)
{
	holders--;
	hold(gfn, -1);
	if (!holders)
		ram_apply();
}

bool ram_blocks(uint64_t gfn, bool write)
{
	uint64_t page;
	const struct alias *a = alias_of(gfn, &page);

	return a && (a->is[page] & (SCRY_READ | SCRY_EXEC) || (write && a->is[page] & SCRY_WRITE));
}

void ram_enter(unsigned view)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		view_point(&vcpus[i], view);
	ram_apply();
}

static void protect_frame(uint64_t gfn, bool open)
{
	uint64_t page;
	const struct alias *a = alias_of(gfn, &page);

	if (a)
		mprotect(a->memory + page * PAGE, PAGE,
			 open ? PROT_READ | PROT_WRITE : protection(a->is[page]));
}

void ram_open(uint64_t gfn)
{
	protect_frame(gfn, true);
}

void ram_close(uint64_t gfn)
{
	protect_frame(gfn, false);
}

void ram_open_all(void)
{
	for (unsigned i = 0; i < alias_count; i++)
		mprotect(aliases[i].memory, aliases[i].region.size, PROT_READ | PROT_WRITE);
}

void ram_close_all(void)
{
	for (unsigned i = 0; i < alias_count; i++) {
		struct alias *a = &aliases[i];
		uint64_t pages = a->region.size / PAGE;

		for (uint64_t first = 0, end; first < pages; first = end) {
			for (end = first + 1; end < pages &&
			     protection(a->is[end]) == protection(a->is[first]);)
				end++;
			mprotect(a->memory + first * PAGE, (end - first) * PAGE,
				 protection(a->is[first]));
		}
	}
}

const char *ram_lacks(void)
{
	struct scry_agent_region region[SCRY_AGENT_REGIONS];
	int fd[SCRY_AGENT_REGIONS];

	return regions(region, fd) ? NULL :
	       "guest RAM is private to QEMU: use scry run, or -object memory-backend-memfd,id=ram,"
	       "size=SIZE,share=on -machine memory-backend=ram";
}
