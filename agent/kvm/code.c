/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <Zydis/Zydis.h>

#include "kvm.h"
#include "protocol/bits.h"

#define PAGE          4096u
#define ENTRY_P       1u
#define ENTRY_U       4u
#define ENTRY_PS      128u
#define ENTRY_ADDRESS UINT64_C(0xffffffffff000)

/* KVM walks the guest's page tables; QEMU would for it first take the registers away. */
bool kvm_physical(struct kvcpu *k, uint64_t gva, uint64_t *gpa)
{
	struct kvm_translation t = { .linear_address = gva };

	if (kvm_ioctl(k->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return false;
	*gpa = t.physical_address;
	return true;
}

bool kvm_entry(uint64_t table, int level, uint64_t gva, uint64_t *at, uint64_t *entry)
{
	*at = (table & ENTRY_ADDRESS) + (gva >> (3 + 9 * level) & 511) * 8;
	return !qemu.address_space_rw(qemu.address_space_memory, *at, 0, entry, sizeof(*entry), false);
}

bool kvm_entry_leads_on(uint64_t entry, int level)
{
	return entry & ENTRY_P && level > 1 && !(level < 4 && entry & ENTRY_PS);
}

bool kvm_walk(struct kvcpu *k, uint64_t cr3, uint64_t gva, uint64_t *gpa, bool *user)
{
	uint64_t entry = cr3, at, rest;
	struct kvm_sregs s;
	int level;

	if (kvm_ioctl(k->fd, KVM_GET_SREGS, &s) < 0 || !(s.efer & EFER_LMA))
		return false;
	*user = true;
	for (level = s.cr4 & CR4_LA57 ? 5 : 4;; level--) {
		if (!kvm_entry(entry, level, gva, &at, &entry) || !(entry & ENTRY_P))
			return false;
		*user &= (entry & ENTRY_U) != 0;
		if (!kvm_entry_leads_on(entry, level))
			break;
	}
	rest = (UINT64_C(1) << (3 + 9 * level)) - 1;
	*gpa = (entry & ENTRY_ADDRESS & ~rest) | (gva & rest);
	return true;
}

bool kvm_virtual(struct kvcpu *k, uint64_t gva, void *data, unsigned len, bool write)
{
	for (char *at = data; len;) {
		unsigned part = PAGE - gva % PAGE < len ? PAGE - (unsigned)(gva % PAGE) : len;
		uint64_t gpa;

		if (!kvm_physical(k, gva, &gpa) ||
		    qemu.address_space_rw(qemu.address_space_memory, gpa, 0, at, part, write))
			return false;
		gva += part;
		at += part;
		len -= part;
	}
	return true;
}

/* As many as there are before what cannot be read. */
unsigned kvm_code(struct kvcpu *k, uint64_t gva, uint8_t *bytes)
{
	unsigned len = KVM_CODE, in_page = PAGE - (unsigned)(gva % PAGE);

	if (kvm_virtual(k, gva, bytes, len, false))
		return len;
	len = in_page < len ? in_page : len;
	return kvm_virtual(k, gva, bytes, len, false) ? len : 0;
}

bool kvm_is_64bit(const struct kvm_sregs *s)
{
	return s->cs.l && s->efer & EFER_LMA;
}

uint64_t kvm_code_address(const struct kvm_sregs *s, const struct kvm_regs *r)
{
	return kvm_is_64bit(s) ? r->rip : (uint32_t)(s->cs.base + r->rip);
}

static ZydisMachineMode mode_of(const struct kvm_sregs *s, ZydisStackWidth *stack)
{
	if (kvm_is_64bit(s)) {
		*stack = ZYDIS_STACK_WIDTH_64;
		return ZYDIS_MACHINE_MODE_LONG_64;
	}
	*stack = s->cs.db ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	return s->cs.db ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16;
}

static bool decode(ZydisMachineMode mode, ZydisStackWidth stack, const uint8_t *bytes, unsigned len,
		   ZydisDecodedInstruction *decoded)
{
	ZydisDecoder decoder;

	return len && ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, stack)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, len, decoded));
}

uint32_t kvm_length_64(const uint8_t *bytes, unsigned len)
{
	ZydisDecodedInstruction decoded;

	return decode(ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, bytes, len, &decoded) ?
	       decoded.length : 0;
}

bool kvm_insn(struct kvcpu *k, struct kvm_insn *insn)
{
	uint8_t bytes[KVM_CODE];
	ZydisDecodedInstruction decoded;
	ZydisStackWidth stack;
	ZydisMachineMode mode;
	struct kvm_sregs s = { 0 };
	struct kvm_regs r = { 0 };
	unsigned len;

	*insn = (struct kvm_insn){ 0 };
	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	mode = mode_of(&s, &stack);
	len = kvm_code(k, kvm_code_address(&s, &r), bytes);
	if (!decode(mode, stack, bytes, len, &decoded))
		return false;
	insn->len = decoded.length;
	insn->rep = decoded.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPNE);
	insn->string = decoded.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
	insn->target = r.rdi;
	if (decoded.address_width < 64)
		insn->target &= (UINT64_C(1) << decoded.address_width) - 1;
	if (mode != ZYDIS_MACHINE_MODE_LONG_64)
		insn->target = (uint32_t)(insn->target + s.es.base);
	return true;
}
