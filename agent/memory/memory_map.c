/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "agent/qemu/cpu.h"
#include "agent/qemu/qemu.h"
#include "frame.h"
#include "memory_map.h"

#define PAGE   4096u
#define NO_RAM (~UINT64_C(0))

static struct memory_map current;
static bool current_valid;
static void (*on_change)(void);

/* Does a write go to the memory itself?  To ROM, and to flash, it does not. */
static bool is_writable(uint64_t gpa, const void *host)
{
	struct qemu_address_space *as = qemu.address_space_memory;
	uint64_t len = PAGE;
	void *p = qemu.address_space_map(as, gpa, &len, true, 0);

	if (p)
		qemu.address_space_unmap(as, p, len, false, 0);
	return p == host;
}

/* The VM's RAM belongs to a memory backend, or to nobody. */
static bool is_devices(const struct qemu_region *mr)
{
	void *owner = qemu.memory_region_owner(mr);

	return owner && !qemu.object_dynamic_cast(owner, "memory-backend");
}

static bool continues(const struct scry_agent_region *a, const struct scry_agent_region *b)
{
	return a->gpa + a->size == b->gpa && a->host + a->size == b->host && a->flags == b->flags;
}

static void add_region(struct memory_map *map, const struct scry_agent_region *r, int fd)
{
	uint32_t n = map->count;

	if (n && continues(&map->region[n - 1], r) && map->fd[n - 1] == fd) {
		map->region[n - 1].size += r->size;
	} else if (n == SCRY_AGENT_REGIONS) {
		map->too_many = true;
	} else {
		map->region[n] = *r;
		map->fd[n] = fd;
		map->count++;
	}
}

/* One range of QEMU's flat view; what is not whole pages of memory is left out. */
static bool see_range(qemu_int128 start, qemu_int128 len, struct qemu_region *mr, uint64_t offset,
		      void *opaque)
{
	struct scry_agent_region r = { .file = -1 };
	uint64_t begin = (uint64_t)start, end = (uint64_t)(start + len), skip;
	int fd;

	if (qemu.memory_region_get_ram_addr(mr) == NO_RAM || qemu.memory_region_is_ram_device(mr))
		return false;
	skip = -begin & (PAGE - 1);
	r.gpa = begin + skip;
	if (r.gpa < begin || (end & ~(uint64_t)(PAGE - 1)) <= r.gpa)
		return false;
	r.size = (end & ~(uint64_t)(PAGE - 1)) - r.gpa;
	r.host = (uint64_t)qemu.memory_region_get_ram_ptr(mr) + offset + skip;
	if (r.host & (PAGE - 1))
		return false;
	if (frame_at(r.gpa, &fd)) {
		r.flags = SCRY_AGENT_REGION_FRAMES;
		add_region(opaque, &r, fd);
		return false;
	}
	if (!is_writable(r.gpa, (const void *)r.host))
		r.flags = SCRY_REGION_ROM;
	else if (is_devices(mr))
		r.flags = SCRY_REGION_DEVICE;
	add_region(opaque, &r, qemu.memory_region_get_fd(mr));
	return false;
}

static void take(struct memory_map *map)
{
	struct qemu_flatview *view = qemu.address_space_get_flatview(qemu.address_space_memory);

	memset(map, 0, sizeof(*map));
	qemu.flatview_for_each_range(view, see_range, map);
	qemu.flatview_unref(view);
}

const struct memory_map *memory_map(void)
{
	if (!current_valid)
		take(&current);
	current_valid = true;
	return &current;
}

void memory_map_forget(void)
{
	current_valid = false;
}

/* QEMU has a new map; most changes are about devices only. */
static void on_commit(struct qemu_listener *unused)
{
	static struct memory_map new;

	(void)unused;
	if (!current_valid)
		return;
	take(&new);
	if (memcmp(&new, &current, sizeof(new)) == 0)
		return;
	current = new;
	on_change();
}

static struct qemu_listener listener = { .commit = on_commit };

void memory_map_watch(void (*changed)(void))
{
	on_change = changed;
	qemu.memory_listener_register(&listener, qemu.address_space_memory);
}

void memory_map_unwatch(void)
{
	memory_map_forget();
	qemu.memory_listener_unregister(&listener);
}

uint64_t memory_map_ram_bytes(const struct memory_map *map)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < map->count; i++)
		if (!map->region[i].flags)
			sum += map->region[i].size;
	return sum;
}
