/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "../../protocol/bits.h"
#include "as.h"

int scry_as_open(struct scry_vm *vm, uint64_t root, const struct scry_as_opts *opts,
		 struct scry_as **as)
{
	struct scry_as *new;

	*as = NULL;
	if (!opts || opts->sz < sizeof(*opts) || (unsigned)opts->mode > SCRY_PAGING_5LEVEL)
		return scry_fail(SCRY_E_INVAL, "scry_as_open() needs a struct scry_as_opts with "
				 "its sz and a paging mode");
	new = calloc(1, sizeof(*new));
	if (!new)
		return scry_fail(SCRY_E_NOMEM, "out of memory for an address space");
	new->vm = vm;
	new->root = root;
	new->mode = opts->mode;
	new->pse = opts->pse;
	new->nxe = opts->nxe;
	new->head.life = scry_current_map(vm)->ram.life;
	scry_tlb_clear(new);

	pthread_mutex_lock(&vm->pause_lock);
	new->next = vm->spaces;
	vm->spaces = new;
	pthread_mutex_unlock(&vm->pause_lock);
	*as = new;
	return 0;
}

static enum scry_paging_mode mode_of(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	if (!(cr0 & CR0_PG))
		return SCRY_PAGING_OFF;
	if (!(cr4 & CR4_PAE))
		return SCRY_PAGING_32BIT;
	if (!(efer & EFER_LMA))
		return SCRY_PAGING_PAE;
	return cr4 & CR4_LA57 ? SCRY_PAGING_5LEVEL : SCRY_PAGING_4LEVEL;
}

static struct scry_as_opts opts_of(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return (struct scry_as_opts){
		.sz = sizeof(struct scry_as_opts),
		.mode = mode_of(cr0, cr4, efer),
		.pse = !!(cr4 & CR4_PSE),
		.nxe = !!(efer & EFER_NXE),
	};
}

int scry_as_follow(struct scry_vm *vm, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer,
		   struct scry_as **space)
{
	const struct scry_as_opts opts = opts_of(cr0, cr4, efer);
	struct scry_as *as = *space;

	if (!as)
		return scry_as_open(vm, cr3, &opts, space);
	if (as->root != cr3)
		scry_tlb_clear(as);
	as->root = cr3;
	as->mode = opts.mode;
	as->pse = opts.pse;
	as->nxe = opts.nxe;
	return 0;
}

int scry_as_of_vcpu(struct scry_vm *vm, unsigned vcpu, struct scry_as **as)
{
	struct scry_as_opts opts;
	struct scry_regs regs;
	int ret = scry_regs_get(vm, vcpu, &regs);

	*as = NULL;
	if (ret < 0)
		return ret;
	opts = opts_of(regs.cr0, regs.cr4, regs.efer);
	return scry_as_open(vm, regs.cr3, &opts, as);
}

void scry_as_free(struct scry_as *as)
{
	if (!as)
		return;
	pthread_mutex_lock(&as->vm->pause_lock);
	for (struct scry_as **link = &as->vm->spaces; *link; link = &(*link)->next) {
		if (*link == as) {
			*link = as->next;
			break;
		}
	}
	pthread_mutex_unlock(&as->vm->pause_lock);
	free(as);
}

uint64_t scry_as_root(const struct scry_as *as)
{
	return as->root;
}

enum scry_paging_mode scry_as_mode(const struct scry_as *as)
{
	return as->mode;
}

struct scry_as *scry_as_next(struct scry_as *as)
{
	return as->next;
}
