/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_LIBRARIES_H
#define SCRY_XEN_LIBRARIES_H

/*
 * Xen's libraries as this host has them, loaded when a domain is opened, so that
 * one build serves hosts without Xen and with one of several releases.
 */
#include <stdbool.h>

/* First: it defines __XEN_TOOLS__, which the other headers ask for. */
#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

/* libxenctrl has it in every release, its header in none. */
int xc_get_pfn_type_batch(xc_interface *xc, uint32_t domain, unsigned count, xen_pfn_t *types);

/* What is called of each library. */
#define XEN_CTRL_FUNCTIONS(X) \
	X(xc_interface_open) \
	X(xc_interface_close) \
	X(xc_version) \
	X(xc_physinfo) \
	X(xc_vmtrace_output_position) \
	X(xc_domain_getinfolist) \
	X(xc_domain_maximum_gpfn) \
	X(xc_domain_pause) \
	X(xc_domain_unpause) \
	X(xc_get_pfn_type_batch) \
	X(xc_domain_hvm_getcontext) \
	X(xc_domain_hvm_getcontext_partial) \
	X(xc_domain_hvm_setcontext) \
	X(xc_domain_send_trigger)
#define XEN_MEMORY_FUNCTIONS(X) \
	X(xenforeignmemory_open) \
	X(xenforeignmemory_close) \
	X(xenforeignmemory_map2) \
	X(xenforeignmemory_unmap) \
	X(xenforeignmemory_resource_size) \
	X(xenforeignmemory_map_resource) \
	X(xenforeignmemory_unmap_resource)
#define XEN_STORE_FUNCTIONS(X) \
	X(xs_open) \
	X(xs_close) \
	X(xs_read)

struct xen_libraries {
	int minor;			/* of the release that runs, 4.minor */
	void *ctrl_handle, *memory_handle, *store_handle;
#define XEN_FUNCTION(name) __typeof__(name) *name;
	XEN_CTRL_FUNCTIONS(XEN_FUNCTION)
	XEN_MEMORY_FUNCTIONS(XEN_FUNCTION)
	XEN_STORE_FUNCTIONS(XEN_FUNCTION)	/* NULL where there is no libxenstore */
#undef XEN_FUNCTION
};

/* Is this a dom0? */
bool xen_is_here(void);

/*
 * Load those of the Xen that runs.  SCRY_E_UNSUPPORTED with a sentence: no Xen
 * here, one of an unknown release, or a library that is not installed.
 */
int xen_load(struct xen_libraries *libraries);
void xen_unload(struct xen_libraries *libraries);

/* For their handles: what goes wrong is told by scry_errmsg(), and not on stderr. */
extern struct xentoollog_logger xen_silence;

#endif
