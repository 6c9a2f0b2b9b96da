/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/accel.h"
#include "agent/client/message.h"
#include "agent/vcpu/vcpu.h"
#include "watchpoint.h"

#define PAGE      UINT64_C(4096)
#define CR3_TABLE UINT64_C(0x7ffffffffffff000)

/* By number, from 1; changes only while no vCPU is in a block. */
static struct {
	bool used;
	struct scry_watchpoint watchpoint;
} table[SCRY_WATCHPOINTS + 1];
static unsigned count;

bool watchpoint_any(void)
{
	return count;
}

static bool wanted(const struct scry_watchpoint *w, const struct vcpu *vcpu, uint64_t cr3)
{
	return (!w->vcpus || w->vcpus >> vcpu->index & 1) &&
	       (!(w->flags & SCRY_WATCHPOINT_CR3) || !((w->cr3 ^ cr3) & CR3_TABLE));
}

uint8_t watchpoint_wanted(const struct vcpu *vcpu, uint64_t cr3, uint8_t set)
{
	uint8_t found = 0;

	for (int n = 1; n <= SCRY_WATCHPOINTS; n++)
		if (set >> (n - 1) & 1 && table[n].used && wanted(&table[n].watchpoint, vcpu, cr3))
			found |= (uint8_t)(1u << (n - 1));
	return found;
}

uint8_t watchpoint_find(const struct vcpu *vcpu, uint64_t cr3, uint64_t gva, uint64_t size,
			uint32_t access)
{
	uint8_t hit = 0;

	for (int n = 1; n <= SCRY_WATCHPOINTS; n++) {
		const struct scry_watchpoint *w = &table[n].watchpoint;

		/* By differences: either may end with the last address of all. */
		if (table[n].used && w->access & access &&
		    (gva - w->address < w->size || w->address - gva < size))
			hit |= (uint8_t)(1u << (n - 1));
	}
	return hit ? watchpoint_wanted(vcpu, cr3, hit) : 0;
}

uint32_t watchpoint_in_page(uint64_t gva)
{
	uint32_t access = 0;

	for (int n = 1; n <= SCRY_WATCHPOINTS; n++)
		if (table[n].used && table[n].watchpoint.address / PAGE == gva / PAGE)
			access |= table[n].watchpoint.access;
	return access;
}

void watchpoint_describe(int n, struct scry_event *event)
{
	const struct scry_watchpoint *w = &table[n].watchpoint;

	event->kind = SCRY_EVENT_WATCHPOINT;
	event->watchpoint.number = (uint32_t)n;
	event->watchpoint.gva = w->address;
	event->watchpoint.size = w->size;
	event->watchpoint.access = w->access;
}

struct change {
	const struct scry_agent_watchpoint *request;
	int number;
	const char *refused;	/* why it cannot be */
};

/* These run while no vCPU is in a block. */

static void take_away(int n)
{
	table[n].used = false;
	count--;
	if (accel->watchpoint_lift)
		accel->watchpoint_lift(n);
}

static void set(struct change *c)
{
	const struct scry_watchpoint *w = &c->request->watchpoint;

	c->number = 1;
	while (table[c->number].used)
		c->number++;
	c->refused = accel->watchpoint_plant ? accel->watchpoint_plant(c->number, w) : NULL;
	if (c->refused)
		return;
	table[c->number].used = true;
	table[c->number].watchpoint = *w;
	count++;
}

static void change(struct qemu_cpu *cpu, void *opaque)
{
	struct change *c = opaque;

	(void)cpu;
	if (c->request->remove)
		take_away(c->number);
	else
		set(c);
	accel->watchpoints_changed();
}

static void clear(struct qemu_cpu *cpu, void *unused)
{
	(void)cpu;
	(void)unused;
	for (int n = 1; n <= SCRY_WATCHPOINTS; n++)
		if (table[n].used)
			take_away(n);
	accel->watchpoints_changed();
}

void watchpoint_reset(void)
{
	if (watchpoint_any())
		vcpu_run_exclusive(clear, NULL);
}

static bool is_valid(const struct scry_watchpoint *w)
{
	bool sized = w->size == 1 || w->size == 2 || w->size == 4 || w->size == 8;

	return w->sz == sizeof(*w) && sized && w->address % w->size == 0 &&
	       !(w->flags & ~SCRY_WATCHPOINT_CR3) &&
	       (w->access == SCRY_WRITE || w->access == (SCRY_READ | SCRY_WRITE));
}

static bool exists(int64_t n)
{
	return n >= 1 && n <= SCRY_WATCHPOINTS && table[n].used;
}

int watchpoint_request(int fd, const void *message, size_t len)
{
	const struct scry_agent_watchpoint *request = message;
	struct scry_agent_value reply = { .header.type = SCRY_AGENT_WATCHPOINT };
	struct change c = { .request = request };

	if (len != sizeof(*request) || (!request->remove && !is_valid(&request->watchpoint)))
		return -1;
	if (request->remove && !exists(request->remove))
		return message_fail(fd, SCRY_AGENT_WATCHPOINT, SCRY_E_NOTFOUND,
				    "there is no watchpoint of this number");
	if (!request->remove && count == SCRY_WATCHPOINTS)
		return message_fail(fd, SCRY_AGENT_WATCHPOINT, SCRY_E_NOMEM,
				    "too many watchpoints at a time: a processor has registers for 4");
	c.number = (int)request->remove;
	vcpu_run_exclusive(change, &c);
	if (c.refused)
		return message_fail(fd, SCRY_AGENT_WATCHPOINT, SCRY_E_STATE, c.refused);
	reply.value = (uint64_t)c.number;
	return message_send(fd, &reply, sizeof(reply), NULL, 0);
}
