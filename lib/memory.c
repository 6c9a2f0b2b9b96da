/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "driver.h"
#include "ram.h"

/* The next stretch of [gpa, gpa + len) that lies in one region. */
static size_t piece_len(const struct scry_mapped_region *r, uint64_t gpa, size_t len)
{
	uint64_t left = r->region.size - (gpa - r->region.gpa);

	return len < left ? len : left;
}

/* Is all of [gpa, gpa + len) memory, and not ROM if it is to be written? */
static int check_range(const struct scry_map *map, uint64_t gpa, size_t len, bool write)
{
	while (len) {
		const struct scry_mapped_region *r = scry_region_of(map, gpa);
		size_t n;

		if (!r)
			return scry_fail(SCRY_E_ADDRESS, "no guest memory at 0x%llx",
					 (unsigned long long)gpa);
		if (write && r->region.flags & SCRY_REGION_ROM)
			return scry_fail(SCRY_E_REFUSED, "the memory at 0x%llx is ROM: it cannot "
					 "be written", (unsigned long long)gpa);
		n = piece_len(r, gpa, len);
		gpa += n;
		len -= n;
		if (len && !gpa)
			return scry_fail(SCRY_E_ADDRESS, "the range reaches past the end of the "
					 "address space");
	}
	return 0;
}

/* The same, and the driver has mapped what it maps on demand: *map is the map then. */
static int find_range(struct scry_vm *vm, const struct scry_map **map, uint64_t gpa, size_t len)
{
	const struct scry_map *before = *map;
	int ret = check_range(*map, gpa, len, false);

	if (!ret)
		ret = scry_reach(vm, map, gpa, len);
	if (!ret && *map != before)
		ret = check_range(*map, gpa, len, false);
	return ret;
}

/* Pieces for the driver, gathered. */
struct batch {
	struct scry_vm *vm;
	const struct scry_map *map;
	size_t count;
	struct scry_piece piece[SCRY_PIECES];
};

static int batch_read(struct batch *b)
{
	size_t count = b->count;

	b->count = 0;
	/* One that maps on demand has nothing else to read than a map that is past. */
	if (!count || b->vm->driver->reach)
		return 0;
	return b->vm->driver->read(b->vm, b->map, b->piece, count);
}

/* Copy what is mapped of [gpa, gpa + len), all of it memory, and gather the rest. */
static int read_range(struct batch *b, uint64_t gpa, unsigned char *buf, size_t len)
{
	while (len) {
		const struct scry_mapped_region *r = scry_region_of(b->map, gpa);
		size_t n = piece_len(r, gpa, len);
		int ret = 0;

		if (r->host)
			memcpy(buf, r->host + (gpa - r->region.gpa), n);
		else
			b->piece[b->count++] = (struct scry_piece){ r, gpa, buf, n };
		if (b->count == SCRY_PIECES)
			ret = batch_read(b);
		if (ret < 0)
			return ret;
		gpa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

static int read_slow(struct scry_vm *vm, uint64_t gpa, void *buf, size_t len)
{
	struct batch b;
	int ret;

	b.vm = vm;
	do {
		b.count = 0;
		ret = scry_live_map(vm, &b.map);
		if (!ret)
			ret = find_range(vm, &b.map, gpa, len);
		if (!ret)
			ret = read_range(&b, gpa, buf, len);
		if (!ret)
			ret = batch_read(&b);
	} while (!ret && !scry_still_live(b.map));
	return ret;
}

int scry_read_phys(struct scry_vm *vm, uint64_t gpa, void *buf, size_t len)
{
	const struct scry_ram *ram = &scry_current_map(vm)->ram;
	uint64_t offset = gpa - ram->gpa;

	/* len - 1: nothing at all is not copied, for buf may be NULL then. */
	if (offset < ram->size && len - 1 < ram->size - offset) {
		memcpy(buf, ram->host + offset, len);
		atomic_thread_fence(memory_order_acquire);
		if (__atomic_load_n(ram->life, __ATOMIC_RELAXED) == ram->life_seen)
			return 0;
	}
	return read_slow(vm, gpa, buf, len);
}

int scry_read_phys_u64_slow(struct scry_vm *vm, uint64_t gpa, uint64_t *value)
{
	return scry_read_phys(vm, gpa, value, sizeof(*value));
}

int scry_check_writable(struct scry_vm *vm, uint64_t gpa, size_t len)
{
	const struct scry_map *map;
	int ret = scry_need(vm, SCRY_CAP_PHYS_WRITE);

	if (!ret)
		ret = scry_live_map(vm, &map);
	return ret < 0 ? ret : check_range(map, gpa, len, true);
}

int scry_write_phys(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len)
{
	int ret = scry_check_writable(vm, gpa, len);

	if (ret < 0)
		return ret;
	ret = len ? vm->driver->write(vm, gpa, buf, len) : 0;
	scry_caches_end(vm);
	return ret;
}

/* Through the map as it is now, which is b->map then: how many failed, or a failure of all. */
static int readv_once(struct batch *b, struct scry_iov *iov, size_t count)
{
	int failed = 0, ret = scry_live_map(b->vm, &b->map);

	b->count = 0;
	for (size_t i = 0; !ret && i < count; i++) {
		iov[i].status = find_range(b->vm, &b->map, iov[i].gpa, iov[i].len);
		if (iov[i].status < 0)
			failed++;
		else
			ret = read_range(b, iov[i].gpa, iov[i].buf, iov[i].len);
	}
	if (!ret)
		ret = batch_read(b);
	return ret < 0 ? ret : failed;
}

int scry_readv_phys(struct scry_vm *vm, struct scry_iov *iov, size_t count)
{
	struct batch b = { .vm = vm };
	int ret;

	do
		ret = readv_once(&b, iov, count);
	while (ret >= 0 && !scry_still_live(b.map));
	return ret;
}

int scry_writev_phys(struct scry_vm *vm, struct scry_iov *iov, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < count; i++) {
		iov[i].status = scry_write_phys(vm, iov[i].gpa, iov[i].buf, iov[i].len);
		if (iov[i].status == SCRY_E_GONE)
			return SCRY_E_GONE;
		failed += iov[i].status < 0;
	}
	return failed;
}
