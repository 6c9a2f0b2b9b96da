/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_EVENTS_H
#define SCRY_XEN_EVENTS_H

#include "../../driver.h"
#include "breakpoints.h"
#include "frames.h"
#include "insn.h"
#include "ring.h"
#include "views.h"
#include "xen.h"

#define XEN_SUBSCRIPTIONS 256

struct xen_sub {
	int number;			/* 0 = free */
	uint64_t steps;			/* of STEP with a count: so many instructions so far */
	struct scry_subscription sub;
};

/* halt.c: what has been seen of a vCPU that may halt while it steps. */
struct xen_halt {
	uint64_t time_ns;		/* that it had run at the last look */
	bool halted;			/* at that look; once, of one that rests */
	bool ran;			/* since it steps */
};

/* One vCPU's events. */
struct xen_vcpu {
	pthread_mutex_t lock;
	_Atomic uint64_t pending;	/* sequence of the event that waits for its reply, or 0 */
	uint64_t sequence;		/* of the last */
	struct scry_event event;	/* as delivered */
	struct xen_insn insn;		/* that it is about */
	bool ready;			/* not yet given to the client */
	/* Told of and to be executed once more: then it is no event. */
	uint32_t pass_reason;
	uint16_t pass_idx;		/* the altp2m in which it is to be */
	uint64_t pass_rip;
	/* Written while the event waits; go with the reply. */
	uint64_t keep;
	struct scry_regs kept;
	bool inject;			/* the same */
	struct scry_exception injection;
	/* Xen is to tell of what it injects next; 1 + the vector of an injection of ours, or 0. */
	_Atomic bool next;
	_Atomic uint32_t own;
	/* The views: where it belongs, and what it is to be switched to at its next step. */
	unsigned view;
	bool moves;
	uint64_t refresh;		/* 1 + the frame whose shadow is to follow then, or 0 */
	struct scry_as *as;		/* to fetch code */
	struct xen_halt halt;
};

/* What Xen has been asked to tell of. */
struct xen_armed {
	bool on[16];			/* by XEN_DOMCTL_MONITOR_EVENT_... */
	bool next;			/* what Xen injects, asked for with each answer */
	bool cr[4];			/* by VM_EVENT_X86_... */
	uint64_t cr_ignore[4];		/* bits whose change is none */
};

/* The thread that looks at the ring while the client does not: keeper.c. */
struct xen_keeper {
	pthread_t thread;
	bool on;
	int end_fd;			/* eventfd: ends it */
	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t left;		/* no thread waits for events any more, or the end */
	unsigned waiting;		/* threads that do */
	uint64_t waits;			/* how often any began or ended to */
	bool end;
};

struct xen_events {
	struct scry_vm *vm;
	struct xen_hyper hyper;
	struct xen_watchdog *watchdog;	/* the handle's */
	uint32_t monitor_caps;		/* bits by XEN_DOMCTL_MONITOR_EVENT_... */
	void *page;			/* the ring's, or NULL */
	int evtchn;
	uint32_t port;			/* our end of the event channel */
	int bell;			/* eventfd: a thread has found an event for another */
	int epoll;			/* watches evtchn, bell and the watchdog */
	bool times;
	bool orphan;			/* the watchdog has been killed */
	unsigned first;			/* vCPU whose second event is looked for first */
	pthread_mutex_t lock;		/* subscriptions, what is armed, views, breakpoints */
	struct xen_sub sub[XEN_SUBSCRIPTIONS];
	struct xen_armed armed;
	struct xen_views views;
	struct xen_keeper keeper;
	struct xen_breakpoints breakpoints;
	unsigned char *frame_memory;	/* XEN_FRAMES pages, or NULL */
	uint8_t frame_used[XEN_FRAMES];
	unsigned client_frames;
	struct xen_vcpu vcpu[XEN_MAX_VCPUS];
};

#define XEN_EPOLL_WATCHDOG 1u

static inline struct xen_events *xen_events_of(struct scry_vm *vm)
{
	return xen_of(vm)->events;
}

/* open.c: begin, beside the watchdog; end, when that has undone everything. */
int xen_events_open(struct scry_vm *vm);
void xen_events_close(struct scry_vm *vm);
/* A failure with its sentence if the domain, or the time, or the watchdog, has ended; else 0. */
int xen_events_ended(struct xen_events *e);
/* The domain's vCPUs stand still between the two, and go on if this process dies. */
int xen_hold(struct xen_events *e);
int xen_let_go(struct xen_events *e);
/* The ring, made at the first need. */
int xen_ring_open(struct xen_events *e);

/* keeper.c: it begins with the ring; it rests while a thread waits for events. */
int xen_keeper_start(struct xen_events *e);
void xen_keeper_stop(struct xen_events *e);
void xen_keeper_rests(struct xen_events *e, bool rests);

/* caps_events.c */
void xen_events_caps(struct xen_events *e);

/* arm.c: with e->lock held. */
int xen_arm(struct xen_events *e);

/* filter.c: with e->lock held. */
bool xen_filter(struct xen_events *e, const struct scry_event *event);
bool xen_wanted(const struct xen_events *e, enum scry_event_kind kind);

/* describe.c: false if it is nothing that an event tells of. */
bool xen_describe(struct xen_events *e, struct xen_vcpu *v, const vm_event_request_t *r,
		  struct scry_event *event);

/* reply.c: with v->lock held. */
struct xen_answer {
	enum scry_action action;
	uint64_t set;			/* general registers, rip and rflags */
	const struct scry_regs *regs;
	const struct scry_exception *exception;
	uint32_t flags, view;
};

int xen_answer(struct xen_events *e, unsigned vcpu, const struct xen_answer *answer);
/* It is no event of the client's: answered in any case. */
void xen_pass(struct xen_events *e, unsigned vcpu);
void xen_notify(struct xen_events *e);

/* inject.c: 0, or a failure: SCRY_E_STATE if an injection is pending. */
int xen_inject_exception(struct xen_events *e, unsigned vcpu, const struct scry_exception *x);
int xen_inject_event(struct xen_events *e, unsigned vcpu, const struct xen_injected *injected);
bool xen_has_error_code(uint32_t vector);

/* events.c: operations of the driver. */
/* Have the event channel tell again of what comes from now on. */
void xen_drain_port(struct xen_events *e);
/* With e->lock held: look at all that is in the ring. */
void xen_pump(struct xen_events *e);
void xen_ring_bell(struct xen_events *e);
int xen_subscribe(struct scry_vm *vm, const struct scry_subscription *sub);
int xen_unsubscribe(struct scry_vm *vm, int subscription);
int xen_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms);
void xen_event_times(struct scry_vm *vm, bool on);
int xen_event_fd(struct scry_vm *vm);
int xen_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply);
bool xen_vcpu_waits(struct scry_vm *vm, unsigned vcpu);

/*
 * held.c: a vCPU that waits in an event has registers that Xen will give it, and
 * some that it has already.  Show it as it is in the event's eyes; take over those
 * of the registers to write that go with the reply, and return the others; the same
 * with an exception.  Nothing happens to a vCPU that waits in none.
 */
void xen_held_show(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs);
uint64_t xen_held_keep(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs,
		       uint64_t mask);
bool xen_held_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_exception *exception);

/* Of the driver's other half: as xen_regs_set(), whatever the vCPU waits for. */
int xen_regs_write(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs,
		   uint64_t mask);
/* What Xen is about to inject into a vCPU that does not run is not to be. */
int xen_drop_pending(struct scry_vm *vm, unsigned vcpu);

#endif
