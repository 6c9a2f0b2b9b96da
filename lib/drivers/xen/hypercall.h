/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_HYPERCALL_H
#define SCRY_XEN_HYPERCALL_H

/*
 * The hypercalls of events, views and pauses, made on privcmd itself and not by
 * libxenctrl: the watchdog is a child that shares its parent's memory as it was
 * when it was born, in which only what is async-signal-safe may be called, and
 * libxenctrl has no call for some of them.  All but the mutex is safe there.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* It defines __XEN_TOOLS__, which the other headers ask for. */
#include <xenctrl.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>
#include <xen/vm_event.h>

#define XEN_PAGE_SIZE 4096u

/* What one call can pass in a list. */
#define XEN_HYPER_LIST 8192u

struct xen_hyper {
	int privcmd;
	unsigned domid;
	uint32_t domctl_version;	/* that this Xen understands */
	unsigned char *buffer;		/* memory that Xen can reach: the argument, then a list */
	pthread_mutex_t lock;		/* of the buffer */
};

/* Each returns 0 or a positive result, or -errno. */
int xen_hyper_open(struct xen_hyper *h, unsigned domid);
void xen_hyper_close(struct xen_hyper *h);

/* Fills in domain and version; *op is what Xen left of it. */
int xen_hyper_domctl(struct xen_hyper *h, struct xen_domctl *op);
/* The same, op and nothing else to say. */
int xen_hyper_domctl_plain(struct xen_hyper *h, uint32_t cmd);

int xen_hyper_altp2m(struct xen_hyper *h, struct xen_hvm_altp2m_op *op);
/* What `count` guest frames of a view let through, up to XEN_HYPER_ACCESSES. */
#define XEN_HYPER_ACCESSES 512u
int xen_hyper_altp2m_access(struct xen_hyper *h, unsigned view, const uint64_t *gfns,
			    const uint8_t *accesses, uint32_t count);

int xen_hyper_param_get(struct xen_hyper *h, uint32_t index, uint64_t *value);
int xen_hyper_param_set(struct xen_hyper *h, uint32_t index, uint64_t value);

/* XENMEM_populate_physmap or XENMEM_decrease_reservation of one frame. */
int xen_hyper_frame(struct xen_hyper *h, unsigned cmd, uint64_t gfn);

/* Map a guest frame, read-write, at an address that the caller reserved. */
int xen_hyper_map(struct xen_hyper *h, uint64_t gfn, void *at);

struct xen_injected {
	uint8_t vector, type;		/* XEN_DMOP_EVENT_... */
	uint8_t insn_len;
	uint32_t error_code;		/* ~0 = none */
	uint64_t cr2;
};

int xen_hyper_inject(struct xen_hyper *h, unsigned vcpu, const struct xen_injected *injected);
/* An interrupt to its local APIC, as a device's message. */
int xen_hyper_interrupt(struct xen_hyper *h, unsigned vcpu, uint8_t vector);

/* How it runs; one that Xen does not tell of has halted. */
struct xen_domctl_getvcpuinfo xen_hyper_vcpu(struct xen_hyper *h, unsigned vcpu);
/* One record of its state, up to XEN_HYPER_LIST bytes. */
int xen_hyper_record(struct xen_hyper *h, unsigned type, unsigned vcpu, void *record, size_t size);

#endif
