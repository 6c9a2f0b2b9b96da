/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "events.h"

#define TYPE(code) (UINT64_C(1) << (code))
/* Loading one vCPU's stops all others for good, if theirs is not loaded, too. */
#define OF_ALL (TYPE(HVM_SAVE_CODE(CPU)) | TYPE(CPU_XSAVE_CODE))

int xen_context_get(struct xen_vm *x, struct xen_context *context)
{
	int size = xen_events_ended(x->events);

	if (size < 0)
		return size;
	size = XEN_CALL(x, xc_domain_hvm_getcontext, NULL, 0);
	*context = (struct xen_context){ .bytes = size > 0 ? malloc((size_t)size) : NULL };
	if (size <= 0)
		return xen_failed(x, "read its state");
	if (!context->bytes)
		return scry_fail(SCRY_E_NOMEM, "out of memory for a domain's state");
	size = XEN_CALL(x, xc_domain_hvm_getcontext, context->bytes, (uint32_t)size);
	if (size <= 0) {
		xen_context_free(context);
		return xen_failed(x, "read its state");
	}
	context->size = (size_t)size;
	return 0;
}

void xen_context_free(struct xen_context *context)
{
	free(context->bytes);
	context->bytes = NULL;
}

int xen_context_begin(struct xen_vm *x, struct xen_context *context)
{
	int ret = xen_hold(x->events);

	if (ret < 0)
		return ret;
	ret = xen_context_get(x, context);
	if (ret < 0)
		xen_let_go(x->events);
	return ret;
}

int xen_context_end(struct xen_vm *x, struct xen_context *context, int ret)
{
	int gone = xen_let_go(x->events);

	xen_context_free(context);
	return ret < 0 ? ret : gone;
}

/* The next record behind *at, whole; false at the end. */
static bool next_record(const struct xen_context *context, size_t *at,
			struct hvm_save_descriptor *head, unsigned char **record)
{
	size_t left = context->size - *at;

	if (left < sizeof(*head))
		return false;
	memcpy(head, context->bytes + *at, sizeof(*head));
	if (head->length > left - sizeof(*head))
		return false;
	*record = context->bytes + *at + sizeof(*head);
	*at += sizeof(*head) + head->length;
	return true;
}

void *xen_context_find(const struct xen_context *context, unsigned type, unsigned vcpu,
		       size_t *len)
{
	struct hvm_save_descriptor head;
	unsigned char *record;

	for (size_t at = 0; next_record(context, &at, &head, &record);)
		if (head.typecode == type && head.instance == vcpu) {
			*len = head.length;
			return record;
		}
	return NULL;
}

static bool is_wanted(const struct hvm_save_descriptor *head, unsigned vcpu, uint64_t types)
{
	uint64_t type = head->typecode < 64 ? TYPE(head->typecode) : 0;

	return type & (TYPE(HVM_SAVE_CODE(HEADER)) | OF_ALL) || head->typecode == 0 ||
	       (type & types && head->instance == vcpu);
}

/* Those of the records that are to be loaded. */
static int select_records(const struct xen_context *from, struct xen_context *to, unsigned vcpu,
			  uint64_t types)
{
	struct hvm_save_descriptor head;
	unsigned char *record;

	*to = (struct xen_context){ .bytes = malloc(from->size) };
	if (!to->bytes)
		return scry_fail(SCRY_E_NOMEM, "out of memory for a domain's state");
	for (size_t at = 0; next_record(from, &at, &head, &record);)
		if (is_wanted(&head, vcpu, types)) {
			size_t len = sizeof(head) + head.length;

			memcpy(to->bytes + to->size, record - sizeof(head), len);
			to->size += len;
		}
	return 0;
}

static int load(struct xen_vm *x, const struct xen_context *context)
{
	return XEN_CALL(x, xc_domain_hvm_setcontext, context->bytes, (uint32_t)context->size);
}

int xen_context_load(struct xen_vm *x, const struct xen_context *context, unsigned vcpu,
		     uint64_t types)
{
	struct xen_context now, selected = { 0 };
	int ret = xen_context_get(x, &now);

	if (ret < 0)
		return ret;
	ret = select_records(context, &selected, vcpu, types);
	if (!ret && load(x, &selected) < 0) {
		ret = errno == ESRCH ? xen_failed(x, "write its state") :
		      scry_fail(SCRY_E_REFUSED, "Xen refuses these values");
		/* A failed load leaves vCPUs stopped. */
		xen_context_free(&selected);
		if (!select_records(&now, &selected, vcpu, types))
			load(x, &selected);
	}
	xen_context_free(&selected);
	xen_context_free(&now);
	return ret;
}

int xen_record_get(struct xen_vm *x, unsigned type, unsigned vcpu, void *record, size_t size)
{
	int ret = xen_events_ended(x->events);

	memset(record, 0, size);
	if (ret < 0)
		return ret;
	if (XEN_CALL(x, xc_domain_hvm_getcontext_partial, (uint16_t)type, (uint16_t)vcpu, record,
		     (uint32_t)size) >= 0)
		return 0;
	if (errno == ENOENT || errno == ENODATA)
		return scry_fail(SCRY_E_STATE, "vCPU %u of VM %s has not been started", vcpu,
				 x->vm->name);
	return xen_failed(x, "read a vCPU's state");
}
