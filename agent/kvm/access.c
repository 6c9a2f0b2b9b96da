/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "access.h"
#include "code.h"

#define PAGE 4096u

static bool is_known(const struct accesses *all, uint64_t entry)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->at[i].walk && all->at[i].gpa == entry)
			return true;
	return false;
}

static void add_one(struct accesses *all, struct access a)
{
	if (all->count < ACCESSES_MOST)
		all->at[all->count++] = a;
}

/* The entries that lead to gva; the walker reads each once at most for an instruction. */
static void add_walk(struct accesses *all, const struct walk *w, uint64_t gva)
{
	for (unsigned i = 0; i < w->steps; i++)
		if (!is_known(all, w->entry[i]))
			add_one(all, (struct access){ .gva = gva, .gpa = w->entry[i], .walk = true,
						      .access = SCRY_READ, .size = w->size });
}

static bool is_settled(const struct kvm_sregs *s, const struct walk *w, uint32_t access)
{
	return (s->ss.dpl < 3 || w->user) && w->accessed &&
	       (!(access & SCRY_WRITE) || (w->dirty && w->writable));
}

/* What of it is in the first page, to which the walk leads; then it begins behind that. */
static void add_part(const struct kvm_sregs *s, struct accesses *all, struct insn_access *is,
		     const struct walk *w)
{
	uint64_t left = PAGE - is->gva % PAGE, part = is->size < left ? is->size : left;

	add_walk(all, w, is->gva);
	if (w->mapped)
		add_one(all, (struct access){ .gva = is->gva, .gpa = w->gpa, .access = is->access,
					      .size = (uint32_t)part,
					      .settled = is_settled(s, w, is->access) });
	is->gva += part;
	is->size -= part;
}

static void add(struct kvcpu *k, const struct kvm_sregs *s, struct accesses *all,
		struct insn_access is)
{
	struct walk w = { 0 };

	while (is.size) {
		kvm_look_up(k, s, is.gva, &w);
		add_part(s, all, &is, &w);
	}
}

void accesses_find(struct kvcpu *k, struct accesses *all)
{
	struct insn_access fetch = { .size = 1, .access = SCRY_EXEC }, access[INSN_ACCESSES];
	const struct insn *insn = &k->insn;
	unsigned count = 0;
	struct walk w;

	all->count = all->insn_len = 0;
	if (kvm_fetch(k, &w)) {
		fetch.size = all->insn_len = insn->is.length;
		count = insn_accesses(insn, access);
	}
	all->rip = insn->rip;
	fetch.gva = insn_address(insn);
	add_part(&insn->system, all, &fetch, &w);
	add(k, &insn->system, all, fetch);
	for (unsigned i = 0; i < count; i++)
		add(k, &insn->system, all, access[i]);
}
