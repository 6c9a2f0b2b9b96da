/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "../ram.h"
#include "as.h"

/*
 * Page walks as in SDM vol. 3, chapter 4.  Physical-address bits are taken to
 * be 52, the architecture's most: the VM's own MAXPHYADDR is not asked, so a
 * reserved bit between it and 52 shows as an address outside guest memory.
 */
#define P   (UINT64_C(1) << 0)
#define RW  (UINT64_C(1) << 1)
#define US  (UINT64_C(1) << 2)
#define A   (UINT64_C(1) << 5)
#define D   (UINT64_C(1) << 6)
#define PS  (UINT64_C(1) << 7)
#define G   (UINT64_C(1) << 8)
#define NX  (UINT64_C(1) << 63)

#define BITS(high, low)  (((UINT64_C(2) << (high)) - 1) & ~((UINT64_C(1) << (low)) - 1))
#define ADDRESS_BITS     BITS(51, 12)

/* How one walk goes on: what was gathered so far. */
struct walk_state {
	struct scry_vm *vm;
	struct scry_walk *detail;	/* NULL where only the page matters */
	struct scry_page *page;
	uint64_t gva;
	uint64_t allow;			/* AND of the entries' RW and US */
	uint64_t nx;			/* OR of their NX */
	enum scry_walk_fault fault;
};

#define always_inline inline __attribute__((always_inline))

static always_inline void note_step(struct walk_state *s, int level, uint64_t gpa, uint64_t entry)
{
	if (s->detail) {
		int i = s->detail->levels++;

		s->detail->step[i].level = level;
		s->detail->step[i].gpa = gpa;
		s->detail->step[i].entry = entry;
	}
}

/* Read an entry of 8 or 4 bytes; false: the walk has ended with a fault. */
static always_inline bool read_entry(struct walk_state *s, int level, int size, uint64_t gpa,
				     uint64_t *entry)
{
	int ret;

	*entry = 0;
	ret = size == 8 ? scry_read_phys_u64(s->vm, gpa, entry) :
			  scry_read_phys(s->vm, gpa, entry, 4);
	if (__builtin_expect(ret < 0, 0)) {
		s->fault = SCRY_WALK_NO_MEMORY;
		return false;
	}
	note_step(s, level, gpa, *entry);
	if (__builtin_expect(!(*entry & P), 0)) {
		s->fault = SCRY_WALK_NOT_PRESENT;
		return false;
	}
	return true;
}

static always_inline bool check_reserved(struct walk_state *s, uint64_t entry, uint64_t reserved)
{
	if (__builtin_expect(entry & reserved, 0)) {
		s->fault = SCRY_WALK_RESERVED_BIT;
		return false;
	}
	return true;
}

static always_inline void end_at_leaf(struct walk_state *s, uint64_t entry, uint64_t frame,
				      uint64_t size, bool has_pkey)
{
	s->page->gpa = frame | (s->gva & (size - 1));
	s->page->size = size;
	if (!s->detail)
		return;
	s->detail->flags = (s->allow & RW ? SCRY_PAGE_WRITE : 0) |
			   (s->allow & US ? SCRY_PAGE_USER : 0) |
			   (s->nx ? SCRY_PAGE_NX : 0) |
			   (entry & G ? SCRY_PAGE_GLOBAL : 0) |
			   (entry & A ? SCRY_PAGE_ACCESSED : 0) |
			   (entry & D ? SCRY_PAGE_DIRTY : 0);
	s->detail->pkey = has_pkey ? (entry >> 59) & 15 : 0;
}

/* Bits of a large page's entry that must be 0: between PAT (bit 12) and its frame. */
static always_inline uint64_t large_reserved(int level)
{
	return level == 3 ? BITS(29, 13) : BITS(20, 13);
}

/*
 * Levels `level` down to 1 with 8-byte entries and 512 of them a table, as
 * 4-level, 5-level and, below its PDPTEs, PAE paging have them.  `reserved` is
 * what no entry may have set.
 */
static always_inline void walk_long(struct walk_state *s, uint64_t table, int level,
				    uint64_t reserved, bool has_pkey)
{
	uint64_t entry;

	for (;; level--) {
		int shift = 12 + 9 * (level - 1);

		if (!read_entry(s, level, 8, table + ((s->gva >> shift) & 511) * 8, &entry) ||
		    !check_reserved(s, entry, reserved | (level > 3 ? PS : 0)))
			return;
		s->allow &= entry;
		s->nx |= entry & NX;
		if (level == 1 || (level <= 3 && entry & PS))
			break;
		table = entry & ADDRESS_BITS;
	}
	if (level > 1 && !check_reserved(s, entry, large_reserved(level)))
		return;
	end_at_leaf(s, entry, entry & ADDRESS_BITS & ~BITS(12 + 9 * (level - 1) - 1, 0),
		    UINT64_C(1) << (12 + 9 * (level - 1)), has_pkey);
}

static always_inline void walk_pae(struct walk_state *s, const struct scry_as *as)
{
	uint64_t gpa = (as->root & BITS(31, 5)) + ((s->gva >> 30) & 3) * 8, entry;

	/* Bit 5 is reserved too, but QEMU's TCG sets it, as if it were "accessed". */
	if (!read_entry(s, 3, 8, gpa, &entry) ||
	    !check_reserved(s, entry, BITS(63, 52) | BITS(8, 6) | BITS(2, 1)))
		return;
	walk_long(s, entry & ADDRESS_BITS, 2, BITS(62, 52) | (as->nxe ? 0 : NX), false);
}

static always_inline void walk_32bit(struct walk_state *s, const struct scry_as *as)
{
	uint64_t gpa = (as->root & BITS(31, 12)) + ((s->gva >> 22) & 1023) * 4, entry;

	if (!read_entry(s, 2, 4, gpa, &entry))
		return;
	s->allow &= entry;
	if (as->pse && entry & PS) {
		/* PSE-36: bits 20:13 are address bits 39:32 (SDM vol. 3, table 4-4). */
		if (check_reserved(s, entry, BITS(21, 21)))
			end_at_leaf(s, entry, (entry & BITS(31, 22)) | (entry & BITS(20, 13)) << 19,
				    UINT64_C(1) << 22, false);
		return;
	}
	if (!read_entry(s, 1, 4, (entry & BITS(31, 12)) + ((s->gva >> 12) & 1023) * 4, &entry))
		return;
	s->allow &= entry;
	end_at_leaf(s, entry, entry & BITS(31, 12), 4096, false);
}

static always_inline bool is_canonical(uint64_t gva, int bits)
{
	return (uint64_t)((int64_t)(gva << (64 - bits)) >> (64 - bits)) == gva;
}

static always_inline void walk_canonical(struct walk_state *s, const struct scry_as *as, int levels)
{
	if (__builtin_expect(!is_canonical(s->gva, 12 + 9 * levels), 0))
		s->fault = SCRY_WALK_NON_CANONICAL;
	else
		walk_long(s, as->root & ADDRESS_BITS, levels, as->nxe ? 0 : NX, true);
}

static always_inline enum scry_walk_fault walk(struct scry_as *as, uint64_t gva,
					       struct scry_page *page, struct scry_walk *detail)
{
	struct walk_state s = { .vm = as->vm, .detail = detail, .page = page, .gva = gva,
				.allow = RW | US };

	if (as->mode < SCRY_PAGING_4LEVEL && gva >> 32)
		return SCRY_WALK_NON_CANONICAL;
	switch (as->mode) {
	case SCRY_PAGING_4LEVEL:
		walk_canonical(&s, as, 4);
		break;
	case SCRY_PAGING_5LEVEL:
		walk_canonical(&s, as, 5);
		break;
	case SCRY_PAGING_PAE:
		walk_pae(&s, as);
		break;
	case SCRY_PAGING_32BIT:
		walk_32bit(&s, as);
		break;
	case SCRY_PAGING_OFF:
		end_at_leaf(&s, 0, gva & ~BITS(11, 0), 4096, false);
		break;
	}
	return s.fault;
}

/* Did the walk end because the VM did? */
static int check_alive(struct scry_as *as)
{
	const struct scry_map *map;

	return scry_live_map(as->vm, &map);
}

int scry_walk(struct scry_as *as, uint64_t gva, struct scry_walk *w)
{
	struct scry_page page = { 0 };

	w->gva = gva;
	w->gpa = w->page_size = 0;
	w->flags = w->pkey = 0;
	w->levels = 0;
	w->fault = walk(as, gva, &page, w);
	if (__builtin_expect(w->fault == SCRY_WALK_OK, 1)) {
		w->gpa = page.gpa;
		w->page_size = page.size;
		return 0;
	}
	return w->fault == SCRY_WALK_NO_MEMORY ? check_alive(as) : 0;
}

/* Once more, with the steps: for the sentence, or the page if it has come meanwhile. */
static __attribute__((noinline, cold)) int find_page_again(struct scry_as *as, uint64_t gva,
							   struct scry_page *page)
{
	struct scry_walk w;
	char text[96];
	int ret = scry_walk(as, gva, &w);

	if (!ret)
		ret = check_alive(as);
	if (ret < 0)
		return ret;
	*page = (struct scry_page){ .gpa = w.gpa, .size = w.page_size };
	if (w.fault == SCRY_WALK_OK)
		return 0;
	return scry_fail(SCRY_E_NOTMAPPED, "virtual address 0x%llx is not mapped under root "
			 "0x%llx: %s", (unsigned long long)gva, (unsigned long long)as->root,
			 scry_walk_text(&w, text, sizeof(text)));
}

int scry_find_page(struct scry_as *as, uint64_t gva, struct scry_page *page)
{
	if (__builtin_expect(walk(as, gva, page, NULL) == SCRY_WALK_OK, 1))
		return 0;
	return find_page_again(as, gva, page);
}

int scry_translate(struct scry_as *as, uint64_t gva, uint64_t *gpa)
{
	struct scry_page page;
	int ret = scry_find_page(as, gva, &page);

	if (!ret)
		*gpa = page.gpa;
	return ret;
}

const char *scry_walk_fault_text(enum scry_walk_fault fault)
{
	switch (fault) {
	case SCRY_WALK_OK:		return "mapped";
	case SCRY_WALK_NOT_PRESENT:	return "a page-table entry is not present";
	case SCRY_WALK_RESERVED_BIT:	return "a page-table entry has a reserved bit set";
	case SCRY_WALK_NON_CANONICAL:	return "the address is not canonical in this paging mode";
	case SCRY_WALK_NO_MEMORY:	return "a page table lies outside guest memory";
	}
	return "unknown";
}

const char *scry_level_name(int level)
{
	static const char *const names[] = { "?", "PTE", "PDE", "PDPTE", "PML4E", "PML5E" };

	return level >= 1 && level <= 5 ? names[level] : names[0];
}

const char *scry_walk_text(const struct scry_walk *w, char *buf, size_t size)
{
	int last = w->levels - 1;

	if (w->fault == SCRY_WALK_NO_MEMORY && last >= 0)
		snprintf(buf, size, "the table that the %s at 0x%llx points to lies outside guest "
			 "memory", scry_level_name(w->step[last].level),
			 (unsigned long long)w->step[last].gpa);
	else if ((w->fault == SCRY_WALK_NOT_PRESENT || w->fault == SCRY_WALK_RESERVED_BIT) &&
		 last >= 0)
		snprintf(buf, size, "the %s at 0x%llx %s", scry_level_name(w->step[last].level),
			 (unsigned long long)w->step[last].gpa,
			 w->fault == SCRY_WALK_NOT_PRESENT ? "is not present" :
							     "has a reserved bit set");
	else
		snprintf(buf, size, "%s", scry_walk_fault_text(w->fault));
	return buf;
}
