/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_KVMI_REQUEST_USE_H
#define SCRY_TEST_KVMI_REQUEST_USE_H

#include "agent/kvmi/request.h"

static inline unsigned sum_of(const uint8_t *bytes, size_t size)
{
	unsigned sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += bytes[i];
	return sum;
}

/* Read all that a request that was found right points to, for the sanitizer to see. */
static inline unsigned request_use(const struct kvmi_request *r)
{
	struct kvmi_page_access_entry entry;
	unsigned sum = 0;

	switch (r->command) {
	case KVMI_WRITE_PHYSICAL:
		return sum_of(r->physical.data, r->physical.size);
	case KVMI_SET_PAGE_ACCESS:
		for (unsigned i = 0; i < r->access.count; i++)
			sum += (unsigned)kvmi_access_take(r->access.entries, i, &entry);
		return sum;
	case KVMI_GET_REGISTERS:
		return sum_of(r->msrs.indexes, r->msrs.count * sizeof(uint32_t));
	case KVMI_SET_XSAVE:
		return sum_of(r->xsave, r->size);
	default:
		return 0;
	}
}

#endif
