/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DRIVER_XEN_H
#define SCRY_DRIVER_XEN_H

#include "../../driver.h"
#include "libraries.h"
#include "lost.h"
#include "trace_ring.h"
#include "watchdog.h"

extern const struct scry_driver scry_driver_xen;

/* Xen as a client of it holds it: libraries, and the handles that they gave. */
struct xen_host {
	struct xen_libraries libraries;
	xc_interface *xc;
	struct xs_handle *store;	/* NULL where xenstored does not run */
};

/* What lasts of xen_domctl_getdomaininfo from release to release. */
struct xen_domain {
	uint32_t id, flags;		/* XEN_DOMINF_* */
	uint64_t pages;
	unsigned vcpus;			/* that it may have */
};

/*
 * A run of populated frames, and room for it in this process, where it is mapped in
 * parts, as they are asked for.
 */
struct xen_area {
	struct xen_area *next;		/* by descending gfn; then those of earlier maps */
	uint64_t gfn, count, room;	/* room: frames that host has addresses for */
	unsigned char *host;
	uint64_t *mapped, *absent;	/* a bit for each part, and each frame that cannot be */
	bool stale;			/* of an earlier map: private memory in its place */
};

struct xen_vm {
	struct scry_vm *vm;
	struct xen_host host;
	xenforeignmemory_handle *memory;
	uint32_t domid;
	bool is_down;			/* it had shut down, but is kept */
	struct xen_area *areas;
	unsigned reached;		/* how often more of this map was mapped */
	uint64_t life;			/* of the memory map; 0 = ended, as events are */

	pthread_mutex_t pause_lock;	/* the domain's pause, for all vCPUs stopped */
	uint64_t stopped;		/* vCPUs, as bits */
	uint64_t injecting;		/* those with an injection to come */
	struct scry_injection injection[SCRY_MAX_VCPUS];

	struct xen_trace {		/* pt.c: a vCPU's packets */
		xenforeignmemory_resource_handle *resource;
		struct xen_trace_ring ring;
	} trace[SCRY_MAX_VCPUS];

	struct xen_watchdog watchdog;
	struct xen_events *events;	/* events.h */
	pthread_t watcher;		/* watch.c */
	bool watching;
	int watch_end;			/* eventfd: ends the watcher */
	uint64_t vanish_due_ns;		/* the watcher's: when to look at what is mapped, */
	unsigned vanish_turn;		/* and at which part of it */
	uint64_t lost_due_ns;		/* the same of what is trapped */
	struct xen_turn lost_turn;
	bool again;			/* the traps are to be set again, */
	uint64_t again_due_ns;		/* and when */
};

static inline struct xen_vm *xen_of(struct scry_vm *vm)
{
	return vm->driver_data;
}

/* Of the library's function of that name. */
#define XEN_CALL(x, name, ...) ((x)->host.libraries.name((x)->host.xc, (x)->domid, ##__VA_ARGS__))

/* domain.c */
int xen_host_open(struct xen_host *host);
void xen_host_close(struct xen_host *host);
/* The domain of that number, or the next there is: 1; 0 = none; or a failure. */
int xen_domain_next(struct xen_host *host, uint32_t first, struct xen_domain *domain);
/* By a number or a name. */
int xen_domain_find(struct xen_host *host, const char *address, struct xen_domain *domain);
/* Its name, or "domain 7": the caller's to free(); NULL = out of memory. */
char *xen_domain_name_whole(struct xen_host *host, uint32_t id);
/* The same, as far as it fits, and fit to be printed. */
void xen_domain_name(struct xen_host *host, uint32_t id, char *name, size_t size);
void xen_host_version(struct xen_host *host, char *text, size_t size);

/* list.c */
int xen_list(scry_list_fn fn, void *opaque);

/* populated.c: which guest frames there are; ascending ranges, free() them. */
struct xen_range {
	uint64_t gfn, count;
};
int xen_populated(struct xen_vm *x, struct xen_range **ranges, size_t *count);
/* By xc_get_pfn_type_batch()'s answer. */
bool xen_frame_is_there(xen_pfn_t type);

/* map.c */
/* The memory map is another one from now on; or there is none any more. */
void xen_life_step(struct xen_vm *x);
void xen_life_end(struct xen_vm *x);
int xen_map(struct scry_vm *vm);
int xen_reach(struct scry_vm *vm, uint64_t gpa, size_t len);

/* memory.c */
int xen_write(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len);

/* pause.c */
int xen_vcpu_stop(struct scry_vm *vm, unsigned vcpu);
int xen_vcpu_go(struct scry_vm *vm, unsigned vcpu);

/* regs.c, msr.c, xsave.c, inject.c: of a vCPU that does not run */
int xen_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs);
int xen_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask);
int xen_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value);
int xen_msr_set(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value);
int xen_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size);
int xen_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size);
int xen_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection);
int xen_inject_pending(struct xen_vm *x);	/* the vCPUs are about to go on */

/* pt.c */
void xen_pt_caps(struct xen_vm *x);
void xen_pt_free(struct xen_vm *x);
int xen_pt_start(struct scry_vm *vm, const struct scry_pt_opts *opts);
int64_t xen_pt_read(struct scry_vm *vm, unsigned vcpu, void *buf, size_t len);
int xen_pt_stop(struct scry_vm *vm);

/* vanished.c: has one of the frames whose turn it is gone, and is mapped here? */
bool xen_any_vanished(struct xen_vm *x, unsigned *turn);

/* watch.c: note when the domain ends, or its pages change. */
int xen_watch_start(struct xen_vm *x);
void xen_watch_stop(struct xen_vm *x);

/* What the last call to Xen says in errno, as a failure to do `what`. */
int xen_failed(struct xen_vm *x, const char *what);

#endif
