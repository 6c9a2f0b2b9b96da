/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "agent/memory/frame.h"
#include "agent/memory/slat.h"
#include "hold.h"
#include "perform.h"
#include "ram.h"
#include "slot.h"
#include "sync.h"

#define PAGE_SHIFT   12
#define DR7_DATA 0x33330000u	/* of each register: other than instructions are watched */

static bool is_set(const char *parameter)
{
	int fd = open(parameter, O_RDONLY | O_CLOEXEC);
	char value = 0;

	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = 0;
	close(fd);
	return value == 'Y' || value == '1';
}

static bool nested_paging;

static void find_nested_paging(void)
{
	nested_paging = is_set("/sys/module/kvm_amd/parameters/npt") ||
			is_set("/sys/module/kvm_intel/parameters/ept");
}

/* Without it KVM must see each write to the guest's page tables, which it has copied. */
static bool has_nested_paging(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_nested_paging);
	return nested_paging;
}

/*
 * The access to data, if it is the only one, and nothing but it is in a closed page: then
 * KVM_RUN has come back for it, and the processor has found all else in order, the
 * segment's limit and the rights by its tables among it.
 */
static const struct access *sole(const struct accesses *all)
{
	const struct access *data = NULL;

	for (unsigned i = 0; i < all->count; i++) {
		const struct access *a = &all->at[i];
		bool is_data = !a->walk && a->access != SCRY_EXEC;
		bool is_closed = ram_blocks(a->gpa >> PAGE_SHIFT, access_writes(a));

		if (is_closed != is_data || (is_data && data))
			return NULL;
		if (is_data)
			data = a;
	}
	return data && data->settled && !hold_copy(data->gpa >> PAGE_SHIFT) ? data : NULL;
}

/* Its size aligned, so that it is in one page, and one access of any processor's. */
static bool is_move(const struct kvcpu *k, const struct access *a, struct move *m)
{
	return a && move_of(&k->insn, m) && a->size == m->size && !(a->gpa % m->size);
}

/*
 * Hyper-V's remote flush waits for vCPUs that execute only: one that is here would go by
 * what its tables said before.
 */
#define HYPERV_ADVICE 0x40000004u	/* CPUID: Hyper-V's functional specification, 2.4 */
#define REMOTE_FLUSH  4u
#define CPUID_MOST    256u

static bool asks_for_flushes(int fd)
{
	uint64_t room[1 + CPUID_MOST * sizeof(struct kvm_cpuid_entry2) / 8];
	struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)room;

	*cpuid = (struct kvm_cpuid2){ .nent = CPUID_MOST };
	if (kvm_ioctl(fd, KVM_GET_CPUID2, cpuid) < 0)
		return true;
	for (unsigned i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == HYPERV_ADVICE && cpuid->entries[i].eax & REMOTE_FLUSH)
			return true;
	return false;
}

static bool flushes_past(const struct kvcpu *k)
{
	static _Atomic enum { UNKNOWN, NEVER, PERHAPS } flushes;

	if (flushes == UNKNOWN)
		flushes = asks_for_flushes(k->fd) ? PERHAPS : NEVER;
	return flushes == PERHAPS && vcpu_count > 1;
}

void perform_look(const struct vcpu *vcpu, const struct kvcpu *k, const struct accesses *all,
		  struct performing *p)
{
	const struct access *a = has_nested_paging() && !flushes_past(k) ? sole(all) : NULL;

	p->possible = is_move(k, a, &p->move);
	if (!p->possible)
		return;
	p->access = *a;
	p->rip = all->rip;
	p->asked = vcpu->sequence;
}

/* Memory may have changed, tables and code in it; after anything else it is begun anew. */
static bool is_same(const struct vcpu *vcpu, struct kvcpu *k, struct accesses *all,
		    struct performing *p)
{
	const struct access *a, *was = &p->access;

	if (vcpu->sequence == p->asked)
		return true;
	accesses_find(k, all);
	a = sole(all);
	return is_move(k, a, &p->move) && all->rip == p->rip && a->gva == was->gva &&
	       a->gpa == was->gpa && a->access == was->access && a->size == was->size;
}

/* A watchpoint, the guest's or hidden, would miss it. */
static bool is_watched(struct kvcpu *k)
{
	struct kvm_debugregs d;

	if (k->debug.control & KVM_GUESTDBG_USE_HW_BP && k->debug.arch.debugreg[7] & DR7_DATA)
		return true;
	return kvm_ioctl(k->fd, KVM_GET_DEBUGREGS, &d) < 0 || d.dr7 & DR7_USERS;
}

/* Does the instruction end with nothing but its access? */
static bool is_plain(const struct vcpu *vcpu, struct kvcpu *k, const struct kvm_regs *r)
{
	bool steps = vcpu->steps || k->steps_in || k->step.on || k->step.flags_out || k->qemus;

	return !steps && !vcpu->injects && !(r->rflags & RFLAGS_TF) && !kvm_shadow(k) &&
	       !k->run->flags && !is_watched(k);	/* flags: SMM, with other memory; a guest's guest */
}

/* Does the code's address space end behind it? */
static bool is_last(const struct insn *insn)
{
	uint64_t next = insn->rip + insn->is.length;

	if (kvm_is_64bit(&insn->system))
		return (next ^ insn->rip) >> 47;
	return next >> (insn->system.cs.db ? 32 : 16);
}

static bool access_memory(const struct vcpu *vcpu, uint64_t gpa, const struct move *m,
			  uint64_t *found)
{
	void *at;

	gpa = slat_shown(vcpu->slat, gpa);
	if (gpa >= FRAMES_BASE) {
		*found = move_access(m, frame_memory(gpa));
		return true;
	}
	at = slot_begin(gpa, m->store);
	if (!at)
		return false;
	*found = move_access(m, at);
	slot_end();
	return true;
}

bool perform(struct vcpu *vcpu, struct kvcpu *k, struct accesses *all, struct performing *p)
{
	struct kvm_regs r;
	uint64_t found;

	if (!p->possible || !is_same(vcpu, k, all, p) || is_last(&k->insn) ||
	    kvm_ioctl(k->fd, KVM_GET_REGS, &r) < 0 || !is_plain(vcpu, k, &r) ||
	    !access_memory(vcpu, p->access.gpa, &p->move, &found))
		return false;
	r.rip += k->insn.is.length;
	if (!p->move.store) {
		move_loaded(&p->move, found, k->insn.gpr);
		kvm_set_gprs(&r, k->insn.gpr);
	}
	r.rflags &= ~(uint64_t)RFLAGS_RF;
	sync_set_regs(k, &r);
	progress_over(k);
	return true;
}
