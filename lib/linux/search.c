/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Where a kernel image may lie.  What is looked for is the token table of its
 * kallsyms: the tokens of the digits are the digits themselves, one behind the
 * other, each with a 0 byte.
 */
#include <stdlib.h>
#include <string.h>

#include "../ram.h"
#include "os.h"

#define MIB          (UINT64_C(1) << 20)
#define ALIGNMENT    (2 * MIB)		/* of an image: CONFIG_PHYSICAL_ALIGN is at least that */
#define IMAGE_MOST   (128 * MIB)
#define CHUNK        (1 * MIB)
#define OVERLAP      32u		/* what crosses a border is seen whole in the next chunk */
#define KERNEL_HALF  0xffffffff80000000
#define MSR_LSTAR    0xc0000082
#define HEAD_BYTES   128

static const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";

/* One search: what of memory has been looked through already is not again. */
struct search {
	struct scry_linux *os;
	os_place_fn fn;
	unsigned char *buf;		/* a chunk, where memory is not mapped */
	uint64_t done_first, done_end;
};

/* Do these 8 bytes look like a part of the table?  At either phase. */
static inline bool may_be_digits(uint64_t word)
{
	return (word & 0xfff0fff0fff0fff0) == 0x0030003000300030 ||
	       (word & 0xf0fff0fff0fff0ff) == 0x3000300030003000;
}

static const unsigned char *window(struct search *s, uint64_t gpa, size_t len)
{
	const struct scry_mapped_region *r = scry_region_of(scry_current_map(s->os->vm), gpa);

	if (r && r->host)
		return scry_phys_ptr(s->os->vm, gpa, len);
	return scry_read_phys(s->os->vm, gpa, s->buf, len) < 0 ? NULL : s->buf;
}

/* The words at `at` look like digits: if they are all there, try the place. */
static int try_word(struct search *s, const unsigned char *bytes, size_t len, size_t at,
		    uint64_t gpa)
{
	size_t first = bytes[at] ? at : at + 1, before = 2u * (bytes[first] - '0');

	if (first < before || first - before + sizeof(digits) > len ||
	    memcmp(bytes + first - before, digits, sizeof(digits)))
		return SCRY_E_NOTFOUND;
	return s->fn(s->os, gpa + first - before);
}

static int search_chunk(struct search *s, uint64_t gpa, size_t len)
{
	const unsigned char *bytes = window(s, gpa, len);
	uint64_t word;
	int ret;

	if (!bytes)
		return scry_still_live(scry_current_map(s->os->vm)) ? SCRY_E_NOTFOUND : SCRY_E_GONE;
	for (size_t at = 0; at + 8 <= len; at += 8) {
		memcpy(&word, bytes + at, 8);
		if (__builtin_expect(!may_be_digits(word), 1))
			continue;
		ret = try_word(s, bytes, len, at, gpa);
		if (ret != SCRY_E_NOTFOUND)
			return ret;
	}
	return SCRY_E_NOTFOUND;
}

/* The memory from first on, up to end or the end of its region. */
static int search_range(struct search *s, uint64_t first, uint64_t end)
{
	const struct scry_mapped_region *r = scry_region_of(scry_current_map(s->os->vm), first);
	int ret = SCRY_E_NOTFOUND;

	if (!r || r->own || r->region.flags & SCRY_REGION_DEVICE)
		return SCRY_E_NOTFOUND;
	if (end > r->region.gpa + r->region.size)
		end = r->region.gpa + r->region.size;
	if (first >= s->done_first && end <= s->done_end)
		return SCRY_E_NOTFOUND;
	for (uint64_t at = first; at < end && ret == SCRY_E_NOTFOUND; at += CHUNK - OVERLAP)
		ret = search_chunk(s, at, end - at < CHUNK ? end - at : CHUNK);
	s->done_first = first;
	s->done_end = end;
	return ret;
}

/* Behind an address that a vCPU has in the kernel image: the tables follow the code. */
static int search_behind(struct search *s, struct scry_as *as, uint64_t gva)
{
	uint64_t gpa;

	if (gva < KERNEL_HALF || scry_translate(as, gva, &gpa) < 0)
		return SCRY_E_NOTFOUND;
	return search_range(s, gpa & ~UINT64_C(4095), (gpa & ~UINT64_C(4095)) + IMAGE_MOST);
}

static int search_by_vcpu(struct search *s, unsigned vcpu)
{
	struct scry_vm *vm = s->os->vm;
	struct scry_regs regs;
	int ret = SCRY_E_NOTFOUND;
	struct scry_as *as;
	uint64_t lstar;

	if (scry_as_of_vcpu(vm, vcpu, &as) < 0)
		return SCRY_E_NOTFOUND;
	if (scry_as_mode(as) >= SCRY_PAGING_4LEVEL) {
		if (scry_msr_get(vm, vcpu, MSR_LSTAR, &lstar) >= 0)
			ret = search_behind(s, as, lstar);
		if (ret == SCRY_E_NOTFOUND && scry_regs_get(vm, vcpu, &regs) >= 0)
			ret = search_behind(s, as, regs.rip);
	}
	scry_as_free(as);
	return ret;
}

/* The kernel's first code loads the number of the MSR GS_BASE: mov $0xc0000101, %ecx. */
static bool is_head(const unsigned char *bytes)
{
	static const unsigned char load[] = { 0xb9, 0x01, 0x01, 0x00, 0xc0 };

	return memmem(bytes, HEAD_BYTES, load, sizeof(load));
}

/* Only the first bytes of each 2 MiB are looked at: memory that was never used stays so. */
static int search_by_head(struct search *s, const struct scry_mapped_region *r)
{
	uint64_t end = r->region.gpa + r->region.size;
	uint64_t gpa = (r->region.gpa + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	int ret = SCRY_E_NOTFOUND;

	for (; gpa + HEAD_BYTES <= end && ret == SCRY_E_NOTFOUND; gpa += ALIGNMENT) {
		const unsigned char *bytes = window(s, gpa, HEAD_BYTES);

		if (bytes && is_head(bytes))
			ret = search_range(s, gpa, gpa + IMAGE_MOST);
	}
	return ret;
}

static int search_regions(struct search *s, bool all)
{
	const struct scry_map *map = scry_current_map(s->os->vm);
	int ret = SCRY_E_NOTFOUND;

	for (size_t i = 0; i < map->count && ret == SCRY_E_NOTFOUND; i++) {
		const struct scry_mapped_region *r = &map->region[i];

		if (r->own || r->region.flags & (SCRY_REGION_DEVICE | SCRY_REGION_ROM))
			continue;
		ret = all ? search_range(s, r->region.gpa, r->region.gpa + r->region.size) :
			    search_by_head(s, r);
	}
	return ret;
}

int os_search(struct scry_linux *os, os_place_fn fn)
{
	bool registers = os->vm->caps[SCRY_CAP_REGS_READ].supported;
	struct search s = { .os = os, .fn = fn, .buf = malloc(CHUNK) };
	int ret = SCRY_E_NOTFOUND;

	if (!s.buf)
		return scry_fail(SCRY_E_NOMEM, "out of memory for a search");
	for (unsigned i = 0; registers && i < os->vm->vcpus && ret == SCRY_E_NOTFOUND; i++)
		ret = search_by_vcpu(&s, i);
	if (ret == SCRY_E_NOTFOUND)
		ret = search_regions(&s, false);
	/* Of a dump all of it: there is no vCPU to ask, and no memory to be spared. */
	if (ret == SCRY_E_NOTFOUND && !registers)
		ret = search_regions(&s, true);
	free(s.buf);
	return ret;
}
