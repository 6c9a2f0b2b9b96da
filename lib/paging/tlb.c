/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../ram.h"
#include "as.h"

#define SIZE_4K UINT64_C(0x1000)
#define SIZE_2M UINT64_C(0x200000)

void scry_tlb_clear(struct scry_as *as)
{
	/* A page of the neighbouring slot never matches an address of this one. */
	for (uint64_t i = 0; i < SCRY_TLB_4K; i++)
		as->head.tlb_4k[i] = (struct scry_tlb_entry){ (i ^ 1) * SIZE_4K, NULL };
	for (uint64_t i = 0; i < SCRY_TLB_2M; i++)
		as->head.tlb_2m[i] = (struct scry_tlb_entry){ (i ^ 1) * SIZE_2M, NULL };
}

void scry_as_forget(struct scry_as *as)
{
	atomic_thread_fence(memory_order_seq_cst);
	__atomic_store_n(&as->head.life_seen, 0, __ATOMIC_SEQ_CST);
}

bool scry_tlb_is_valid(const struct scry_as *as)
{
	atomic_thread_fence(memory_order_acquire);
	return __atomic_load_n(as->head.life, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&as->head.life_seen, __ATOMIC_RELAXED);
}

unsigned char *scry_tlb_find(struct scry_as *as, uint64_t gva, size_t *left)
{
	const struct scry_tlb_entry *e = &as->head.tlb_2m[gva / SIZE_2M % SCRY_TLB_2M];
	uint64_t size = SIZE_2M;

	if (gva - e->page >= size) {
		e = &as->head.tlb_4k[gva / SIZE_4K % SCRY_TLB_4K];
		size = SIZE_4K;
		if (gva - e->page >= size)
			return NULL;
	}
	*left = size - (gva - e->page);
	return e->host + (gva - e->page);
}

/* The bytes of the `size`-aligned slice of guest memory around gpa, if mapped as one. */
static unsigned char *slice_host(struct scry_vm *vm, uint64_t gpa, uint64_t size)
{
	const struct scry_mapped_region *r = scry_region_of(scry_current_map(vm), gpa);
	uint64_t start = gpa & ~(size - 1);

	if (!r || !r->host || start < r->region.gpa ||
	    start - r->region.gpa + size > r->region.size)
		return NULL;
	return r->host + (start - r->region.gpa);
}

static void put(struct scry_as *as, uint64_t gva, const struct scry_page *page)
{
	unsigned char *host = NULL;

	if (page->size >= SIZE_2M)
		host = slice_host(as->vm, page->gpa, SIZE_2M);
	if (host) {
		as->head.tlb_2m[gva / SIZE_2M % SCRY_TLB_2M] =
			(struct scry_tlb_entry){ gva & ~(SIZE_2M - 1), host };
		return;
	}
	host = slice_host(as->vm, page->gpa, SIZE_4K);
	if (host)
		as->head.tlb_4k[gva / SIZE_4K % SCRY_TLB_4K] =
			(struct scry_tlb_entry){ gva & ~(SIZE_4K - 1), host };
}

void scry_tlb_fill(struct scry_as *as, uint64_t gva, const struct scry_page *page,
		   uint64_t epoch, uint64_t life)
{
	/* The map in hand must be the one of that life too. */
	if (!(epoch & 1) || scry_current_map(as->vm)->ram.life_seen != life)
		return;
	if (__atomic_load_n(&as->head.life_seen, __ATOMIC_RELAXED) != life)
		scry_tlb_clear(as);
	put(as, gva, page);

	/*
	 * Another thread may end the epoch at this moment: it steps cache_epoch
	 * first and clears life_seen after, so either the check below sees the
	 * step, or its clearing comes after this store.
	 */
	__atomic_store_n(&as->head.life_seen, life, __ATOMIC_SEQ_CST);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&as->vm->cache_epoch) != epoch)
		__atomic_store_n(&as->head.life_seen, 0, __ATOMIC_SEQ_CST);
}
