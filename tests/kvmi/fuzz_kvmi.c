/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver against a kernel whose messages have parts overwritten by the fuzzer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t take(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

/* Which of the next messages, where in it, and what then stands there. */
static void patch(struct peer *p, struct kvmi_header *header, uint8_t *payload)
{
	struct input *in = p->opaque;
	uint8_t how = take(in);

	for (unsigned n = how & 0x80 ? how & 3 : 0; n; n--) {
		size_t at = (take(in) | take(in) << 8) % (sizeof(*header) + header->size + 8u);

		if (at < sizeof(*header))
			((uint8_t *)header)[at] = take(in);
		else
			payload[at - sizeof(*header)] = take(in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dir[] = "/tmp/scry-kvmi-XXXXXX", path[80];
	struct input in = { data, size };
	struct peer p = { .spoil = patch, .opaque = &in };
	unsigned before;

	if (!path[0]) {
		if (!mkdtemp(dir))
			abort();
		snprintf(path, sizeof(path), "%s/sock", dir);
	}
	before = hostile_descriptors();
	hostile_session(&p, take(&in) & 1 ? KVMI_V12 : KVMI_V7, path, HOSTILE_TIMEOUT_MS,
			NULL);
	if (hostile_descriptors() != before)
		abort();
	rmdir(dir);
	path[0] = 0;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	return 0;
}
