/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "segment.h"

#define ATTR_P        (1u << 7)
#define ATTR_UNUSABLE (1u << 16)
#define ATTR_BITS     0xf0ffu	/* without the limit's bits, which lie between in a descriptor */
#define LDTR          6

/* QEMU keeps a descriptor's high half: the attributes begin at its bit 8. */
void segment_get(const struct qemu_cpu *cpu, unsigned index, struct scry_seg *seg)
{
	size_t at = cpu_segment(index);

	*seg = (struct scry_seg){
		.base = cpu_get64(cpu, at + cpu_layout.seg.base),
		.limit = cpu_get32(cpu, at + cpu_layout.seg.limit),
		.selector = (uint16_t)cpu_get32(cpu, at + cpu_layout.seg.selector),
		.attr = cpu_get32(cpu, at + cpu_layout.seg.flags) >> 8 & ATTR_BITS,
	};
	/* LLDT with a null selector leaves the old attributes, and limit 0. */
	if (!(seg->attr & ATTR_P) || (index == LDTR && !(seg->selector & 0xfffc) && !seg->limit))
		seg->attr |= ATTR_UNUSABLE;
}

void segment_put(struct qemu_cpu *cpu, unsigned index, const struct scry_seg *seg)
{
	size_t at = cpu_segment(index);
	uint32_t attr = seg->attr;

	if (attr & ATTR_UNUSABLE)
		attr &= ~ATTR_P;
	cpu_put64(cpu, at + cpu_layout.seg.base, seg->base);
	cpu_put32(cpu, at + cpu_layout.seg.limit, seg->limit);
	cpu_put32(cpu, at + cpu_layout.seg.selector, seg->selector);
	cpu_put32(cpu, at + cpu_layout.seg.flags, (attr & ATTR_BITS) << 8);
}

void table_get(const struct qemu_cpu *cpu, size_t at, struct scry_table *table)
{
	*table = (struct scry_table){
		.base = cpu_get64(cpu, at + cpu_layout.seg.base),
		.limit = cpu_get32(cpu, at + cpu_layout.seg.limit),
	};
}

void table_put(struct qemu_cpu *cpu, size_t at, const struct scry_table *table)
{
	cpu_put64(cpu, at + cpu_layout.seg.base, table->base);
	cpu_put32(cpu, at + cpu_layout.seg.limit, table->limit);
}
