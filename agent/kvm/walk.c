/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "protocol/bits.h"
#include "walk.h"

#define ENTRY_P  1u
#define ENTRY_W  2u
#define ENTRY_U  4u
#define ENTRY_A  32u
#define ENTRY_D  64u
#define ENTRY_PS 128u
#define FRAMES   UINT64_C(0xffffffffff000)	/* bits of an address in an entry */

/* Intel SDM volume 3, 4.3 to 4.5. */
struct mode {
	unsigned levels, bits;	/* of the address, that each level but PAE's first takes */
	unsigned size;		/* bytes of an entry */
	uint64_t root;		/* bits of CR3 that are the root's address */
	bool pse;		/* a page directory may have pages of 4 MiB */
};

static struct mode mode_of(const struct kvm_sregs *s)
{
	if (s->efer & EFER_LMA)
		return (struct mode){ .levels = s->cr4 & CR4_LA57 ? 5 : 4, .bits = 9, .size = 8,
				      .root = FRAMES };
	if (s->cr4 & CR4_PAE)
		return (struct mode){ .levels = 3, .bits = 9, .size = 8, .root = 0xffffffe0 };
	return (struct mode){ .levels = 2, .bits = 10, .size = 4, .root = 0xfffff000,
			      .pse = s->cr4 & CR4_PSE };
}

static bool is_canonical(const struct mode *m, uint64_t gva)
{
	unsigned unused = 64 - 12 - m->levels * m->bits;

	if (m->levels < 4)
		return gva <= UINT32_MAX;
	return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}

/* Does the entry name a page, and no other table? */
static bool is_page(const struct mode *m, unsigned level, uint64_t entry)
{
	if (level == 1 || !(entry & ENTRY_PS))
		return level == 1;
	if (m->size == 4)
		return m->pse;
	return level == 2 || (level == 3 && m->levels > 3);
}

static uint64_t frame_of(const struct mode *m, uint64_t entry, uint64_t in_page)
{
	if (m->size == 4 && in_page >> 12)	/* PSE-36: more bits of the address further down */
		return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	return entry & FRAMES & ~in_page;
}

/*
 * The processor has PAE's first four entries in registers, as they were when CR3 was set, and
 * no rights in them: of what is found by memory's nothing is certain.
 */
static bool is_register(const struct mode *m, unsigned level)
{
	return m->levels == 3 && level == 3;
}

static void note_rights(const struct mode *m, unsigned level, uint64_t entry, struct walk *w)
{
	if (is_register(m, level)) {
		w->accessed = false;
		return;
	}
	w->user &= !!(entry & ENTRY_U);
	w->writable &= !!(entry & ENTRY_W);
	w->accessed &= !!(entry & ENTRY_A);
	w->dirty = entry & ENTRY_D;	/* the last one's */
}

bool walk(const struct kvm_sregs *s, uint64_t cr3, uint64_t gva, struct walk *w)
{
	const struct mode m = mode_of(s);
	uint64_t table = cr3 & m.root, entry = 0, at, in_page;
	unsigned level = m.levels, shift;

	*w = (struct walk){ .mapped = true, .user = true, .writable = true, .accessed = true,
			    .dirty = true, .size = m.size, .gpa = (uint32_t)gva };
	if (!(s->cr0 & CR0_PG))
		return true;
	w->mapped = false;
	if (!is_canonical(&m, gva))
		return false;
	for (;; level--, table = entry & FRAMES) {
		shift = 12 + m.bits * (level - 1);
		at = table + (gva >> shift & ((1u << m.bits) - 1)) * m.size;
		if (!is_register(&m, level))
			w->entry[w->steps++] = at;
		if (!seen_read(at, &entry, m.size) || !(entry & ENTRY_P))
			return false;
		note_rights(&m, level, entry, w);
		if (is_page(&m, level, entry))
			break;
	}
	in_page = (UINT64_C(1) << shift) - 1;
	w->mapped = true;
	w->gpa = frame_of(&m, entry, in_page) | (gva & in_page);
	return true;
}
