/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "agent/client/identity.h"
#include "agent/memory/memory_map.h"
#include "agent/qemu/qemu.h"
#include "greeting.h"
#include "host.h"
#include "options.h"

static int64_t start_time;

void kvmi_greeting_init(void)
{
	start_time = time(NULL);
}

static uint64_t end_of_ram(void)
{
	const struct memory_map *map;
	uint64_t end = 0;

	bql_lock();
	map = memory_map();
	for (uint32_t i = 0; i < map->count; i++)
		if (!map->region[i].flags)
			end = map->region[i].gpa + map->region[i].size;
	memory_map_forget();
	qemu.bql_unlock();
	return end;
}

int kvmi_greeting_send(struct kvmi_greeting *greeting, int fd)
{
	struct kvmi_handshake h = {
		.size = kvmi_options.generation == KVMI_V12 ? KVMI_HANDSHAKE_V12 : KVMI_HANDSHAKE_V7,
		.start_time = start_time,
		.max_gpa = end_of_ram(),
	};

	*greeting = (struct kvmi_greeting){ .have = 0 };
	memcpy(h.uuid, kvmi_host_uuid(), sizeof(h.uuid));
	memcpy(h.name, identity.name, strnlen(identity.name, sizeof(h.name)));
	return send(fd, &h, h.size, MSG_NOSIGNAL) == (ssize_t)h.size ? 0 : -1;
}

static int check(const struct kvmi_greeting *greeting)
{
	uint8_t hash[KVMI_HASH], differs = 0;
	bool known;

	if (!kvmi_options.key)
		return 1;
	bql_lock();
	known = kvmi_host_hash(kvmi_options.key, hash);
	qemu.bql_unlock();
	if (!known)
		return KVMI_GREETING_NO_SECRET;
	for (unsigned i = 0; i < KVMI_HASH; i++)
		differs |= hash[i] ^ greeting->answer.cookie[i];
	return differs ? KVMI_GREETING_WRONG : 1;
}

/* The bytes that are still to come: of the size first. */
static uint32_t missing(const struct kvmi_greeting *greeting)
{
	return (greeting->have < sizeof(greeting->answer.size) ?
		(uint32_t)sizeof(greeting->answer.size) : greeting->answer.size) - greeting->have;
}

int kvmi_greeting_read(struct kvmi_greeting *greeting, int fd)
{
	uint8_t bytes[512];

	for (;;) {
		uint32_t want = missing(greeting), place;
		ssize_t n;

		if (!want)
			return check(greeting);
		n = recv(fd, bytes, want < sizeof(bytes) ? want : sizeof(bytes), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return KVMI_GREETING_BROKEN;
		/* What a later one may have behind it is not looked at. */
		place = greeting->have < sizeof(greeting->answer) ?
			(uint32_t)sizeof(greeting->answer) - greeting->have : 0;
		memcpy((uint8_t *)&greeting->answer + (sizeof(greeting->answer) - place), bytes,
		       (uint32_t)n < place ? (uint32_t)n : place);
		greeting->have += (uint32_t)n;
		if (greeting->have == sizeof(greeting->answer.size) &&
		    (greeting->answer.size < sizeof(greeting->answer) ||
		     greeting->answer.size > KVMI_HANDSHAKE_MOST))
			return KVMI_GREETING_BROKEN;
	}
}
