/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/accel.h"
#include "agent/event/arm.h"
#include "agent/event/breakpoint.h"
#include "agent/event/watchpoint.h"
#include "agent/memory/frame.h"
#include "agent/memory/memory_map.h"
#include "agent/memory/phys.h"
#include "agent/memory/view.h"
#include "agent/pt/pt.h"
#include "agent/vcpu/vcpu.h"
#include "area.h"
#include "client.h"
#include "message.h"
#include "slot_client.h"

static int answer_value(int fd, uint32_t type, uint64_t value)
{
	struct scry_agent_value v = { .header.type = type, .value = value };

	return message_send(fd, &v, sizeof(v), NULL, 0);
}

/* Take the map, with the files behind it, which stay QEMU's own. */
static uint32_t take_map(struct scry_agent_map *reply, int *files, bool *too_many)
{
	const struct memory_map *map;

	bql_lock();
	map = memory_map();
	*too_many = map->too_many;
	reply->count = map->count;
	reply->life = area_life();
	memcpy(reply->region, map->region, sizeof(reply->region));
	reply->files = memory_map_files(map, reply->region, files);
	qemu.bql_unlock();
	return reply->files;
}

static int do_map(int fd)
{
	struct scry_agent_map reply = { .header.type = SCRY_AGENT_MAP };
	int files[SCRY_AGENT_FILES];
	bool too_many;
	uint32_t count = take_map(&reply, files, &too_many);

	if (too_many)
		return message_fail(fd, SCRY_AGENT_MAP, SCRY_E_UNSUPPORTED, "the VM's memory map has "
				    "more regions than this agent can tell of");
	return message_send(fd, &reply, sizeof(reply), files, count);
}

/* Can the largest region be mapped by the client? */
static bool ram_is_shared(void)
{
	struct scry_agent_map map;
	int files[SCRY_AGENT_FILES];
	bool too_many;
	uint32_t largest = 0;

	take_map(&map, files, &too_many);
	for (uint32_t i = 1; i < map.count; i++)
		if (map.region[i].size > map.region[largest].size)
			largest = i;
	return map.count && map.region[largest].file >= 0;
}

static int do_caps(int fd)
{
	struct scry_agent_caps caps = { .header.type = SCRY_AGENT_CAPS };

	for (int i = 0; i < SCRY_CAP_COUNT; i++)
		caps.cap[i].supported = 1;
	accel->caps(&caps);
	if (!ram_is_shared()) {
		caps.cap[SCRY_CAP_RAM_MAP].supported = 0;
		snprintf(caps.cap[SCRY_CAP_RAM_MAP].reason, sizeof(caps.cap[0].reason),
			 "guest RAM is private to QEMU: use scry run, or -object "
			 "memory-backend-memfd,id=ram,size=SIZE,share=on -machine memory-backend=ram");
	}
	return message_send(fd, &caps, sizeof(caps), NULL, 0);
}

static int do_memory(int fd, const struct scry_agent_memory *request, size_t len)
{
	static _Alignas(struct scry_agent_memory)
		uint8_t buffer[sizeof(struct scry_agent_memory) + SCRY_AGENT_CHUNK];
	struct scry_agent_memory *copy = (struct scry_agent_memory *)buffer;
	bool write = request->header.type == SCRY_AGENT_WRITE;
	char text[160];
	int status;

	if (len < sizeof(*request) || request->len > SCRY_AGENT_CHUNK ||
	    len != sizeof(*request) + (write ? request->len : 0))
		return -1;
	*copy = (struct scry_agent_memory){ .header.type = request->header.type,
					    .gpa = request->gpa, .len = request->len };
	if (write)
		memcpy(copy->data, request->data, request->len);
	status = phys_access(request->gpa, copy->data, request->len, write, text, sizeof(text));
	if (status)
		return message_fail(fd, request->header.type, status, text);
	return message_send(fd, copy, sizeof(*copy) + (write ? 0 : request->len), NULL, 0);
}

/* A copy of the filters in force, to be changed and armed. */
static struct filters *copy_filters(void)
{
	struct filters *new = calloc(1, sizeof(*new));

	if (new && arm_filters())
		*new = *arm_filters();
	return new;
}

static void rearm(struct filters *filters)
{
	filters->kinds = 0;
	for (unsigned i = 0; i < filters->count; i++)
		filters->kinds |= 1u << filters->entry[i].sub.kind;
	if (!filters->count) {
		free(filters);
		filters = NULL;
	}
	arm(filters);
}

static int do_subscribe(int fd, const struct scry_agent_subscribe *request, size_t len)
{
	static int number;
	const char *why = NULL;
	struct filters *new;
	char text[160];
	int status;

	if (len != sizeof(*request))
		return -1;
	status = filter_check(&request->sub, vcpu_count, text, sizeof(text));
	if (status)
		return message_fail(fd, SCRY_AGENT_SUBSCRIBE, status, text);
	if (accel->subscription_lacks)
		why = accel->subscription_lacks(&request->sub);
	if (why)
		return message_fail(fd, SCRY_AGENT_SUBSCRIBE, SCRY_E_REFUSED, why);
	new = copy_filters();
	if (!new || new->count == SCRY_AGENT_SUBS) {
		free(new);
		return message_fail(fd, SCRY_AGENT_SUBSCRIBE, SCRY_E_NOMEM,
				    "too many subscriptions at a time: remove some first");
	}
	number = number == INT32_MAX ? 1 : number + 1;
	new->entry[new->count].number = number;
	new->entry[new->count++].sub = request->sub;
	rearm(new);
	return answer_value(fd, SCRY_AGENT_SUBSCRIBE, (uint64_t)number);
}

static int do_unsubscribe(int fd, const struct scry_agent_value *request)
{
	struct filters *new = copy_filters();

	for (unsigned i = 0; new && i < new->count; i++) {
		if ((uint64_t)new->entry[i].number != request->value)
			continue;
		new->entry[i] = new->entry[--new->count];
		rearm(new);
		return answer_value(fd, SCRY_AGENT_UNSUBSCRIBE, request->value);
	}
	free(new);
	return message_fail(fd, SCRY_AGENT_UNSUBSCRIBE, SCRY_E_NOTFOUND,
			    "there is no subscription of this number");
}

static int do_vcpu(int fd, const struct scry_agent_value *request)
{
	if (request->value >= vcpu_count)
		return message_fail(fd, request->header.type, SCRY_E_INVAL, "there is no such vCPU");
	if (request->header.type == SCRY_AGENT_GO)
		slot_client_go(&vcpus[request->value]);
	else if (slot_client_stop(&vcpus[request->value]) < 0)
		return message_fail(fd, request->header.type, SCRY_E_STATE,
				    "this vCPU has been unplugged: attach anew");
	return answer_value(fd, request->header.type, request->value);
}

/* value: 0 = create one, else the frame to destroy. */
static int do_frame(int fd, uint64_t value)
{
	uint64_t gfn;

	if (value && !frame_destroy(value))
		return message_fail(fd, SCRY_AGENT_FRAME, SCRY_E_NOTFOUND,
				    "there is no such frame of this handle's own");
	gfn = value ? value : frame_create();
	if (!gfn)
		return message_fail(fd, SCRY_AGENT_FRAME, SCRY_E_NOMEM,
				    "no more frames can be made: destroy some first");
	return answer_value(fd, SCRY_AGENT_FRAME, gfn);
}

static int do_value(int fd, const struct scry_agent_value *request, size_t len)
{
	if (len != sizeof(*request))
		return -1;
	switch (request->header.type) {
	case SCRY_AGENT_STOP:
	case SCRY_AGENT_GO:
		return do_vcpu(fd, request);
	case SCRY_AGENT_CLOCKS:
		client_clocks(request->value);
		return answer_value(fd, SCRY_AGENT_CLOCKS, request->value);
	case SCRY_AGENT_FRAME:
		return do_frame(fd, request->value);
	default:
		return do_unsubscribe(fd, request);
	}
}

int client_request(int fd, const void *message, size_t len)
{
	const struct scry_agent_header *header = message;

	if (len < sizeof(*header))
		return -1;
	switch (header->type) {
	case SCRY_AGENT_CAPS:
		return len == sizeof(*header) ? do_caps(fd) : -1;
	case SCRY_AGENT_MAP:
		return len == sizeof(*header) ? do_map(fd) : -1;
	case SCRY_AGENT_READ:
	case SCRY_AGENT_WRITE:
		return do_memory(fd, message, len);
	case SCRY_AGENT_SUBSCRIBE:
		return do_subscribe(fd, message, len);
	case SCRY_AGENT_VIEW:
		return view_request(fd, message, len);
	case SCRY_AGENT_PT:
		return pt_request(fd, message, len);
	case SCRY_AGENT_BREAKPOINT:
		return breakpoint_request(fd, message, len);
	case SCRY_AGENT_WATCHPOINT:
		return watchpoint_request(fd, message, len);
	case SCRY_AGENT_STOP:
	case SCRY_AGENT_GO:
	case SCRY_AGENT_CLOCKS:
	case SCRY_AGENT_UNSUBSCRIBE:
	case SCRY_AGENT_FRAME:
		return do_value(fd, message, len);
	default:
		return -1;
	}
}
