/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Xen's ring of events, whatever stands in its page. */
#include <stdlib.h>
#include <string.h>

#include "../lib/test.h"
#include "lib/drivers/xen/ring.h"

#define VCPUS   4u
#define ENTRIES 8u

struct world {
	struct xen_shared shared;
	vm_event_sring_t *page;	/* on the heap, so that a byte beside it is found by ASan */
};

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->page = calloc(1, XEN_PAGE_SIZE);
	assert_non_null(w->page);
	w->shared.vcpus = VCPUS;
	return w;
}

static void world_free(struct world *w)
{
	free(w->page);
	free(w);
}

static vm_event_request_t request_of(unsigned vcpu)
{
	return (vm_event_request_t){ .version = VM_EVENT_INTERFACE_VERSION, .vcpu_id = vcpu,
				     .flags = VM_EVENT_FLAG_VCPU_PAUSED,
				     .reason = VM_EVENT_REASON_CPUID };
}

/* As Xen does it. */
static void put(struct world *w, vm_event_request_t request)
{
	w->page->ring[w->page->req_prod % ENTRIES].req = request;
	w->page->req_prod++;
}

static void answer(struct world *w, unsigned vcpu)
{
	vm_event_response_t response;

	xen_ring_response(&w->shared.vcpu[vcpu].request, &response);
	xen_ring_answer(&w->shared, w->page, vcpu, &response);
}

static void each_is_taken_and_answered_once(void **state)
{
	struct world *w = world_new();
	unsigned vcpu;

	(void)state;
	for (unsigned round = 0; round < 3 * ENTRIES; round++) {
		put(w, request_of(3));
		put(w, request_of(1));
		assert_true(xen_ring_unread(&w->shared, w->page));
		assert_true(xen_ring_take(&w->shared, w->page, &vcpu));
		assert_int_equal(vcpu, 3);
		assert_true(xen_ring_take(&w->shared, w->page, &vcpu));
		assert_int_equal(vcpu, 1);
		assert_false(xen_ring_take(&w->shared, w->page, &vcpu));
		assert_int_equal(w->shared.vcpu[3].waits, 1);
		answer(w, 1);
		assert_int_equal(w->page->ring[2 * round % ENTRIES].rsp.vcpu_id, 1);
		answer(w, 3);
		assert_int_equal(w->page->rsp_prod, 2 * round + 2);
		assert_int_equal(w->shared.vcpu[3].waits, 0);
	}
	world_free(w);
}

/* It is given its slot back, and no vCPU goes on by it. */
static void what_no_vcpu_waits_with_is_dropped(void **state)
{
	vm_event_request_t bad[] = { request_of(VCPUS), request_of(UINT32_MAX), request_of(0),
				     request_of(1) };
	struct world *w = world_new();
	unsigned vcpu;

	(void)state;
	bad[2].version++;
	bad[3].flags = 0;
	for (unsigned i = 0; i < 4; i++) {
		put(w, bad[i]);
		assert_false(xen_ring_take(&w->shared, w->page, &vcpu));
		assert_int_equal(w->page->rsp_prod, i + 1);
		assert_int_equal(w->page->ring[i].rsp.flags, 0);
	}
	world_free(w);
}

/* The first of a vCPU that waits is the one that is answered. */
static void a_second_of_the_same_vcpu_is_none(void **state)
{
	vm_event_request_t second = request_of(2);
	struct world *w = world_new();
	unsigned vcpu;

	(void)state;
	second.reason = VM_EVENT_REASON_GUEST_REQUEST;
	put(w, request_of(2));
	assert_true(xen_ring_take(&w->shared, w->page, &vcpu));
	put(w, second);
	assert_false(xen_ring_take(&w->shared, w->page, &vcpu));
	assert_int_equal(w->shared.vcpu[2].request.reason, VM_EVENT_REASON_CPUID);
	world_free(w);
}

static void an_index_out_of_the_ring_is_none(void **state)
{
	static const uint32_t ahead[] = { ENTRIES + 1, 0x80000000, UINT32_MAX };
	struct world *w = world_new();
	unsigned vcpu;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		w->page->req_prod = ahead[i];
		assert_false(xen_ring_unread(&w->shared, w->page));
		assert_false(xen_ring_take(&w->shared, w->page, &vcpu));
		assert_int_equal(w->shared.ring.req_cons, 0);
		assert_int_equal(w->page->rsp_prod, 0);
	}
	world_free(w);
}

/* Who died between an answer and its note: out it is, and not given again. */
static void an_answer_that_is_out_stays_so(void **state)
{
	struct world *w = world_new();
	unsigned vcpu;

	(void)state;
	put(w, request_of(0));
	put(w, request_of(1));
	while (xen_ring_take(&w->shared, w->page, &vcpu))
		;
	answer(w, 0);
	w->shared.vcpu[0].waits = 1;
	w->shared.ring.rsp_prod = 0;
	xen_ring_recover(&w->shared, w->page);
	assert_int_equal(w->shared.vcpu[0].waits, 0);
	assert_int_equal(w->shared.vcpu[1].waits, 1);
	assert_int_equal(w->shared.ring.rsp_prod, 1);
	world_free(w);
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(*seed >> 32);
}

/* Bytes of anybody's: it comes to an end, and only vCPUs that there are wait. */
static void any_page_is_survived(void **state)
{
	struct world *w = world_new();
	uint64_t seed = 1;
	unsigned vcpu = 0;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		for (unsigned i = 0; i < XEN_PAGE_SIZE / 4; i++)
			((uint32_t *)w->page)[i] = next_random(&seed);
		w->page->req_prod = w->shared.ring.req_cons + next_random(&seed) % (2 * ENTRIES);
		for (unsigned i = 0; i < ENTRIES; i++)
			if (next_random(&seed) % 2)
				w->page->ring[i].req = request_of(next_random(&seed) % (2 * VCPUS));
		while (xen_ring_take(&w->shared, w->page, &vcpu)) {
			assert_in_range(vcpu, 0, VCPUS - 1);
			if (next_random(&seed) % 2)
				answer(w, vcpu);
		}
		if (next_random(&seed) % 4 == 0)
			xen_ring_recover(&w->shared, w->page);
		for (unsigned i = 0; i < VCPUS; i++)
			if (w->shared.vcpu[i].waits)
				answer(w, i);
	}
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_taken_and_answered_once),
		cmocka_unit_test(what_no_vcpu_waits_with_is_dropped),
		cmocka_unit_test(a_second_of_the_same_vcpu_is_none),
		cmocka_unit_test(an_index_out_of_the_ring_is_none),
		cmocka_unit_test(an_answer_that_is_out_stays_so),
		cmocka_unit_test(any_page_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
