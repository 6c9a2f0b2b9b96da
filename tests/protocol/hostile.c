/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "hostile.h"

static void spoil(struct endpoint *e, struct packet *reply)
{
	struct hostile *h = e->opaque;

	if (h->how && reply->header.type == h->spoil_type)
		h->how(reply);
}

int hostile_start(void **state)
{
	struct hostile *h = calloc(1, sizeof(*h));

	if (!h)
		return -1;
	h->endpoint.vcpus = 2;
	h->endpoint.opaque = h;
	h->endpoint.spoil = spoil;
	endpoint_start(&h->endpoint);
	*state = h;
	return 0;
}

int hostile_end(void **state)
{
	struct hostile *h = *state;

	scry_close(h->vm);
	endpoint_end(&h->endpoint);
	free(h);
	return 0;
}

void hostile_open(struct hostile *h)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = TIMEOUT_MS };

	assert_ok(scry_open(&h->vm, h->endpoint.uri, &opts));
}

void hostile_spoil(struct hostile *h, uint32_t type, void (*how)(struct packet *reply))
{
	h->spoil_type = type;
	h->how = how;
}
