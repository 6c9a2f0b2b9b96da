/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "xen.h"

#define AT_ONCE 16384u	/* frames mapped by one call */

/* A mapped run of frames, to be split where they turned out not to be there. */
struct run {
	uint64_t gfn;
	size_t count;
	unsigned char *host;
	const int *err;
};

struct regions {
	struct scry_mapped_region *list;
	size_t count, room;
};

static int add_region(struct regions *r, uint64_t gfn, uint64_t count, unsigned char *host)
{
	struct scry_mapped_region *last = r->count ? &r->list[r->count - 1] : NULL, *more;
	uint64_t gpa = gfn * XEN_PAGE_SIZE, size = count * XEN_PAGE_SIZE;

	if (last && last->region.gpa + last->region.size == gpa &&
	    last->host + last->region.size == host) {
		last->region.size += size;
		return 0;
	}
	if (r->count == r->room) {
		r->room = r->room ? 2 * r->room : 64;
		more = realloc(r->list, r->room * sizeof(*more));
		if (!more)
			return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
		r->list = more;
	}
	r->list[r->count++] = (struct scry_mapped_region){
		.region = { .gpa = gpa, .size = size, .flags = SCRY_REGION_MAPPED }, .host = host,
	};
	return 0;
}

/* A page may have gone since it was found. */
static int add_run(struct regions *r, const struct run *run)
{
	size_t start = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i <= run->count; i++) {
		if (i < run->count && !run->err[i])
			continue;
		if (i > start)
			ret = add_region(r, run->gfn + start, i - start,
					 run->host + start * XEN_PAGE_SIZE);
		start = i + 1;
	}
	return ret;
}

/* Note a mapping, to be kept until the map is another. */
static int keep(struct xen_vm *x, unsigned char *host, size_t pages)
{
	struct xen_mapping *m = malloc(sizeof(*m));

	if (!m) {
		x->host.libraries.xenforeignmemory_unmap(x->memory, host, pages);
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	}
	*m = (struct xen_mapping){ .next = x->mappings, .host = host, .pages = pages };
	x->mappings = m;
	return 0;
}

/* What a call of xenforeignmemory_map2() takes and gives. */
struct lists {
	xen_pfn_t gfn[AT_ONCE];
	int err[AT_ONCE];
};

/* Map up to AT_ONCE frames at an address that has been reserved. */
static int map_run(struct xen_vm *x, struct lists *lists, struct run *run, struct regions *r)
{
	int ret;

	for (size_t i = 0; i < run->count; i++)
		lists->gfn[i] = run->gfn + i;
	if (!x->host.libraries.xenforeignmemory_map2(x->memory, x->domid, run->host,
						     PROT_READ | PROT_WRITE, MAP_FIXED, run->count,
						     lists->gfn, lists->err))
		return xen_failed(x, "map its memory");
	ret = keep(x, run->host, run->count);
	run->err = lists->err;
	return ret < 0 ? ret : add_run(r, run);
}

static int map_range(struct xen_vm *x, struct lists *lists, const struct xen_range *range,
		     struct regions *r)
{
	unsigned char *host = mmap(NULL, range->count * XEN_PAGE_SIZE, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int ret = 0;

	if (host == MAP_FAILED)
		return scry_fail(SCRY_E_NOMEM, "no room to map %llu pages of VM %s: %s",
				 (unsigned long long)range->count, x->vm->name, strerror(errno));
	for (uint64_t done = 0; !ret && done < range->count; done += AT_ONCE) {
		uint64_t left = range->count - done;

		ret = map_run(x, lists, &(struct run){ .gfn = range->gfn + done,
						       .count = left < AT_ONCE ? left : AT_ONCE,
						       .host = host + done * XEN_PAGE_SIZE }, r);
	}
	return ret;
}

static int map_ranges(struct xen_vm *x, const struct xen_range *ranges, size_t count,
		      struct regions *r)
{
	struct lists *lists = malloc(sizeof(*lists));
	int ret = 0;

	if (!lists)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	for (size_t i = 0; !ret && i < count; i++)
		ret = map_range(x, lists, &ranges[i], r);
	free(lists);
	return ret;
}

/*
 * A mapping keeps a page that the guest has given back from being freed.  Whoever
 * has a pointer into it may go on to use that; it is no longer guest memory.
 */
static void drop(struct xen_mapping *m)
{
	for (; m; m = m->next) {
		if (m->stale)
			continue;
		mmap(m->host, m->pages * XEN_PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		m->stale = true;
	}
}

void xen_unmap_all(struct xen_vm *x)
{
	struct xen_mapping *m = x->mappings;

	while (m) {
		struct xen_mapping *next = m->next;

		munmap(m->host, m->pages * XEN_PAGE_SIZE);
		free(m);
		m = next;
	}
	x->mappings = NULL;
}

int xen_map(struct scry_vm *vm)
{
	struct xen_vm *x = xen_of(vm);
	uint64_t life = __atomic_load_n(&x->life, __ATOMIC_SEQ_CST);
	struct xen_mapping *before = x->mappings;
	struct regions r = { 0 };
	struct xen_range *ranges;
	size_t count;
	int ret;

	if (!life)
		return scry_fail(SCRY_E_GONE, "VM %s has ended", vm->name);
	ret = xen_populated(x, &ranges, &count);
	if (ret < 0)
		return ret;
	ret = map_ranges(x, ranges, count, &r);
	if (!ret)
		ret = scry_ram_publish(vm, r.list, r.count, &x->life, life);
	if (!ret)
		drop(before);
	free(r.list);
	free(ranges);
	return ret;
}
