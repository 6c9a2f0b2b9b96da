/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "frame.h"
#include "substitute.h"

#define PAGE UINT64_C(4096)

void substitute_make(struct vcpu *vcpu)
{
	if (!vcpu->substitute.gpa)
		vcpu->substitute.gpa = frame_create() * PAGE;
}

/* Each byte lies where its address does in a page: the data is shorter than that. */
void substitute_begin(struct vcpu *vcpu, uint64_t gva, const void *data, uint32_t size)
{
	const uint8_t *from = data;
	uint8_t *frame;

	if (!vcpu->substitute.gpa)
		return;
	frame = frame_memory(vcpu->substitute.gpa);
	for (uint32_t i = 0; i < size; i++)
		frame[(gva + i) % PAGE] = from[i];
	vcpu->substitute.gva = gva;
	vcpu->substitute.size = size;
}

void substitute_end(struct vcpu *vcpu)
{
	vcpu->substitute.size = 0;
}

void substitute_forget(struct vcpu *vcpu)
{
	memset(&vcpu->substitute, 0, sizeof(vcpu->substitute));
}

bool substitute_covers(const struct vcpu *vcpu, uint64_t gva, uint32_t size)
{
	uint64_t offset = gva - vcpu->substitute.gva;

	return size && size <= vcpu->substitute.size && offset <= vcpu->substitute.size - size;
}

bool substitute_finds(const struct vcpu *vcpu, uint64_t *gpa)
{
	const struct tlb_access *a = &vcpu->access;
	uint64_t left = PAGE - a->gva % PAGE;

	if (a->walk || a->type != SCRY_READ ||
	    !substitute_covers(vcpu, a->gva, a->size < left ? a->size : (uint32_t)left))
		return false;
	*gpa = vcpu->substitute.gpa | *gpa % PAGE;
	return true;
}
