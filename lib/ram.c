/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "ram.h"

/* A map that changes more often than this within one call is not going to settle. */
#define REFRESH_TRIES 8

static bool is_live(const struct scry_map *map)
{
	return map && __atomic_load_n(map->ram.life, __ATOMIC_ACQUIRE) == map->ram.life_seen;
}

static const struct scry_mapped_region *largest_mapped(const struct scry_map *map)
{
	const struct scry_mapped_region *best = NULL;

	for (size_t i = 0; i < map->count; i++) {
		const struct scry_mapped_region *r = &map->region[i];

		if (r->host && !r->own && (!best || r->region.size > best->region.size))
			best = r;
	}
	return best;
}

int scry_ram_publish(struct scry_vm *vm, const struct scry_mapped_region *regions, size_t count,
		     const uint64_t *life, uint64_t life_seen)
{
	struct scry_map *map = calloc(1, sizeof(*map) + count * sizeof(map->region[0]));
	const struct scry_mapped_region *main;

	if (!map)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	map->count = count;
	if (count)
		memcpy(map->region, regions, count * sizeof(regions[0]));
	main = largest_mapped(map);
	if (main) {
		map->ram.gpa = main->region.gpa;
		map->ram.size = main->region.size;
		map->ram.host = main->host;
	}
	map->ram.life = life;
	map->ram.life_seen = life_seen;
	map->previous = (struct scry_map *)scry_current_map(vm);
	__atomic_store_n(&vm->head.ram, &map->ram, __ATOMIC_RELEASE);
	return 0;
}

void scry_ram_free(struct scry_vm *vm)
{
	struct scry_map *map = (struct scry_map *)scry_current_map(vm);

	while (map) {
		struct scry_map *previous = map->previous;

		free(map);
		map = previous;
	}
}

int scry_ram_refresh(struct scry_vm *vm)
{
	int ret = 0;

	pthread_mutex_lock(&vm->map_lock);
	for (int i = 0; i < REFRESH_TRIES && !is_live(scry_current_map(vm)); i++) {
		ret = vm->driver->map(vm);
		if (ret < 0)
			break;
	}
	if (!ret && !is_live(scry_current_map(vm)))
		ret = scry_fail(SCRY_E_TIMEOUT, "the memory map of VM %s keeps changing: try again",
				vm->name);
	pthread_mutex_unlock(&vm->map_lock);
	if (!ret)
		scry_caches_end(vm);
	return ret;
}

bool scry_still_live(const struct scry_map *map)
{
	atomic_thread_fence(memory_order_acquire);
	return is_live(map);
}

int scry_live_map(struct scry_vm *vm, const struct scry_map **map)
{
	int ret = is_live(scry_current_map(vm)) ? 0 : scry_ram_refresh(vm);

	*map = scry_current_map(vm);
	return ret;
}

const struct scry_mapped_region *scry_region_of(const struct scry_map *map, uint64_t gpa)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct scry_mapped_region *r = &map->region[middle];

		if (gpa < r->region.gpa)
			high = middle;
		else if (gpa - r->region.gpa < r->region.size)
			return r;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The next stretch that is not mapped, or len. */
static size_t mapped_len(const struct scry_map *map, uint64_t gpa, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const struct scry_mapped_region *r = scry_region_of(map, gpa + done);

		if (!r || !r->host)
			break;
		done += r->region.gpa + r->region.size - (gpa + done);
	}
	return done < len ? done : len;
}

int scry_reach(struct scry_vm *vm, const struct scry_map **map, uint64_t gpa, size_t len)
{
	size_t done = vm->driver->reach ? mapped_len(*map, gpa, len) : len;
	int ret = 0;

	if (done == len)
		return 0;
	pthread_mutex_lock(&vm->map_lock);
	/* What is of a map that is past is not looked at any longer. */
	if (scry_current_map(vm)->ram.life_seen == (*map)->ram.life_seen) {
		ret = vm->driver->reach(vm, gpa + done, len - done);
		*map = scry_current_map(vm);
	}
	pthread_mutex_unlock(&vm->map_lock);
	return ret;
}

void *scry_phys_ptr_slow(struct scry_vm *vm, uint64_t gpa, size_t len)
{
	const struct scry_mapped_region *r;
	const struct scry_map *map;
	uint64_t offset;

	if (scry_live_map(vm, &map) < 0)
		return NULL;
	if (scry_region_of(map, gpa) && scry_reach(vm, &map, gpa, len) < 0)
		return NULL;
	r = scry_region_of(map, gpa);
	if (!r) {
		scry_fail(SCRY_E_ADDRESS, "no guest memory at 0x%llx", (unsigned long long)gpa);
		return NULL;
	}
	offset = gpa - r->region.gpa;
	if (len > r->region.size - offset) {
		scry_fail(SCRY_E_ADDRESS, "%zu bytes at 0x%llx reach past the region's end at "
			  "0x%llx", len, (unsigned long long)gpa,
			  (unsigned long long)(r->region.gpa + r->region.size));
		return NULL;
	}
	if (!r->host) {
		scry_fail(SCRY_E_UNSUPPORTED, "the memory at 0x%llx is not mapped here: %s",
			  (unsigned long long)gpa, vm->caps[SCRY_CAP_RAM_MAP].supported ?
			  "it is not part of the shared RAM" : vm->caps[SCRY_CAP_RAM_MAP].reason);
		return NULL;
	}
	return r->host + offset;
}

/* How many of the regions are the guest's. */
static size_t guests(const struct scry_map *map)
{
	size_t count = map->count;

	while (count && map->region[count - 1].own)
		count--;
	return count;
}

uint64_t scry_ram_bytes(struct scry_vm *vm)
{
	const struct scry_map *map = scry_current_map(vm);
	uint64_t bytes = 0;

	for (size_t i = 0; i < guests(map); i++)
		if (!(map->region[i].region.flags & (SCRY_REGION_ROM | SCRY_REGION_DEVICE)))
			bytes += map->region[i].region.size;
	return bytes;
}

/* What is mapped of a stretch and what is not yet are one. */
static bool continues(const struct scry_mapped_region *before, const struct scry_mapped_region *r)
{
	return before->region.gpa + before->region.size == r->region.gpa &&
	       before->region.flags == r->region.flags && !before->host != !r->host;
}

static size_t copy_regions(const struct scry_map *map, struct scry_region *regions, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < guests(map); i++) {
		const struct scry_mapped_region *r = &map->region[i];

		if (!i || !continues(r - 1, r)) {
			if (n++ < max)
				regions[n - 1] = r->region;
		} else if (n <= max) {
			regions[n - 1].size += r->region.size;
		}
	}
	return n;
}

int scry_memory_map(struct scry_vm *vm, struct scry_region *regions, size_t max)
{
	const struct scry_map *map;
	int ret = scry_live_map(vm, &map);

	if (ret < 0)
		return ret;
	return (int)copy_regions(map, regions, max);
}

int scry_max_gfn(struct scry_vm *vm, uint64_t *gfn)
{
	const struct scry_region *last;
	const struct scry_map *map;
	int ret = scry_live_map(vm, &map);

	if (ret < 0)
		return ret;
	if (!guests(map))
		return scry_fail(SCRY_E_ADDRESS, "VM %s has no memory", vm->name);
	last = &map->region[guests(map) - 1].region;
	*gfn = (last->gpa + last->size - 1) >> 12;
	return 0;
}
