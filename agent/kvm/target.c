/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/exception.h"
#include "code.h"
#include "protocol/bits.h"
#include "target.h"

/*
 * A step ends at the next instruction, but for where the instruction goes by itself with
 * other flags (SYSCALL, say), and the handlers of the exceptions that it may raise: four
 * places at most, so those of what is likely for such an instruction.
 */

#define GATE_P    0x80u
#define GATE_SIZE 16u
#define GATES     32u

#define CR0_EM    4u
#define CR0_AM    0x40000u
#define RFLAGS_AC 0x40000u

#define VECTOR_DE 0
#define VECTOR_OF 4
#define VECTOR_UD 6
#define VECTOR_NM 7
#define VECTOR_NP 11
#define VECTOR_SS 12
#define VECTOR_MF 16
#define VECTOR_AC 17
#define VECTOR_XM 19

/* An instruction, and the gates of exceptions as they are now. */
struct place {
	struct kvcpu *k;
	const struct insn *insn;
	unsigned gates;		/* so many; 0 where they are not those of long mode */
	uint8_t gate[GATES][GATE_SIZE];
};

static bool read_gates(const struct place *p, unsigned first, unsigned count, void *gates)
{
	const struct kvm_sregs *s = &p->insn->system;

	return s->efer & EFER_LMA && (first + count) * GATE_SIZE - 1 <= s->idt.limit &&
	       kvm_virtual(p->k, s->idt.base + first * GATE_SIZE, gates, count * GATE_SIZE, false);
}

static void look(struct place *p)
{
	unsigned count = (p->insn->system.idt.limit + 1u) / GATE_SIZE;

	if (count > GATES)
		count = GATES;
	p->gates = count && read_gates(p, 0, count, p->gate) ? count : 0;
}

/* 0 = none that is known. */
static uint64_t handler_of(const struct place *p, unsigned vector)
{
	uint16_t low, middle;
	uint8_t other[GATE_SIZE];
	const uint8_t *gate = other;
	uint32_t high;

	if (vector < p->gates)
		gate = p->gate[vector];
	else if (vector < GATES || !read_gates(p, vector, 1, other))
		return 0;
	if (!(gate[5] & GATE_P))
		return 0;
	memcpy(&low, gate, 2);
	memcpy(&middle, gate + 6, 2);
	memcpy(&high, gate + 8, 4);
	return (uint64_t)high << 32 | (uint32_t)middle << 16 | low;
}

static bool is_of_class(ZydisRegister reg, ZydisRegisterClass first, ZydisRegisterClass last)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	return class >= first && class <= last;
}

/* Has it a register operand of these classes? */
static bool has_register(const struct insn *insn, ZydisRegisterClass first, ZydisRegisterClass last)
{
	for (unsigned i = 0; i < insn->is.operand_count; i++) {
		const ZydisDecodedOperand *o = &insn->operand[i];

		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && is_of_class(o->reg.value, first, last))
			return true;
	}
	return false;
}

/* Does it access memory, by this segment if any? */
static bool has_memory(const struct insn *insn, ZydisRegister segment)
{
	for (unsigned i = 0; i < insn->is.operand_count; i++) {
		const ZydisDecodedOperand *o = &insn->operand[i];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (segment == ZYDIS_REGISTER_NONE || o->mem.segment == segment))
			return true;
	}
	return false;
}

static bool loads_segment(const struct insn *insn)
{
	return insn->is.mnemonic == ZYDIS_MNEMONIC_LLDT || insn->is.mnemonic == ZYDIS_MNEMONIC_LTR ||
	       insn->is.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
	       has_register(insn, ZYDIS_REGCLASS_SEGMENT, ZYDIS_REGCLASS_SEGMENT);
}

/* Two more vectors than #PF and #GP, which any may raise. */
static void guess(const struct insn *insn, uint64_t rflags, int vector[2])
{
	const struct kvm_sregs *s = &insn->system;
	bool x87 = has_register(insn, ZYDIS_REGCLASS_X87, ZYDIS_REGCLASS_MMX);

	vector[0] = VECTOR_UD;
	vector[1] = VECTOR_NM;
	if (insn->is.mnemonic == ZYDIS_MNEMONIC_DIV || insn->is.mnemonic == ZYDIS_MNEMONIC_IDIV ||
	    insn->is.mnemonic == ZYDIS_MNEMONIC_AAM)
		vector[1] = VECTOR_DE;
	else if (x87 || has_register(insn, ZYDIS_REGCLASS_XMM, ZYDIS_REGCLASS_ZMM))
		vector[1] = s->cr0 & (CR0_TS | CR0_EM) ? VECTOR_NM : x87 ? VECTOR_MF : VECTOR_XM;
	else if (loads_segment(insn))
		vector[1] = VECTOR_NP;
	if (has_memory(insn, ZYDIS_REGISTER_SS) || vector[1] == VECTOR_NP)
		vector[0] = VECTOR_SS;
	if (s->cr0 & CR0_AM && rflags & RFLAGS_AC && s->ss.dpl == 3 &&
	    has_memory(insn, ZYDIS_REGISTER_NONE))
		vector[0] = VECTOR_AC;
}

/* The flags that it takes from the stack. */
static void note_popped(const struct place *p, unsigned above)
{
	const struct insn *insn = p->insn;
	uint64_t at = insn->gpr[SCRY_REG_RSP] + above * (insn->is.operand_width / 8u);
	uint16_t flags;

	if (!kvm_is_64bit(&insn->system))
		at = (uint32_t)(at + insn->system.ss.base);
	p->k->step.pops = true;
	if (kvm_virtual(p->k, at, &flags, sizeof(flags), false))
		p->k->step.tf_behind = flags & RFLAGS_TF;
}

static struct target address(uint64_t to)
{
	return (struct target){ .address = to, .vector = NO_VECTOR };
}

static struct target vector(const struct place *p, unsigned n)
{
	return (struct target){ .address = handler_of(p, n), .vector = (int)n };
}

static struct target syscall_target(struct vcpu *vcpu, const struct place *p)
{
	uint64_t to = 0;

	p->k->step.saves = STEP_SYSCALL;
	kvm_msr_read(vcpu, kvm_is_64bit(&p->insn->system) ? MSR_LSTAR : MSR_CSTAR, &to);
	return address(to);
}

/* To user space: TF is looked at when it has replaced it, and the step would not end. */
static struct target sysret_target(const struct place *p, unsigned reg)
{
	const struct insn *insn = p->insn;
	uint64_t to = insn->gpr[reg];

	if (insn->is.mnemonic == ZYDIS_MNEMONIC_SYSRET) {
		p->k->step.pops = true;
		p->k->step.tf_behind = insn->gpr[SCRY_REG_R11] & RFLAGS_TF;
	}
	return address(insn->is.operand_width == 64 ? to : (uint32_t)to);
}

/* Where it goes by itself, if not to the next one, and what of the flags it saves or takes. */
static struct target own_target(struct vcpu *vcpu, const struct place *p)
{
	switch (p->insn->is.mnemonic) {
	case ZYDIS_MNEMONIC_INT1:
		return vector(p, VECTOR_DB);
	case ZYDIS_MNEMONIC_INT3:
		return vector(p, VECTOR_BP);
	case ZYDIS_MNEMONIC_INTO:
		return vector(p, VECTOR_OF);
	case ZYDIS_MNEMONIC_INT:
		return vector(p, (uint8_t)p->insn->is.raw.imm[0].value.u);
	case ZYDIS_MNEMONIC_SYSCALL:
		return syscall_target(vcpu, p);
	case ZYDIS_MNEMONIC_SYSRET:
		return sysret_target(p, SCRY_REG_RCX);
	case ZYDIS_MNEMONIC_SYSEXIT:
		return sysret_target(p, SCRY_REG_RDX);
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
		p->k->step.saves = STEP_PUSHES;
		break;
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		note_popped(p, 0);
		break;
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		note_popped(p, 2);
		break;
	default:
		break;
	}
	return address(0);
}

static void fill(struct vcpu *vcpu, struct kvcpu *k, const struct kvm_regs *r)
{
	struct target *target = k->step.target;
	struct place p = { .k = k, .insn = &k->insn };
	uint8_t arriving;
	int guessed[2];
	bool known = kvm_decode(k);

	look(&p);
	guess(p.insn, r->rflags, guessed);
	target[0] = vector(&p, EXCEPTION_PF);
	target[1] = vector(&p, EXCEPTION_GP);
	target[2] = vector(&p, (unsigned)guessed[0]);
	if (kvm_delivers(k, &arriving))
		target[3] = vector(&p, arriving);
	else if (known)
		target[3] = own_target(vcpu, &p);
	if (!target[3].address)
		target[3] = vector(&p, (unsigned)guessed[1]);
}

/* At the first instruction of one of them there is no breakpoint of the step's own. */
void targets_find(struct vcpu *vcpu, struct kvcpu *k, const struct kvm_regs *r)
{
	struct step *step = &k->step;

	memset(step->target, 0, sizeof(step->target));
	step->saves = STEP_SAVES_NOTHING;
	step->pops = false;
	step->tf_behind = step->tf;
	fill(vcpu, k, r);
	for (unsigned i = 0; i < KVM_REGISTERS; i++)
		if (step->target[i].address == r->rip)
			step->target[i].address = 0;
}
