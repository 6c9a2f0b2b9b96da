/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <Zydis/Zydis.h>
#include <dlfcn.h>

#include "agent/refuse.h"
#include "kvm.h"

#define RUNTIME_STATE 1		/* KVM_PUT_RUNTIME_STATE, the same in all versions */
#define CPU_STATE_MOST 65536

static size_t dirty_at;		/* CPUState.vcpu_dirty, a bool */
static int (*put_registers)(struct qemu_cpu *cpu, int level, void *error);

/* kvm_cpu_synchronize_state() begins with a look at it: cmpb $0, OFFSET(%rdi). */
static bool find_dirty(const uint8_t *code)
{
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (int n = 0; n < 6; n++, code += insn.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, 15, &insn, operand)))
			return false;
		if (insn.mnemonic != ZYDIS_MNEMONIC_CMP ||
		    operand[0].type != ZYDIS_OPERAND_TYPE_MEMORY || operand[0].size != 8 ||
		    operand[0].mem.base != ZYDIS_REGISTER_RDI)
			continue;
		dirty_at = (size_t)operand[0].mem.disp.value;
		return dirty_at && dirty_at < CPU_STATE_MOST;
	}
	return false;
}

int kvm_dirty_init(void)
{
	const uint8_t *code = dlsym(RTLD_DEFAULT, "kvm_cpu_synchronize_state");
	void *put = dlsym(RTLD_DEFAULT, "kvm_arch_put_registers");

	if (!code || !put || !find_dirty(code))
		return refuse("this QEMU's kvm_cpu_synchronize_state() is not as expected: use the "
			      "distributions' 7.2 or 10.0");
	memcpy(&put_registers, &put, sizeof(put));
	return 0;
}

void kvm_settle(struct vcpu *vcpu)
{
	bool *dirty = (bool *)((char *)vcpu->cpu + dirty_at);

	if (!*dirty)
		return;
	put_registers(vcpu->cpu, RUNTIME_STATE, NULL);
	*dirty = false;
}
