/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

#include "ring.h"

/* xen/io/ring.h: the indices, and behind them entries as many as a power of two. */
struct page {
	_Atomic RING_IDX req_prod, req_event, rsp_prod, rsp_event;
};

#define HEAD    64u
#define ENTRIES 8u

_Static_assert(offsetof(vm_event_sring_t, ring) == HEAD, "the ring's head");
_Static_assert(HEAD + ENTRIES * sizeof(union vm_event_sring_entry) <= XEN_PAGE_SIZE &&
	       HEAD + 2 * ENTRIES * sizeof(union vm_event_sring_entry) > XEN_PAGE_SIZE,
	       "the ring's size");

static void *entry(void *page, RING_IDX index)
{
	return (char *)page + HEAD +
	       (index & (ENTRIES - 1)) * sizeof(union vm_event_sring_entry);
}

static bool is_sane(const struct xen_shared *s, const vm_event_request_t *r)
{
	return r->version == VM_EVENT_INTERFACE_VERSION && r->vcpu_id < s->vcpus &&
	       r->flags & VM_EVENT_FLAG_VCPU_PAUSED;
}

/* Each request takes up its slot until it has a response. */
static void push(struct xen_shared *s, void *page, const vm_event_response_t *response,
		 uint32_t *noted)
{
	struct page *p = page;
	RING_IDX next = s->ring.rsp_prod + 1;

	memcpy(entry(page, s->ring.rsp_prod), response, sizeof(*response));
	/* Who dies between these lines leaves no doubt whether it is out. */
	*noted = next;
	atomic_thread_fence(memory_order_seq_cst);
	atomic_store_explicit(&p->rsp_prod, next, memory_order_release);
	s->ring.rsp_prod = next;
}

static void drop(struct xen_shared *s, void *page, const vm_event_request_t *request)
{
	vm_event_response_t response;
	uint32_t noted;

	xen_ring_response(request, &response);
	response.flags = 0;
	push(s, page, &response, &noted);
}

static void note(struct xen_waiting *w, const vm_event_request_t *request)
{
	w->request = *request;
	w->answer = 0;
	w->since_ns = xen_now_ns();
	atomic_store_explicit(&w->waits, 1, memory_order_release);
}

/* More than the ring holds are none: somebody else wrote that index. */
bool xen_ring_unread(const struct xen_shared *s, const void *page)
{
	const struct page *p = page;
	RING_IDX produced = atomic_load_explicit(&p->req_prod, memory_order_acquire);
	RING_IDX unread = produced - s->ring.req_cons;

	return unread && unread <= ENTRIES;
}

bool xen_ring_take(struct xen_shared *s, void *page, unsigned *vcpu)
{
	struct page *p = page;
	vm_event_request_t request;

	while (xen_ring_unread(s, page)) {
		bool sane, known;

		memcpy(&request, entry(page, s->ring.req_cons), sizeof(request));
		atomic_signal_fence(memory_order_seq_cst);
		sane = is_sane(s, &request);
		/* Taken already by who died before it could count that. */
		known = sane && s->vcpu[request.vcpu_id].waits;
		if (sane && !known)
			note(&s->vcpu[request.vcpu_id], &request);
		s->ring.req_cons++;
		atomic_store(&p->req_event, s->ring.req_cons + 1);
		if (!sane)
			drop(s, page, &request);
		if (sane && !known) {
			*vcpu = request.vcpu_id;
			return true;
		}
	}
	return false;
}

void xen_ring_answer(struct xen_shared *s, void *page, unsigned vcpu,
		     const vm_event_response_t *response)
{
	struct xen_waiting *w = &s->vcpu[vcpu];

	push(s, page, response, &w->answer);
	atomic_store_explicit(&w->waits, 0, memory_order_release);
}

void xen_ring_recover(struct xen_shared *s, void *page)
{
	struct page *p = page;
	RING_IDX out = atomic_load_explicit(&p->rsp_prod, memory_order_acquire);

	for (unsigned i = 0; i < s->vcpus; i++)
		if (s->vcpu[i].waits && s->vcpu[i].answer && s->vcpu[i].answer == out)
			s->vcpu[i].waits = 0;
	s->ring.rsp_prod = out;
}

void xen_ring_response(const vm_event_request_t *request, vm_event_response_t *response)
{
	memset(response, 0, sizeof(*response));
	response->version = VM_EVENT_INTERFACE_VERSION;
	response->vcpu_id = request->vcpu_id;
	response->reason = request->reason;
	response->flags = VM_EVENT_FLAG_VCPU_PAUSED;
}
