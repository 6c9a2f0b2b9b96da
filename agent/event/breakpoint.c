/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include <scry/breakpoint.h>

#include "agent/accel.h"
#include "agent/client/message.h"
#include "agent/vcpu/vcpu.h"
#include "breakpoint.h"

/*
 * Translated code is shared between all places where its memory is mapped, so
 * that while an instruction is translated only its address within the page is
 * known to hold for each execution: the rest is looked at there.
 */
#define PAGE      4096u
#define CR3_TABLE UINT64_C(0x7ffffffffffff000)

static struct {
	unsigned count;
	uint16_t first[PAGE];	/* by address within the page: a place in entry[] + 1, or 0 */
	struct {
		bool used;
		uint16_t next;	/* as first[], in ascending order */
		struct scry_breakpoint breakpoint;
	} entry[SCRY_BREAKPOINTS];
} table;			/* changes only while no vCPU is in a block */

bool breakpoint_any(void)
{
	return table.count;
}

bool breakpoint_possible(uint64_t address)
{
	return table.first[address % PAGE];
}

const struct scry_breakpoint *breakpoint_get(int n)
{
	return &table.entry[n - 1].breakpoint;
}

static bool hit(const struct scry_breakpoint *b, const struct vcpu *vcpu, uint64_t address,
		uint64_t cr3)
{
	if (b->vcpus && !(b->vcpus >> vcpu->index & 1))
		return false;
	if (b->flags & SCRY_BREAKPOINT_CR3 && (b->cr3 ^ cr3) & CR3_TABLE)
		return false;
	return b->address == (b->flags & SCRY_BREAKPOINT_PHYSICAL ?
			      accel->physical(vcpu, address) : address);
}

int breakpoint_find(const struct vcpu *vcpu, uint64_t address, uint64_t cr3)
{
	for (int n = table.first[address % PAGE]; n; n = table.entry[n - 1].next)
		if (hit(&table.entry[n - 1].breakpoint, vcpu, address, cr3))
			return n;
	return 0;
}

/* The link that leads to number n, or to what would come behind it. */
static uint16_t *link_to(int n, uint64_t address)
{
	uint16_t *link = &table.first[address % PAGE];

	while (*link && *link < n)
		link = &table.entry[*link - 1].next;
	return link;
}

static int add(const struct scry_breakpoint *breakpoint)
{
	uint16_t *link;
	int n = 1;

	while (table.entry[n - 1].used)
		n++;
	link = link_to(n, breakpoint->address);
	table.entry[n - 1].used = true;
	table.entry[n - 1].next = *link;
	table.entry[n - 1].breakpoint = *breakpoint;
	*link = (uint16_t)n;
	table.count++;
	return n;
}

static void drop(int n)
{
	uint16_t *link = link_to(n, table.entry[n - 1].breakpoint.address);

	*link = table.entry[n - 1].next;
	table.entry[n - 1].used = false;
	table.count--;
}

static void take_away(int n)
{
	drop(n);
	if (accel->breakpoint_lift)
		accel->breakpoint_lift(n);
}

struct change {
	const struct scry_agent_breakpoint *request;
	int number;
	const char *refused;	/* why it cannot be */
};

/* These run while no vCPU is in a block. */

static void change(struct qemu_cpu *cpu, void *opaque)
{
	struct change *c = opaque;
	const struct scry_breakpoint *b = &c->request->breakpoint;
	bool known = !c->request->remove && breakpoint_possible(b->address);

	if (c->request->remove) {
		take_away(c->number);
	} else {
		c->number = add(b);
		c->refused = accel->breakpoint_plant ? accel->breakpoint_plant(c->number, b) : NULL;
		if (c->refused)
			drop(c->number);
	}
	accel->breakpoints_changed(cpu, c->request->remove || known);
}

static void clear(struct qemu_cpu *cpu, void *unused)
{
	(void)unused;
	for (int n = 1; n <= SCRY_BREAKPOINTS; n++)
		if (table.entry[n - 1].used)
			take_away(n);
	accel->breakpoints_changed(cpu, true);
}

void breakpoint_reset(void)
{
	if (breakpoint_any())
		vcpu_run_exclusive(clear, NULL);
}

static bool is_valid(const struct scry_breakpoint *b)
{
	return b->sz == sizeof(*b) &&
	       !(b->flags & ~(SCRY_BREAKPOINT_CR3 | SCRY_BREAKPOINT_PHYSICAL |
			      SCRY_BREAKPOINT_VISIBLE));
}

static bool exists(int64_t n)
{
	return n >= 1 && n <= SCRY_BREAKPOINTS && table.entry[n - 1].used;
}

int breakpoint_request(int fd, const void *message, size_t len)
{
	const struct scry_agent_breakpoint *request = message;
	struct scry_agent_value reply = { .header.type = SCRY_AGENT_BREAKPOINT };
	struct change c = { .request = request, .number = request->remove };

	if (len != sizeof(*request) || (!request->remove && !is_valid(&request->breakpoint)))
		return -1;
	if (request->remove && !exists(request->remove))
		return message_fail(fd, SCRY_AGENT_BREAKPOINT, SCRY_E_NOTFOUND,
				    "there is no breakpoint of this number");
	if (!request->remove && table.count == SCRY_BREAKPOINTS)
		return message_fail(fd, SCRY_AGENT_BREAKPOINT, SCRY_E_NOMEM,
				    "too many breakpoints at a time: remove some first");
	vcpu_run_exclusive(change, &c);
	if (c.refused)
		return message_fail(fd, SCRY_AGENT_BREAKPOINT, SCRY_E_STATE, c.refused);
	reply.value = (uint64_t)c.number;
	return message_send(fd, &reply, sizeof(reply), NULL, 0);
}
