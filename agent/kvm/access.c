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

/* One access, in its pages. */
static void add(struct kvcpu *k, const struct kvm_sregs *s, struct accesses *all,
		struct insn_access is)
{
	while (is.size) {
		uint64_t left = PAGE - is.gva % PAGE, part = is.size < left ? is.size : left;
		struct walk w = { 0 };
		bool mapped = kvm_look_up(k, s, is.gva, &w);

		add_walk(all, &w, is.gva);
		if (mapped)
			add_one(all, (struct access){ .gva = is.gva, .gpa = w.gpa, .access = is.access,
						      .size = (uint32_t)part });
		is.gva += part;
		is.size -= part;
	}
}

void accesses_find(struct kvcpu *k, struct accesses *all)
{
	struct insn_access fetch = { .size = 1, .access = SCRY_EXEC }, access[INSN_ACCESSES];
	unsigned count = 0;
	struct insn insn;

	*all = (struct accesses){ 0 };
	if (kvm_decode(k, &insn)) {
		fetch.size = all->insn_len = insn.is.length;
		count = insn_accesses(&insn, access);
	}
	all->rip = insn.rip;
	fetch.gva = insn_address(&insn);
	add(k, &insn.system, all, fetch);
	for (unsigned i = 0; i < count; i++)
		add(k, &insn.system, all, access[i]);
}
