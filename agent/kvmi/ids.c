/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ids.h"
#include "options.h"

#define V7_EVENTS 14	/* event numbers of v7 are below */

static const struct {
	int16_t id[2];		/* by generation */
	bool vcpus;
} commands[] = {
#define COMMAND(NAME, class, v7, v12) { { v7, v12 }, (class) == KVMI_VCPU },
	KVMI_COMMANDS(COMMAND)
};

static const int16_t events[][2] = {
#define EVENT(NAME, v7, v12) { v7, v12 },
	KVMI_EVENTS(EVENT)
};

/* Later kernels of the branch have them, whose source is not known. */
static bool is_later(enum kvmi_command command)
{
	switch (command) {
	case KVMI_GET_NEXT_GFN:
	case KVMI_QUERY_PHYSICAL:
	case KVMI_CREATE_EPT_VIEW:
	case KVMI_DESTROY_EPT_VIEW:
	case KVMI_ALLOC_GFN:
	case KVMI_FREE_GFN:
		return true;
	default:
		return false;
	}
}

int kvmi_command_of(enum kvmi_generation generation, uint16_t id)
{
	for (int i = 0; i < KVMI_COMMAND_COUNT; i++)
		if (commands[i].id[generation] == id && !is_later((enum kvmi_command)i))
			return i;
	return KVMI_NONE;
}

int kvmi_event_of(enum kvmi_generation generation, uint16_t id)
{
	for (int i = 0; i < KVMI_EVENT_COUNT; i++)
		if (events[i][generation] == id)
			return i;
	return KVMI_NONE;
}

uint16_t kvmi_event_id(enum kvmi_generation generation, enum kvmi_event event)
{
	return (uint16_t)events[event][generation];
}

bool kvmi_is_vcpus(enum kvmi_command command)
{
	return commands[command].vcpus;
}

bool kvmi_is_vm_event(enum kvmi_event event)
{
	return event == KVMI_EVENT_UNHOOK || event == KVMI_EVENT_CREATE_VCPU;
}

bool kvmi_command_allowed(enum kvmi_command command)
{
	switch (command) {
	case KVMI_GET_VERSION:
	case KVMI_CHECK_COMMAND:
	case KVMI_CHECK_EVENT:
		return true;
	case KVMI_SET_PAGE_WRITE_BITMAP:	/* the kernel has forgotten to allow it */
		return false;
	default:
		return !kvmi_options.command.listed || kvmi_options.command.named[command];
	}
}

bool kvmi_event_allowed(enum kvmi_event event)
{
	return !kvmi_options.event.listed || kvmi_options.event.named[event];
}

int kvmi_check_command(enum kvmi_generation generation, uint16_t id)
{
	int command = kvmi_command_of(generation, id);

	if (command != KVMI_NONE)
		return kvmi_command_allowed((enum kvmi_command)command) ? 0 : -KVMI_EPERM;
	if (generation == KVMI_V12)
		return -KVMI_ENOENT;
	return id < KVMI_V7_IDS ? -KVMI_EPERM : -KVMI_EINVAL;
}

int kvmi_check_event(enum kvmi_generation generation, uint16_t id)
{
	int event = kvmi_event_of(generation, id);

	if (event != KVMI_NONE)
		return kvmi_event_allowed((enum kvmi_event)event) ? 0 : -KVMI_EPERM;
	if (generation == KVMI_V12)
		return -KVMI_ENOENT;
	return id < V7_EVENTS ? -KVMI_EPERM : -KVMI_EINVAL;
}
