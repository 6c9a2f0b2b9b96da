/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Virtual memory: libscry's walks against the guest's own idea of its translations. */
#include <string.h>

#include "conformance.h"

#define MAX_XLATS 64
#define PERMISSIONS (SCRY_PAGE_WRITE | SCRY_PAGE_USER | SCRY_PAGE_NX | SCRY_PAGE_GLOBAL)
#define TEST_GVA 0x100000000000	/* where the probe's test pages begin */

_Static_assert((int)PROBE_PAGING_OFF == (int)SCRY_PAGING_OFF &&
	       (int)PROBE_PAGING_5LEVEL == (int)SCRY_PAGING_5LEVEL, "paging modes");
_Static_assert((int)PROBE_WALK_OK == (int)SCRY_WALK_OK &&
	       (int)PROBE_WALK_NOT_PRESENT == (int)SCRY_WALK_NOT_PRESENT &&
	       (int)PROBE_WALK_RESERVED_BIT == (int)SCRY_WALK_RESERVED_BIT &&
	       (int)PROBE_WALK_NON_CANONICAL == (int)SCRY_WALK_NON_CANONICAL &&
	       (int)PROBE_WALK_NO_MEMORY == (int)SCRY_WALK_NO_MEMORY, "walk faults");

typedef unsigned long long ull;

static int check_page(struct ctx *c, struct scry_as *as, const struct probe_xlat *x,
		      const struct scry_walk *w)
{
	uint64_t gpa, seen, bytes;

	CHECK(c, w->gpa == x->gpa && w->page_size == x->page_size,
	      "%#llx walks to %#llx, page of %#llx, not %#llx, %#llx", (ull)x->gva, (ull)w->gpa,
	      (ull)w->page_size, (ull)x->gpa, (ull)x->page_size);
	if (scry_as_mode(as) != SCRY_PAGING_OFF)
		CHECK(c, (w->flags & PERMISSIONS) == x->flags && w->pkey == x->pkey &&
		      w->flags & SCRY_PAGE_ACCESSED, "%#llx: flags %#x, key %u, not %#x, %u",
		      (ull)x->gva, w->flags, w->pkey, x->flags, x->pkey);
	OK(c, scry_translate(as, x->gva, &gpa));
	CHECK(c, gpa == x->gpa, "%#llx translates to %#llx", (ull)x->gva, (ull)gpa);
	if (x->gpa == PROBE_NOWHERE) {	/* a translation, but to nothing */
		REFUSED(c, scry_read_virt_u64(as, x->gva, &seen), SCRY_E_ADDRESS);
		REFUSED(c, scry_write_virt(as, x->gva, &seen, 8), SCRY_E_ADDRESS);
		return 0;
	}
	OK(c, scry_read_virt_u64(as, x->gva, &seen));
	OK(c, scry_read_virt(as, x->gva, &bytes, 8));
	CHECK(c, seen == x->seen && bytes == x->seen, "%#llx reads %#llx, the guest sees %#llx",
	      (ull)x->gva, (ull)seen, (ull)x->seen);
	return 0;
}

static int check_fault(struct ctx *c, struct scry_as *as, const struct probe_xlat *x,
		       const struct scry_walk *w)
{
	bool long_mode = scry_as_mode(as) >= SCRY_PAGING_4LEVEL;
	uint64_t value;

	CHECK(c, (uint32_t)w->fault == x->fault, "%#llx: %s, not %s", (ull)x->gva,
	      scry_walk_fault_text(w->fault), scry_walk_fault_text((enum scry_walk_fault)x->fault));
	REFUSED(c, scry_translate(as, x->gva, &value), SCRY_E_NOTMAPPED);
	REFUSED(c, scry_read_virt_u64(as, x->gva, &value), SCRY_E_NOTMAPPED);
	REFUSED(c, scry_write_virt(as, x->gva, &value, 8), SCRY_E_NOTMAPPED);
	if (!long_mode || x->fault == PROBE_WALK_NO_MEMORY)
		return 0;	/* the guest has not tried */
	CHECK(c, x->vector == (x->fault == PROBE_WALK_NON_CANONICAL ? 13 : 14),
	      "%#llx: the guest got exception %u", (ull)x->gva, x->vector);
	CHECK(c, x->vector != 14 || x->error == (x->fault == PROBE_WALK_RESERVED_BIT ? 8 : 0) ||
	      x->error == (x->fault == PROBE_WALK_RESERVED_BIT ? 9 : 0),
	      "%#llx: the guest got page fault %#llx", (ull)x->gva, (ull)x->error);
	return 0;
}

static int check_steps(struct ctx *c, const struct scry_walk *w, enum scry_paging_mode mode)
{
	static const int top[] = { 0, 2, 3, 4, 5 };
	uint64_t entry;

	for (int i = 0; i < w->levels; i++) {
		size_t size = mode == SCRY_PAGING_32BIT ? 4 : 8;

		CHECK(c, w->step[i].level == top[mode] - i, "%#llx: step %d is of level %d",
		      (ull)w->gva, i, w->step[i].level);
		entry = 0;
		OK(c, scry_read_phys(c->vm, w->step[i].gpa, &entry, size));
		CHECK(c, entry == w->step[i].entry, "%#llx: step %d has entry %#llx, but memory %#llx",
		      (ull)w->gva, i, (ull)w->step[i].entry, (ull)entry);
	}
	return 0;
}

static int check_xlat(struct ctx *c, struct scry_as *as, const struct probe_xlat *x)
{
	struct scry_walk w;

	OK(c, scry_walk(as, x->gva, &w));
	CHECK(c, w.gva == x->gva, "the walk of %#llx is of %#llx", (ull)x->gva, (ull)w.gva);
	DO(check_steps(c, &w, scry_as_mode(as)));
	if (x->fault)
		return check_fault(c, as, x, &w);
	CHECK(c, w.fault == SCRY_WALK_OK, "%#llx: %s", (ull)x->gva, scry_walk_fault_text(w.fault));
	return check_page(c, as, x, &w);
}

static int check_table(struct ctx *c, enum scry_paging_mode mode, struct scry_as *as)
{
	struct probe_xlat table[MAX_XLATS];
	uint64_t count = c->probe.xlat[mode].count;

	CHECK(c, count && count <= MAX_XLATS, "%llu translations", (ull)count);
	OK(c, scry_read_phys(c->vm, c->probe.xlat[mode].table, table, count * sizeof(table[0])));
	for (uint64_t i = 0; i < count; i++)
		DO(check_xlat(c, as, &table[i]));
	return 0;
}

/* The probe's last vCPU goes into that mode, reads its addresses, and waits there. */
static int paging_mode(struct ctx *c, enum scry_paging_mode mode)
{
	const struct probe_op enter = OP(PAGING, .value = mode);
	unsigned vcpu = c->vcpus - 1;
	struct scry_regs regs;
	struct scry_as *as;
	int err;

	DO(guest_start(c, vcpu, &enter, 1, 1));
	DO(guest_wait_waits(c, vcpu));
	OK(c, scry_regs_get(c->vm, vcpu, &regs));
	OK(c, scry_as_of_vcpu(c->vm, vcpu, &as));
	if (scry_as_mode(as) != mode)
		err = fail(c, "the vCPU's paging mode is %d, not %d", scry_as_mode(as), mode);
	else if (mode != SCRY_PAGING_OFF && scry_as_root(as) != regs.cr3)
		err = fail(c, "the root is %#llx, but CR3 %#llx", (ull)scry_as_root(as), (ull)regs.cr3);
	else
		err = check_table(c, mode, as);
	if (!err && scry_pause(c->vm) == 0) {	/* once more, with translations cached */
		err = check_table(c, mode, as);
		err = err ? err : check_table(c, mode, as);
		scry_resume(c->vm);
	}
	scry_as_free(as);
	return err;
}

static int paging_off(struct ctx *c)
{
	return paging_mode(c, SCRY_PAGING_OFF);
}

static int paging_32bit(struct ctx *c)
{
	return paging_mode(c, SCRY_PAGING_32BIT);
}

static int paging_pae(struct ctx *c)
{
	return paging_mode(c, SCRY_PAGING_PAE);
}

static int paging_4level(struct ctx *c)
{
	return paging_mode(c, SCRY_PAGING_4LEVEL);
}

static int paging_5level(struct ctx *c)
{
	if (!(c->probe.features & PROBE_HAS_LA57))
		return skip(c, "the guest's processor has no 5-level paging");
	return paging_mode(c, SCRY_PAGING_5LEVEL);
}

static int virt_rw(struct ctx *c)
{
	uint64_t alias = PROBE_ALIAS + c->probe.scratch, words[3] = { 1, 2, 3 }, seen[3];
	struct probe_op result;
	struct scry_as *as;

	DO(world_as(c, &as));
	OK(c, scry_write_virt(as, alias + 4096 - 12, words, sizeof(words)));
	OK(c, scry_read_virt(as, alias + 4096 - 12, seen, sizeof(seen)));
	CHECK(c, !memcmp(words, seen, sizeof(seen)), "what was written is not read back");
	OK(c, scry_read_virt_u64(as, alias + 4096 - 4, &seen[0]));
	CHECK(c, seen[0] == 2, "scry_read_virt_u64() over a page's end: %#llx", (ull)seen[0]);
	OK(c, scry_read_phys(c->vm, c->probe.scratch + 4096 - 12, seen, sizeof(seen)));
	CHECK(c, !memcmp(words, seen, sizeof(seen)), "the physical address shows other bytes");
	DO(guest_do(c, 0, OP(READ, .size = 8, .arg = alias + 4096 - 12), &result));
	CHECK(c, result.out[0] == 1, "the guest reads %#llx", (ull)result.out[0]);
	/* A range that ends in a page without translation: nothing is written. */
	REFUSED(c, scry_write_virt(as, TEST_GVA + 0x3ffc, words, 8), SCRY_E_NOTMAPPED);
	OK(c, scry_read_virt(as, TEST_GVA + 0x3ff8, seen, 8));
	CHECK(c, seen[0] == (PROBE_STAMP ^ (c->probe.targets + 0x3ff8)),
	      "a write half unmapped wrote its first half");
	REFUSED(c, scry_read_virt(as, UINT64_MAX - 3, seen, 8), SCRY_E_NOTMAPPED);
	REFUSED(c, scry_read_virt(as, 0x7ffffffffffc, seen, 8), SCRY_E_NOTMAPPED);
	return 0;
}

/* The leaf entry that maps gva. */
static int find_pte(struct ctx *c, struct scry_as *as, uint64_t gva, uint64_t *pte, uint64_t *entry)
{
	struct scry_walk w;

	OK(c, scry_walk(as, gva, &w));
	CHECK(c, w.fault == SCRY_WALK_OK && w.levels == 4, "%#llx is not mapped by four levels",
	      (ull)gva);
	*pte = w.step[3].gpa;
	*entry = w.step[3].entry;
	return 0;
}

static int expect_word(struct ctx *c, struct scry_as *as, uint64_t gva, uint64_t gpa,
		       const char *when)
{
	uint64_t value;

	OK(c, scry_read_virt_u64(as, gva, &value));
	CHECK(c, value == (PROBE_STAMP ^ gpa), "%s: %#llx is read", when, (ull)value);
	return 0;
}

static int use_cache(struct ctx *c, struct scry_as *as, uint64_t pte, uint64_t entry)
{
	uint64_t gva = TEST_GVA, old = c->probe.targets, other = old + 0x7000;
	uint64_t changed = entry ^ old ^ other;

	OK(c, scry_pause(c->vm));
	DO(expect_word(c, as, gva, old, "paused"));
	DO(expect_word(c, as, gva, old, "cached"));
	OK(c, scry_write_phys(c->vm, pte, &changed, 8));
	DO(expect_word(c, as, gva, other, "after a write to the table"));
	OK(c, scry_write_virt(as, pte, &entry, 8));
	DO(expect_word(c, as, gva, old, "after a virtual write to the table"));
	OK(c, scry_resume(c->vm));

	DO(guest_do(c, 0, OP(WRITE, .size = 8, .arg = pte, .value = changed), NULL));
	DO(expect_word(c, as, gva, other, "after the guest wrote its table"));
	OK(c, scry_pause(c->vm));
	DO(expect_word(c, as, gva, other, "paused anew"));
	OK(c, scry_resume(c->vm));
	DO(guest_do(c, 0, OP(WRITE, .size = 8, .arg = pte, .value = entry), NULL));
	OK(c, scry_pause(c->vm));
	DO(expect_word(c, as, gva, old, "paused once more"));
	OK(c, scry_resume(c->vm));
	return 0;
}

/* No cached translation outlives what made it true: a write by us, or a vCPU that runs. */
static int cache(struct ctx *c)
{
	uint64_t pte = 0, entry = 0;
	struct scry_as *as;
	int result;

	DO(world_as(c, &as));
	DO(find_pte(c, as, TEST_GVA, &pte, &entry));
	result = use_cache(c, as, pte, entry);
	OK(c, scry_write_phys(c->vm, pte, &entry, 8));	/* for the next test, whatever happened */
	return result;
}

static int open_by_root(struct ctx *c)
{
	struct scry_as *as;

	DO(world_as_open(c, c->probe.cr3[1] | 0x18, &as));
	CHECK(c, scry_as_mode(as) == SCRY_PAGING_4LEVEL, "another mode than asked for");
	CHECK(c, (scry_as_root(as) & ~0xfffull) == c->probe.cr3[1], "root %#llx", (ull)scry_as_root(as));
	DO(expect_word(c, as, TEST_GVA, c->probe.targets, "by the second root"));
	DO(world_as_open(c, PROBE_NOWHERE, &as));
	REFUSED(c, scry_translate(as, TEST_GVA, &(uint64_t){ 0 }), SCRY_E_NOTMAPPED);
	return 0;
}

const struct test tests_paging[] = {
	{ "virt-rw", virt_rw, { SCRY_CAP_PHYS_READ, SCRY_CAP_PHYS_WRITE, SCRY_CAP_REGS_READ } },
	{ "paging-4level", paging_4level, { SCRY_CAP_PHYS_READ, SCRY_CAP_REGS_READ } },
	{ "paging-5level", paging_5level, { SCRY_CAP_PHYS_READ, SCRY_CAP_REGS_READ } },
	{ "paging-pae", paging_pae, { SCRY_CAP_PHYS_READ, SCRY_CAP_REGS_READ } },
	{ "paging-32bit", paging_32bit, { SCRY_CAP_PHYS_READ, SCRY_CAP_REGS_READ } },
	{ "paging-off", paging_off, { SCRY_CAP_PHYS_READ, SCRY_CAP_REGS_READ } },
	{ "paging-cache", cache, { SCRY_CAP_PAUSE, SCRY_CAP_PHYS_WRITE, SCRY_CAP_REGS_READ } },
	{ "paging-root", open_by_root, { SCRY_CAP_PHYS_READ } },
	{ 0 }
};
