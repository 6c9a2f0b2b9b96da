/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>

#include "attach.h"
#include "common/message.h"
#include "protocol/futex.h"

#define PATIENCE_NS UINT64_C(120000000000)	/* on a host that is very busy */
#define TICK_US     1000

/* As QEMU has it: whatever it is, it ends and can be shown. */
static void take(char *text, size_t size)
{
	text[size - 1] = '\0';
	make_printable(text);
}

int attach_wait(const struct process *p, uint64_t address, struct scry_attach_result *result)
{
	uint64_t deadline = scry_now_ns() + PATIENCE_NS;

	for (; scry_now_ns() < deadline; usleep(TICK_US)) {
		if (process_read(p, address, result, sizeof(*result)) < 0)
			return fail("process %d has ended", p->pid);
		take(result->name, sizeof(result->name));
		take(result->socket, sizeof(result->socket));
		take(result->text, sizeof(result->text));
		if (result->state == SCRY_ATTACH_DONE)
			return 0;
		if (result->state == SCRY_ATTACH_REFUSED)
			return fail("the agent refuses process %d: %s", p->pid, result->text);
	}
	return fail("the agent is in process %d, but does not come to its work: see 'scry list' later",
		    p->pid);
}
