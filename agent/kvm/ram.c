/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "agent/memory/slat.h"
#include "agent/memory/view.h"
#include "alias.h"
#include "device.h"
#include "hold.h"
#include "page.h"
#include "plant.h"
#include "ram.h"
#include "selftest.h"

#define TOO_FINE \
	"the view is too finely divided, or shows what is no RAM that can be shared"
#define NO_RAM \
	"there is no RAM that QEMU shares: ROM, flash and devices can have no breakpoint, no trap on " \
	"fetches, and no other memory in their place"

static bool anew;		/* pages are held that are open: each is to be looked at */

static _Atomic bool refreshes;	/* refresh() comes */

static uint64_t wanted_of(const struct alias *a, const struct slat *slat, uint64_t page,
			  uint64_t gfn)
{
	uint64_t entry = slat ? slat_find(slat, gfn) : 0;

	if (a->held[page] || (a->copy[page] && entry))
		return entry | SCRY_EXEC;
	return a->copy[page] ? plant_entry(a->copy[page]) : entry;
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
		    !pages_set(p->alias, page, page + (end - i), wanted))
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
	return devices_apply(slat);
}

bool ram_is_trapped(void)
{
	return aliases.count;
}

static void map_changed(struct qemu_listener *unused);

static struct qemu_listener listener;

/* From the first time on. */
static void watch_map(void)
{
	if (listener.commit)
		return;
	listener.commit = map_changed;
	qemu.memory_listener_register(&listener, qemu.address_space_memory);
}

void ram_unwatch(void)
{
	if (!listener.commit)
		return;
	qemu.memory_listener_unregister(&listener);
	listener.commit = NULL;
}

const char *ram_make(void)
{
	const char *why = kvm_tells_nothing();

	why = why ? why : kvm_debug_lacks();
	if (why)
		return why;
	bql_lock();
	watch_map();
	why = aliases_make();
	qemu.bql_unlock();
	if (!why) {
		holds_place();
		anew = true;
	}
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
	holds_forget();
	apply_all(NULL);
	why = ram_make();
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

	if (!view_any() && !holds_any()) {
		apply_all(NULL);
		drop();
		return NULL;
	}
	if (!aliases.parts)
		why = ram_make();
	return why ? why : apply_all(vcpus[0].slat);
}

const char *ram_update(uint64_t gfn, unsigned by, unsigned copy)
{
	uint64_t page, wanted;
	struct alias *a = alias_of(gfn, &page);

	if (!a)
		return NO_RAM;
	a->held[page] = (uint16_t)by;
	a->copy[page] = (uint16_t)copy;
	wanted = wanted_of(a, vcpus[0].slat, page, gfn);
	return wanted == a->is[page] || pages_set(a, page, page + 1, wanted) ? NULL : TOO_FINE;
}

bool ram_blocks(uint64_t gfn, bool write)
{
	uint64_t page;
	const struct alias *a = alias_of(gfn, &page);

	if (!a)
		return device_blocks(gfn);
	return a->copy[page] || a->is[page] & (SCRY_READ | SCRY_EXEC) ||
	       (write && a->is[page] & SCRY_WRITE);
}

const char *ram_enter(unsigned view)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		view_point(&vcpus[i], view);
	return ram_apply();
}

void ram_open(uint64_t gfn, bool write)
{
	uint64_t page;
	struct alias *a = alias_of(gfn, &page);

	if (a)
		page_open(a, page, write);
	else
		device_open(gfn);
}

void ram_close(uint64_t gfn)
{
	uint64_t page;
	struct alias *a = alias_of(gfn, &page);

	if (a)
		page_close(a, page);
	else
		device_close(gfn);
}

void ram_open_all(void)
{
	holds_open(true);
	for (unsigned i = 0; i < aliases.count; i++)
		if (aliases.alias[i].size)
			pages_open_all(&aliases.alias[i]);
	devices_open_all();
}

void ram_close_all(void)
{
	holds_open(false);
	for (unsigned i = 0; i < aliases.count; i++)
		if (aliases.alias[i].size)
			pages_close_all(&aliases.alias[i]);
	devices_close_all();
}

const char *ram_lacks(void)
{
	const char *why = kvm_tells_nothing();

	if (why)
		return why;
	bql_lock();
	why = aliases_lack();
	qemu.bql_unlock();
	return why;
}

static bool any_part(uint64_t gfn, uint64_t count)
{
	for (unsigned i = 0; i < aliases.parts; i++) {
		const struct part *p = &aliases.part[i];

		if (p->gfn < gfn + count && gfn < p->gfn + p->pages)
			return true;
	}
	return false;
}

const char *ram_lacks_at(uint64_t gfn, uint64_t count, uint32_t traps)
{
	const char *why = aliases.parts ? NULL : ram_make();

	if (why)
		return why;
	if (any_part(gfn, count))
		return NULL;
	return traps & (SCRY_READ | SCRY_WRITE) ? devices_lack(gfn, count) : NO_RAM;
}
