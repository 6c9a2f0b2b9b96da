/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/memory/frame.h"
#include "agent/memory/slat.h"
#include "code.h"
#include "protocol/bits.h"
#include "slot.h"

#define PAGE 4096u

static uint64_t shown(uint64_t gpa)
{
	return slat_shown(vcpus[0].slat, gpa);
}

/* Of memory alone: to read a device may change it. */
static bool is_memory(uint64_t gpa)
{
	uint8_t byte;

	return gpa >= FRAMES_BASE || slot_read(gpa, &byte, 1);
}

static bool copy(uint64_t gpa, void *data, unsigned len, bool write)
{
	return !qemu.address_space_rw(qemu.address_space_memory, gpa, 0, data, len, write);
}

bool seen_read(uint64_t gpa, void *data, unsigned len)
{
	gpa = shown(gpa);
	return gpa >= FRAMES_BASE ? copy(gpa, data, len, false) : slot_read(gpa, data, len);
}

static bool seen_write(uint64_t gpa, void *data, unsigned len)
{
	gpa = shown(gpa);
	return is_memory(gpa) && copy(gpa, data, len, true);
}

/* A guest that may be in one of its own then: KVM alone knows its tables. */
static bool may_nest(const struct kvm_sregs *s)
{
	return s->efer & EFER_SVME || s->cr4 & CR4_VMXE;
}

bool kvm_look_up(struct kvcpu *k, const struct kvm_sregs *s, uint64_t gva, struct walk *w)
{
	struct kvm_translation t = { .linear_address = gva };

	if (!may_nest(s))
		return walk(s, s->cr3, gva, w);
	*w = (struct walk){ .mapped = kvm_ioctl(k->fd, KVM_TRANSLATE, &t) == 0 && t.valid };
	w->gpa = t.physical_address;
	return w->mapped;
}

bool kvm_physical(struct kvcpu *k, uint64_t gva, uint64_t *gpa)
{
	struct kvm_sregs s;
	struct walk w;

	if (kvm_ioctl(k->fd, KVM_GET_SREGS, &s) < 0 || !kvm_look_up(k, &s, gva, &w))
		return false;
	*gpa = w.gpa;
	return true;
}

bool kvm_walk(struct kvcpu *k, uint64_t cr3, uint64_t gva, uint64_t *gpa, bool *user)
{
	struct kvm_sregs s;
	struct walk w;

	if (kvm_ioctl(k->fd, KVM_GET_SREGS, &s) < 0 || !walk(&s, cr3, gva, &w))
		return false;
	*gpa = w.gpa;
	*user = w.user;
	return true;
}

static bool transfer(struct kvcpu *k, const struct kvm_sregs *s, uint64_t gva, void *data,
		     unsigned len, bool write)
{
	for (char *at = data; len;) {
		unsigned part = PAGE - gva % PAGE < len ? PAGE - (unsigned)(gva % PAGE) : len;
		struct walk w;

		if (!kvm_look_up(k, s, gva, &w) ||
		    !(write ? seen_write(w.gpa, at, part) : seen_read(w.gpa, at, part)))
			return false;
		gva += part;
		at += part;
		len -= part;
	}
	return true;
}

bool kvm_virtual(struct kvcpu *k, uint64_t gva, void *data, unsigned len, bool write)
{
	struct kvm_sregs s;

	return kvm_ioctl(k->fd, KVM_GET_SREGS, &s) == 0 && transfer(k, &s, gva, data, len, write);
}

/* As many as there are before what cannot be read; *w leads to the first, if it can. */
static unsigned read_code(struct kvcpu *k, const struct kvm_sregs *s, uint64_t gva, uint8_t *bytes,
			  struct walk *w)
{
	unsigned len = PAGE - (unsigned)(gva % PAGE);

	if (len > KVM_CODE)
		len = KVM_CODE;
	if (!kvm_look_up(k, s, gva, w) || !seen_read(w->gpa, bytes, len))
		return 0;
	if (len < KVM_CODE && transfer(k, s, gva + len, bytes + len, KVM_CODE - len, false))
		return KVM_CODE;
	return len;
}

unsigned kvm_code(struct kvcpu *k, uint64_t gva, uint8_t *bytes)
{
	struct kvm_sregs s;
	struct walk w;

	return kvm_ioctl(k->fd, KVM_GET_SREGS, &s) == 0 ? read_code(k, &s, gva, bytes, &w) : 0;
}

bool kvm_fetch(struct kvcpu *k, struct walk *w)
{
	struct insn *insn = &k->insn;
	uint8_t bytes[KVM_CODE];
	struct kvm_regs r = { 0 };

	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	kvm_ioctl(k->fd, KVM_GET_SREGS, &insn->system);
	kvm_gprs(&r, insn->gpr);
	insn->rip = r.rip;
	return insn_decode(insn, bytes, read_code(k, &insn->system, insn_address(insn), bytes, w));
}

bool kvm_decode(struct kvcpu *k)
{
	struct walk w;

	return kvm_fetch(k, &w);
}

bool kvm_insn(struct kvcpu *k, struct kvm_insn *insn)
{
	struct insn_access access[INSN_ACCESSES];
	const struct insn *all = &k->insn;

	*insn = (struct kvm_insn){ 0 };
	if (!kvm_decode(k))
		return false;
	insn->len = all->is.length;
	insn->rep = insn_repeats(all);
	insn->string = all->is.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
	if (insn->string && insn_accesses(all, access))
		insn->target = access[0].gva;
	return true;
}
