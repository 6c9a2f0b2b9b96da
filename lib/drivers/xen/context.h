/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_CONTEXT_H
#define SCRY_XEN_CONTEXT_H

#include "xen.h"

#include <xen/hvm/save.h>

/* A domain's state as Xen saves it: records, each of a type and of a vCPU. */
struct xen_context {
	unsigned char *bytes;
	size_t size;
};

/* Longest record: the XSAVE area with all that processors have. */
#define XEN_RECORD_MAX 16384u

int xen_context_get(struct xen_vm *x, struct xen_context *context);
void xen_context_free(struct xen_context *context);

/*
 * The same, to be changed and loaded.  A load puts every vCPU back to where it was at
 * the get, so the domain is paused between the two, whoever else has paused it or not.
 */
int xen_context_begin(struct xen_vm *x, struct xen_context *context);
int xen_context_end(struct xen_vm *x, struct xen_context *context, int ret);

/* A vCPU's record, to be read or changed in place, and its length; NULL if there is none. */
void *xen_context_find(const struct xen_context *context, unsigned type, unsigned vcpu,
		       size_t *len);

/*
 * With the domain paused since the get (xen_context_begin()): Xen pauses it only inside
 * each of the two calls.  Load of the context what a vCPU's registers are, and those of
 * its records whose type is in the mask.  SCRY_E_REFUSED, with nothing changed, if Xen does not accept that.
 */
int xen_context_load(struct xen_vm *x, const struct xen_context *context, unsigned vcpu,
		     uint64_t types);

/* One record; what is longer than it, is 0. */
int xen_record_get(struct xen_vm *x, unsigned type, unsigned vcpu, void *record, size_t size);

#endif
