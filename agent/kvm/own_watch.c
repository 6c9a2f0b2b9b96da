/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kvm.h"

/* The guest's own watchpoints, which a step's debug registers are in the place of. */

/* Of one register (Intel SDM volume 3, 17.2.4). */
#define DR7_ENABLES(i) (UINT64_C(3) << 2 * (i))
#define DR7_KIND(i)    (16 + 4 * (i))
#define KIND_WRITES    1u
#define KIND_ACCESSES  3u

static uint32_t watched_accesses(unsigned kind)
{
	switch (kind & 3) {
	case KIND_WRITES:
		return SCRY_WRITE;
	case KIND_ACCESSES:
		return SCRY_READ | SCRY_WRITE;
	default:
		return 0;
	}
}

static bool hits(const struct kvm_debugregs *d, unsigned i, const struct insn_access *a)
{
	static const uint8_t sizes[] = { 1, 2, 8, 4 };
	unsigned kind = d->dr7 >> DR7_KIND(i) & 15, size = sizes[kind >> 2];
	uint64_t at = d->db[i] & ~(uint64_t)(size - 1);

	return d->dr7 & DR7_ENABLES(i) && a->access & watched_accesses(kind) &&
	       (a->gva - at < size || at - a->gva < a->size);
}

uint64_t kvm_own_watches(struct kvcpu *k)
{
	struct insn_access access[INSN_ACCESSES];
	struct kvm_debugregs d;
	unsigned count;
	uint64_t hit = 0;

	if (!k->insn.known || kvm_ioctl(k->fd, KVM_GET_DEBUGREGS, &d) < 0 || !(d.dr7 & DR7_USERS))
		return 0;
	count = insn_accesses(&k->insn, access);
	for (unsigned i = 0; i < KVM_REGISTERS; i++)
		for (unsigned n = 0; n < count; n++)
			if (hits(&d, i, &access[n]))
				hit |= UINT64_C(1) << i;
	return hit;
}
