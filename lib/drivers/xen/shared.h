/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_SHARED_H
#define SCRY_XEN_SHARED_H

/*
 * What a handle has done to its domain, in memory that its watchdog shares:
 * whatever stands here is undone when the handle is closed, or its process dies.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "hypercall.h"

#define XEN_MAX_VCPUS  64
#define XEN_MSR_GROUPS 2

/* One vCPU that waits for an answer to what it put into the ring. */
struct xen_waiting {
	_Atomic uint32_t waits;		/* 1 = the request has been taken and not answered */
	uint32_t answer;		/* 0, or what ring.rsp_prod is once the answer is out */
	_Atomic uint64_t since_ns;	/* CLOCK_MONOTONIC */
	vm_event_request_t request;
};

/* The consumer's side of the ring, which nobody else can write. */
struct xen_ring_state {
	RING_IDX req_cons, rsp_prod;
};

struct xen_shared {
	_Atomic uint32_t lock;		/* of the ring: 1 = taken */
	_Atomic uint32_t ring_on;	/* the monitor is enabled, its page is mapped */
	_Atomic uint32_t late;		/* 1 + the vCPU that had no answer in time, or 0 */
	_Atomic uint32_t gone;		/* the domain has ended */
	_Atomic uint32_t pauses;	/* of the domain, by this handle */
	_Atomic uint32_t altp2m;	/* views are on */
	_Atomic uint32_t reply_timeout_ms;	/* 0 = none */
	_Atomic uint64_t stepping;	/* vCPUs that single-step, as bits, */
	_Atomic uint64_t halting;	/* that have come to HLT in one step elsewhere, */
	_Atomic uint64_t resting;	/* and that step on when they have halted (halt.c) */
	_Atomic uint64_t tracing;	/* vCPUs whose packets are written, as bits */
	_Atomic uint64_t frames_gfn;	/* frames of the handle's own, and how many */
	_Atomic uint64_t frames;
	_Atomic uint32_t ring_is_own;	/* its page is one of these: no later client's to use */
	_Atomic uint64_t max_kb;	/* memory that the domain might have before them, or 0 */
	unsigned vcpus;
	struct xen_ring_state ring;
	struct xen_waiting vcpu[XEN_MAX_VCPUS];
	uint64_t msrs[XEN_MSR_GROUPS][0x2000 / 64];	/* monitored, as bits; see xen_msr_first() */
};

/* By CLOCK_MONOTONIC. */
static inline uint64_t xen_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* False once the watchdog has taken everything over. */
static inline bool xen_shared_lock(struct xen_shared *s)
{
	while (atomic_exchange_explicit(&s->lock, 1, memory_order_acquire)) {
		if (s->late || s->gone)
			return false;
		sched_yield();
	}
	return true;
}

static inline void xen_shared_unlock(struct xen_shared *s)
{
	atomic_store_explicit(&s->lock, 0, memory_order_release);
}

/*
 * MSRs that Xen can watch, in groups of 0x2000.  It would take those from 0x40000000 on,
 * too, and then die of it on SVM, whose bitmap has no place for them (BUG in 4.17).
 */
static inline uint32_t xen_msr_first(unsigned group)
{
	return group ? 0xc0000000 : 0;
}

#endif
