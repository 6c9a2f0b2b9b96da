/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_PAGING_H
#define SCRY_PAGING_H

#include <stddef.h>
#include <stdint.h>

#include <scry/error.h>
#include <scry/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scry_vm;

/* SDM vol. 3, 4.1.1. */
enum scry_paging_mode {
	SCRY_PAGING_OFF,	/* CR0.PG = 0: gva = gpa, 32 bits */
	SCRY_PAGING_32BIT,
	SCRY_PAGING_PAE,
	SCRY_PAGING_4LEVEL,
	SCRY_PAGING_5LEVEL,	/* LA57 */
};

/*
 * An address space: a paging root and mode.  One handle is for one thread at a
 * time (each thread may have its own for the same root: they are cheap).  It
 * must be freed before its VM is closed.
 *
 * Translations are cached in the handle under this rule, and no other: an
 * entry is used only while every vCPU is stopped by scry_pause() or
 * scry_vcpu_pause() on this VM handle, and since the entry was made none has
 * run and no memory was written through this library.  So no processor can
 * have changed a page table meanwhile.  (A device's DMA into page tables is
 * not seen, as the processor's own TLB does not see it: SDM vol. 3, 4.10.)
 * While any vCPU runs, every access walks the page tables anew.
 */
struct scry_as;

struct scry_as_opts {
	size_t sz;			/* sizeof(struct scry_as_opts) */
	enum scry_paging_mode mode;
	int pse;	/* 32-bit mode: CR4.PSE, 4 MiB pages allowed */
	int nxe;	/* EFER.NXE: bit 63 means no-execute (else reserved) */
};

/*
 * The address space whose paging root is root: a CR3 value, of which the
 * address bits are used.  The handle in *as is the caller's, to be freed with
 * scry_as_free().
 */
int scry_as_open(struct scry_vm *vm, uint64_t root, const struct scry_as_opts *opts,
		 struct scry_as **as);

/* The address space a vCPU uses now (its CR0, CR3, CR4 and EFER). */
int scry_as_of_vcpu(struct scry_vm *vm, unsigned vcpu, struct scry_as **as);

void scry_as_free(struct scry_as *as);

uint64_t scry_as_root(const struct scry_as *as);
enum scry_paging_mode scry_as_mode(const struct scry_as *as);

/* Why a walk ended without a page. */
enum scry_walk_fault {
	SCRY_WALK_OK,
	SCRY_WALK_NOT_PRESENT,		/* an entry's present bit is clear */
	SCRY_WALK_RESERVED_BIT,		/* an entry has a reserved bit set */
	SCRY_WALK_NON_CANONICAL,	/* the address itself */
	SCRY_WALK_NO_MEMORY,		/* a table lies outside guest memory */
};

/* A few words for a fault; never NULL.  Static. */
const char *scry_walk_fault_text(enum scry_walk_fault fault);

#define SCRY_PAGE_WRITE    1u	/* permissions: the AND over all levels */
#define SCRY_PAGE_USER     2u
#define SCRY_PAGE_NX       4u	/* no-execute: the OR over all levels */
#define SCRY_PAGE_GLOBAL   8u	/* of the leaf */
#define SCRY_PAGE_ACCESSED 16u	/* of the leaf */
#define SCRY_PAGE_DIRTY    32u	/* of the leaf */

struct scry_walk {
	uint64_t gva, gpa;	/* gpa is set if fault is SCRY_WALK_OK */
	uint64_t page_size;	/* 4 KiB, 2 MiB, 4 MiB or 1 GiB */
	uint32_t flags;		/* SCRY_PAGE_* */
	uint32_t pkey;		/* protection key, bits 62:59 of the leaf (0 outside 4/5-level) */
	enum scry_walk_fault fault;
	int levels;		/* entries read: step[0] is the topmost */
	struct {
		int level;	/* 5 = PML5E, 4 = PML4E, 3 = PDPTE, 2 = PDE, 1 = PTE */
		uint64_t gpa;	/* where the entry lies */
		uint64_t entry;
	} step[5];
};

/*
 * Walk the page tables for gva; nothing is cached.  0 if the walk was made,
 * whatever it found (see w->fault); negative if guest memory could not be
 * read at all (SCRY_E_GONE).
 */
int scry_walk(struct scry_as *as, uint64_t gva, struct scry_walk *w);

/*
 * Why that walk ended without a page, with the level and the entry's gpa ("the
 * PDE at 0x29a6018 is not present"), put into buf, of which 96 bytes are enough.
 * Returns buf.
 */
const char *scry_walk_text(const struct scry_walk *w, char *buf, size_t size);

/* "PTE" for level 1 to "PML5E" for 5; "?" for others.  Static. */
const char *scry_level_name(int level);

/* gva to gpa.  SCRY_E_NOTMAPPED, and scry_errmsg() with the reason, if it has none. */
int scry_translate(struct scry_as *as, uint64_t gva, uint64_t *gpa);

/* The cache's entry for one page; an empty one holds a page of another slot. */
struct scry_tlb_entry {
	uint64_t page;		/* gva of the page */
	unsigned char *host;	/* its bytes in the shared mapping */
};

#define SCRY_TLB_4K 1024	/* slots by gva bits 12 and up, for pages of 4 KiB */
#define SCRY_TLB_2M 512		/* slots by gva bits 21 and up, for pages of 2 MiB and more */

/*
 * How every struct scry_as begins.  Entries may be used while *life equals
 * life_seen (see struct scry_ram); the library sets life_seen to 0, which
 * *life never is, when the rule above ends their life.
 */
struct scry_as_head {
	const uint64_t *life;
	uint64_t life_seen;
	struct scry_tlb_entry tlb_2m[SCRY_TLB_2M];
	struct scry_tlb_entry tlb_4k[SCRY_TLB_4K];
};

/* What scry_read_virt_u64() does where the cache does not serve. */
int scry_read_virt_u64_slow(struct scry_as *as, uint64_t gva, uint64_t *value);

/*
 * Read 8 bytes, little-endian, at a virtual address, aligned or not.  As in
 * scry_read_phys_u64(), *life is looked at after the bytes: another thread may
 * let the VM go on at any time.
 */
inline int scry_read_virt_u64(struct scry_as *as, uint64_t gva, uint64_t *value)
{
	const struct scry_as_head *head = (const struct scry_as_head *)as;
	const struct scry_tlb_entry *e = &head->tlb_2m[(gva >> 21) % SCRY_TLB_2M];
	uint64_t offset = gva - e->page, bytes;

	if (offset > 0x1ffff8) {
		e = &head->tlb_4k[(gva >> 12) % SCRY_TLB_4K];
		offset = gva - e->page;
		if (__builtin_expect(offset > 0xff8, 0))
			return scry_read_virt_u64_slow(as, gva, value);
	}
	bytes = *(const volatile scry_u64_in_guest *)(e->host + offset);
	if (__builtin_expect(*(const volatile uint64_t *)head->life !=
			     *(const volatile uint64_t *)&head->life_seen, 0))
		return scry_read_virt_u64_slow(as, gva, value);
	*value = bytes;
	return 0;
}

/*
 * Read or write len bytes at gva.  Writes are the introspector's own: page
 * permissions are not asked.  SCRY_E_NOTMAPPED if any page of the range has no
 * translation (scry_errmsg() names it and says why): then nothing is written,
 * and what a read put into buf is of no use.
 */
int scry_read_virt(struct scry_as *as, uint64_t gva, void *buf, size_t len);
int scry_write_virt(struct scry_as *as, uint64_t gva, const void *buf, size_t len);

#ifdef __cplusplus
}
#endif
#endif
