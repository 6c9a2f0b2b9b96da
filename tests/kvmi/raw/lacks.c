/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Under KVM the server has not all events: the tests of those are skipped, by name. */
#include <stdio.h>
#include <string.h>

#include "tool.h"

static const struct {
	const char *test;
	enum kvmi_event event;
	const char *what;
} needs[] = {
	{ "cr", KVMI_EVENT_CR, "CR" },
	{ "cr3", KVMI_EVENT_CR, "CR" },
	{ "xsetbv", KVMI_EVENT_XSETBV, "XSETBV" },
	{ "breakpoint", KVMI_EVENT_BREAKPOINT, "BREAKPOINT (TCG's SVM does not intercept INT3)" },
	{ "descriptor", KVMI_EVENT_DESCRIPTOR, "DESCRIPTOR" },
	{ "hypercall", KVMI_EVENT_HYPERCALL, "HYPERCALL" },
	{ "cpuid-event", KVMI_EVENT_CPUID, "CPUID" },
};

bool tool_skips(const struct tool *t, const struct test *test)
{
	const char *what = NULL;

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (strcmp(test->name, needs[i].test) == 0 && tool_lacks(t, needs[i].event))
			what = needs[i].what;
	if (what)
		printf("skip %s: stock KVM does not have the event %s\n", test->name, what);
	else if (t->lacks && t->vcpus < 2 && strcmp(test->name, "pause-all") == 0)
		printf("skip %s: this VM has one vCPU\n", test->name);
	else
		return false;
	return true;
}

int tool_find_lacks(struct tool *t)
{
	/* KVM itself has this one; the processor that is emulated for it does not. */
	t->lacks = 1u << KVMI_EVENT_BREAKPOINT;
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		enum kvmi_event event = needs[i].event;
		int err;

		if (tool_lacks(t, event) || tool_event_id(t, event) == (uint16_t)KVMI_NONE)
			continue;
		err = tool_control(t, 0, event, true);
		CHECK(t, err == 0 || err == -KVMI_EOPNOTSUPP, "an event cannot be asked for: %d", err);
		if (err)
			t->lacks |= 1u << event;
		else
			EXPECT(t, 0, tool_control(t, 0, event, false));
	}
	return 0;
}
