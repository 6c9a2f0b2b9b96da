/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/memory/frame.h"
#include "agent/memory/slat.h"
#include "agent/memory/view.h"
#include "alias.h"
#include "ram.h"

#define PAGE     ALIAS_PAGE
#define TOO_FINE \
	"the view is too finely divided, or shows what is no RAM that can be shared"
#define NO_RAM \
	"there is no RAM that QEMU shares: what lies in ROM, flash or a device cannot be trapped"

/* Frames whose fetches are trapped whatever the view says, by so many. */
static struct held {
	uint64_t gfn;
	unsigned by;
} held[SCRY_BREAKPOINTS];
static unsigned held_count;

static bool anew;		/* pages are held that are open: each is to be looked at */

static _Atomic bool refreshes;	/* refresh() comes */

static int protection(uint64_t entry)
{
	if (entry & (SCRY_READ | SCRY_EXEC))
		return PROT_NONE;
	return entry & SCRY_WRITE ? PROT_READ : PROT_READ | PROT_WRITE;
}

/* The file behind a page, and where in it; -1 = none that can be shared. */
static int file_of(uint64_t gpa, uint64_t *offset)
{
	uint64_t page;
	const struct alias *a = alias_of(gpa / PAGE, &page);
	int fd;

	if (a) {
		*offset = a->file_offset + page * PAGE;
		return a->fd;
	}
	*offset = gpa - FRAMES_BASE;
	return gpa >= FRAMES_BASE && frame_at(gpa, &fd) ? fd : -1;
}

/* Have pages first to last - 1 be so, which all are alike; remapped ones are one. */
static bool set_pages(struct alias *a, uint64_t first, uint64_t last, uint64_t entry)
{
	char *at = a->memory + first * PAGE;
	uint64_t offset = a->file_offset + first * PAGE, size = (last - first) * PAGE;
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
	for (uint64_t i = first; i < last; i++) {
		a->busy[i / ALIAS_CHUNK] += (uint32_t)(!!entry - !!a->is[i]);
		a->is[i] = entry;
	}
	return true;
}

static uint64_t wanted_of(const struct alias *a, const struct slat *slat, uint64_t page,
			  uint64_t gfn)
{
	uint64_t entry = slat ? slat_find(slat, gfn) : 0;

	return a->held[page] ? entry | SCRY_EXEC : entry;
}

/* The first page of the part, from here on, that does not go together with the page i. */
static uint64_t run_end(const struct part *p, const struct slat *slat, uint64_t i, uint64_t wanted)
{
	const struct alias *a = p->alias;
	uint64_t is = a->is[p->first + i];

	for (i++; !((is | wanted) & SLAT_REMAPPED) && i < p->pages; i++)
		if (a->is[p->first + i] != is ||
		    wanted_of(a, slat, p->first + i, p->gfn + i) != wanted)
			break;
	return i;
}

/* The first page of the part, from here on, that may not be open, or not be wanted so. */
static uint64_t first_busy(const struct part *p, const struct slat *slat, uint64_t i)
{
	while (i < p->pages && !anew) {
		uint64_t page = p->first + i, step = ALIAS_CHUNK - page % ALIAS_CHUNK, run = step;

		if (p->alias->busy[page / ALIAS_CHUNK] ||
		    (slat && slat_find_run(slat, p->gfn + i, &run)))
			break;
		i += run < step ? run : step;
	}
	return i;
}

static bool apply(const struct part *p, const struct slat *slat)
{
	for (uint64_t end, i = first_busy(p, slat, 0); i < p->pages; i = first_busy(p, slat, end)) {
		uint64_t page = p->first + i, wanted = wanted_of(p->alias, slat, page, p->gfn + i);

		end = run_end(p, slat, i, wanted);
		if (wanted != p->alias->is[page] &&
		    !set_pages(p->alias, page, page + (end - i), wanted))
			return false;
	}
	return true;
}

static const char *apply_all(const struct slat *slat)
{
	for (unsigned i = 0; i < aliases.parts; i++)
		if (!apply(&aliases.part[i], slat))
			return TOO_FINE;
	anew = false;
	return NULL;
}

bool ram_is_trapped(void)
{
	return aliases.count;
}

static void forget_held(void)
{
	for (unsigned i = 0; i < aliases.count; i++)
		if (aliases.alias[i].size)
			memset(aliases.alias[i].held, 0,
			       aliases.alias[i].size / PAGE * sizeof(*aliases.alias[i].held));
}

/* Each frame, in the page that stands for it now. */
static void hold_all(void)
{
	for (unsigned i = 0; i < held_count; i++) {
		uint64_t page;
		struct alias *a = alias_of(held[i].gfn, &page);

		if (a)
			a->held[page] = (uint16_t)held[i].by;
	}
	anew = true;
}

static void map_changed(struct qemu_listener *unused);

/* From the first time on. */
static void watch_map(void)
{
	static struct qemu_listener listener;

	if (listener.commit)
		return;
	listener.commit = map_changed;
	qemu.memory_listener_register(&listener, qemu.address_space_memory);
}

static const char *make(void)
{
	const char *why = kvm_debug_lacks();

	if (why)
		return why;
	bql_lock();
	watch_map();
	why = aliases_make();
	qemu.bql_unlock();
	if (!why)
		hold_all();
	return why;
}

static void drop(void)
{
	bql_lock();
	aliases_drop();
	qemu.bql_unlock();
}

static bool is_current(void)
{
	bool current;

	bql_lock();
	current = aliases_current();
	qemu.bql_unlock();
	return current;
}

/* While no vCPU executes: what is RAM may have changed, and where. */
static void refresh(struct qemu_cpu *cpu, uint64_t unused)
{
	const char *why;

	(void)cpu;
	(void)unused;
	atomic_store(&refreshes, false);
	if (!aliases.count || !aliases.parts || is_current()) {
		ram_apply();
		return;
	}
	forget_held();
	apply_all(NULL);
	why = make();
	why = why ? why : apply_all(vcpus[0].slat);
	if (why)
		fprintf(stderr, "scry-agent: the guest's memory map has changed, and no memory is "
			"trapped now: %s\n", why);
}

static void refresh_soon(void)
{
	if (!atomic_exchange(&refreshes, true))
		qemu.async_safe_run_on_cpu(vcpus[0].cpu, refresh, 0);
}

/* With QEMU's big lock. */
static void map_changed(struct qemu_listener *unused)
{
	(void)unused;
	if (!aliases.count)
		return;
	aliases_doubt();
	refresh_soon();
}

/* What could not be dropped maybe can. */
void ram_slots_changed(void)
{
	if (aliases.count && !aliases.parts)
		refresh_soon();
}

/* They stay while a view of the client's may trap: making them is much work. */
const char *ram_apply(void)
{
	const char *why = NULL;

	if (!view_any() && !held_count) {
		apply_all(NULL);
		drop();
		return NULL;
	}
	if (!aliases.parts)
		why = make();
	return why ? why : apply_all(vcpus[0].slat);
}

static const char *hold(struct held *h, int by)
{
	uint64_t page, wanted;
	struct alias *a = alias_of(h->gfn, &page);

	h->by += (unsigned)by;
	if (!a)
		return NO_RAM;
	a->held[page] = (uint16_t)h->by;
	wanted = wanted_of(a, vcpus[0].slat, page, h->gfn);
	return wanted == a->is[page] || set_pages(a, page, page + 1, wanted) ? NULL : TOO_FINE;
}

static struct held *find_held(uint64_t gfn)
{
	struct held *h = held;

	while (h < held + held_count && h->gfn != gfn)
		h++;
	return h;
}

const char *ram_hold(uint64_t gfn)
{
	const char *why = aliases.parts ? NULL : make();
	struct held *h = find_held(gfn);

	if (why)
		return why;
	if (h == held + held_count) {
		*h = (struct held){ .gfn = gfn };
		held_count++;
	}
	why = hold(h, 1);
	if (why)
		ram_let(gfn);
	return why;
}

void ram_let(uint64_t gfn)
{
	struct held *h = find_held(gfn);

	hold(h, -1);
	if (!h->by)
		*h = held[--held_count];
	if (!held_count)
		ram_apply();
}

bool ram_blocks(uint64_t gfn, bool write)
{
	uint64_t page;
	const struct alias *a = alias_of(gfn, &page);

	return a && (a->is[page] & (SCRY_READ | SCRY_EXEC) || (write && a->is[page] & SCRY_WRITE));
}

const char *ram_enter(unsigned view)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		view_point(&vcpus[i], view);
	return ram_apply();
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
	for (unsigned i = 0; i < aliases.count; i++)
		if (aliases.alias[i].size)
			mprotect(aliases.alias[i].memory, aliases.alias[i].size, PROT_READ | PROT_WRITE);
}

static void close_all(const struct alias *a)
{
	uint64_t pages = a->size / PAGE;

	for (uint64_t first = 0, end; first < pages; first = end) {
		for (end = first + 1; end < pages && protection(a->is[end]) == protection(a->is[first]);)
			end++;
		mprotect(a->memory + first * PAGE, (end - first) * PAGE, protection(a->is[first]));
	}
}

void ram_close_all(void)
{
	for (unsigned i = 0; i < aliases.count; i++)
		close_all(&aliases.alias[i]);
}

const char *ram_lacks(void)
{
	const char *why;

	bql_lock();
	why = aliases_lack();
	qemu.bql_unlock();
	return why;
}

const char *ram_lacks_at(uint64_t gfn, uint64_t count)
{
	const char *why = aliases.parts ? NULL : make();

	if (why)
		return why;
	for (unsigned i = 0; i < aliases.parts; i++) {
		const struct part *p = &aliases.part[i];

		if (p->gfn < gfn + count && gfn < p->gfn + p->pages)
			return NULL;
	}
	return NO_RAM;
}
