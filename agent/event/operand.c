/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <Zydis/Zydis.h>

#include "agent/memory/view.h"
#include "agent/vcpu/vcpu.h"
#include "operand.h"

static uint64_t register_value(struct qemu_cpu *cpu, ZydisRegister reg, uint64_t next_rip)
{
	ZydisRegister large = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	ZyanI8 id = ZydisRegisterGetId(large);

	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return next_rip;
	if (ZydisRegisterGetClass(large) != ZYDIS_REGCLASS_GPR64 || id < 0 || id > 15)
		return 0;
	switch (ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
	case 16:
		return (uint16_t)cpu_gpr(cpu)[id];
	case 32:
		return (uint32_t)cpu_gpr(cpu)[id];
	}
	return cpu_gpr(cpu)[id];
}

static unsigned segment_index(ZydisRegister segment)
{
	switch (segment) {
	case ZYDIS_REGISTER_ES:
		return 0;
	case ZYDIS_REGISTER_CS:
		return 1;
	case ZYDIS_REGISTER_SS:
		return 2;
	case ZYDIS_REGISTER_FS:
		return 4;
	case ZYDIS_REGISTER_GS:
		return 5;
	default:
		return 3;
	}
}

static ZydisMachineMode machine_mode(struct qemu_cpu *cpu, ZydisStackWidth *stack)
{
	if (cpu_hflags(cpu) & HF_CS64) {
		*stack = ZYDIS_STACK_WIDTH_64;
		return ZYDIS_MACHINE_MODE_LONG_64;
	}
	if (cpu_hflags(cpu) & HF_CS32) {
		*stack = ZYDIS_STACK_WIDTH_32;
		return ZYDIS_MACHINE_MODE_LEGACY_32;
	}
	*stack = ZYDIS_STACK_WIDTH_16;
	return ZYDIS_MACHINE_MODE_LEGACY_16;
}

static uint64_t effective_address(struct qemu_cpu *cpu, const ZydisDecodedInstruction *insn,
				  const ZydisDecodedOperand *operand)
{
	uint64_t next_rip = cpu_get64(cpu, cpu_layout.eip) + insn->length;
	uint64_t address = register_value(cpu, operand->mem.base, next_rip) +
			   register_value(cpu, operand->mem.index, next_rip) * operand->mem.scale;

	if (operand->mem.disp.has_displacement)
		address += (uint64_t)operand->mem.disp.value;
	if (insn->address_width < 64)
		address &= (UINT64_C(1) << insn->address_width) - 1;
	if (!(cpu_hflags(cpu) & HF_CS64) || operand->mem.segment == ZYDIS_REGISTER_FS ||
	    operand->mem.segment == ZYDIS_REGISTER_GS)
		address += cpu_get64(cpu, cpu_segment(segment_index(operand->mem.segment)) +
					  cpu_layout.seg.base);
	return cpu_hflags(cpu) & HF_CS64 ? address : (uint32_t)address;
}

bool operand_address(struct qemu_cpu *cpu, unsigned len, uint64_t *address)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisDecoder decoder;
	ZydisStackWidth stack;
	ZydisMachineMode mode = machine_mode(cpu, &stack);
	uint8_t bytes[16];

	if (len > sizeof(bytes) || !view_read(vcpu_of(cpu), code_address(cpu), bytes, len) ||
	    !ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, stack)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &insn, operands)) ||
	    operands[0].type != ZYDIS_OPERAND_TYPE_MEMORY)
		return false;
	*address = effective_address(cpu, &insn, &operands[0]);
	return true;
}

bool operand_read16(struct qemu_cpu *cpu, unsigned len, uint16_t *value)
{
	uint64_t address;

	return operand_address(cpu, len, &address) &&
	       view_read(vcpu_of(cpu), address, value, sizeof(*value));
}

/* As many as there are before what cannot be read. */
static unsigned code_bytes(struct qemu_cpu *cpu, uint8_t *bytes)
{
	uint64_t address = code_address(cpu);
	const struct vcpu *vcpu = vcpu_of(cpu);
	unsigned len = ZYDIS_MAX_INSTRUCTION_LENGTH, in_page = 4096 - address % 4096;

	if (view_read(vcpu, address, bytes, len))
		return len;
	len = in_page < len ? in_page : len;
	return view_read(vcpu, address, bytes, len) ? len : 0;
}

/* The instruction at the vCPU's rip, if it is known. */
static bool decode_at_rip(struct qemu_cpu *cpu, ZydisDecodedInstruction *insn,
			  ZydisDecodedOperand *operands)
{
	ZydisDecoder decoder;
	ZydisStackWidth stack;
	ZydisMachineMode mode = machine_mode(cpu, &stack);
	uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	unsigned len = code_bytes(cpu, bytes);
	ZydisDecoderContext context;

	return len && ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, stack)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, &context, bytes, len, insn)) &&
	       (!operands || ZYAN_SUCCESS(ZydisDecoderDecodeOperands(&decoder, &context, insn, operands,
								     insn->operand_count)));
}

unsigned operand_insn_len(struct qemu_cpu *cpu, bool *locked)
{
	ZydisDecodedInstruction insn;

	*locked = false;
	if (!decode_at_rip(cpu, &insn, NULL))
		return 0;
	*locked = insn.attributes & ZYDIS_ATTRIB_HAS_LOCK ||
		  (insn.mnemonic == ZYDIS_MNEMONIC_XCHG && insn.raw.modrm.mod != 3);
	return insn.length;
}

bool operand_modifies(struct qemu_cpu *cpu)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;

	if (!decode_at_rip(cpu, &insn, operands))
		return false;
	for (unsigned i = 0; i < insn.operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ &&
		    operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			return true;
	return false;
}

bool operand_repeats(struct qemu_cpu *cpu)
{
	ZydisDecodedInstruction insn;

	return decode_at_rip(cpu, &insn, NULL) &&
	       insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
				  ZYDIS_ATTRIB_HAS_REPNE);
}
