/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "protocol/bits.h"
#include "registers.h"

static struct {
	uint64_t address;
	unsigned users;
	uint8_t what;
} registers[KVM_REGISTERS];

uint8_t registers_enabled(uint64_t dr7)
{
	uint8_t mask = 0;

	for (unsigned i = 0; i < KVM_REGISTERS; i++)
		if (dr7 >> 2 * i & 3)
			mask |= (uint8_t)(1u << i);
	return mask;
}

/* One with this in it, or one that no vCPU's guest uses. */
static unsigned find(uint64_t address, uint8_t what)
{
	struct kvm_debugregs d;
	uint8_t taken = 0;
	unsigned i;

	for (i = 0; i < KVM_REGISTERS; i++)
		if (registers[i].users && registers[i].address == address &&
		    registers[i].what == what)
			return i;
	for (i = 0; i < kvm.vcpus; i++)
		if (kvm_ioctl(kvm.vcpu[i].fd, KVM_GET_DEBUGREGS, &d) == 0)
			taken |= registers_enabled(d.dr7);
	for (i = 0; i < KVM_REGISTERS; i++)
		if (!registers[i].users && !(taken >> i & 1))
			return i;
	return KVM_REGISTERS;
}

unsigned registers_take(uint64_t address, uint8_t what)
{
	unsigned i = find(address, what);

	if (i == KVM_REGISTERS)
		return i;
	registers[i].address = address;
	registers[i].what = what;
	registers[i].users++;
	return i;
}

void registers_give(unsigned reg)
{
	registers[reg].users--;
}

static void note(struct kvcpu *k)
{
	k->points = k->watches = k->guests = 0;
	for (unsigned i = 0; i < KVM_REGISTERS; i++) {
		if (!registers[i].users)
			continue;
		if (registers[i].what == DR7_EXECUTES)
			k->points |= (uint8_t)(1u << i);
		else
			k->watches |= (uint8_t)(1u << i);
	}
}

void registers_arm(struct kvcpu *k, struct kvm_guest_debug *debug)
{
	struct kvm_debugregs d;
	uint8_t ours;

	note(k);
	ours = k->points | k->watches;
	if (!ours || kvm_ioctl(k->fd, KVM_GET_DEBUGREGS, &d) < 0)
		return;
	k->guests = registers_enabled(d.dr7) & (uint8_t)~ours;
	debug->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	debug->arch.debugreg[7] = DR7_USED;
	for (unsigned i = 0; i < KVM_REGISTERS; i++) {
		if (k->guests >> i & 1) {
			debug->arch.debugreg[i] = d.db[i];
			debug->arch.debugreg[7] |= d.dr7 & (UINT64_C(3) << 2 * i |
							    UINT64_C(15) << (16 + 4 * i));
		} else if (ours >> i & 1) {
			debug->arch.debugreg[i] = registers[i].address;
			debug->arch.debugreg[7] |= 2u << 2 * i |
						   (uint32_t)registers[i].what << (16 + 4 * i);
		}
	}
}
