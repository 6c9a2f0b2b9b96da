/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VM as a whole: what it is, what the driver says of itself, attaching. */
#include <string.h>

#include "conformance.h"

#define MAX_REGIONS 64

static int vcpu_count(struct ctx *c)
{
	struct scry_info info = { .sz = sizeof(info) };
	int n = scry_vcpu_count(c->vm);

	OK(c, n);
	CHECK(c, (unsigned)n == c->probe.vcpus, "%d vCPUs, but the guest counts %u", n,
	      c->probe.vcpus);
	OK(c, scry_info(c->vm, &info));
	CHECK(c, info.vcpus == (unsigned)n, "scry_info() says %u vCPUs, not %d", info.vcpus, n);
	CHECK(c, *info.driver && *info.name && *info.hypervisor, "scry_info() leaves a name empty");
	return 0;
}

static int caps(struct ctx *c)
{
	const char *reason;

	for (enum scry_cap cap = 0; cap < SCRY_CAP_COUNT; cap++) {
		CHECK(c, scry_cap_name(cap) && *scry_cap_name(cap), "capability %d has no name", cap);
		CHECK(c, scry_cap_text(cap) && *scry_cap_text(cap), "capability %d has no text", cap);
		reason = NULL;
		if (!scry_cap(c->vm, cap, &reason))
			CHECK(c, reason && *reason, "%s is missing without a reason",
			      scry_cap_name(cap));
		CHECK(c, reason, "%s has a NULL note", scry_cap_name(cap));
	}
	return 0;
}

/* *count regions, or a failure. */
static int read_map(struct ctx *c, struct scry_region *regions, int *count)
{
	*count = scry_memory_map(c->vm, regions, MAX_REGIONS);
	OK(c, *count);
	CHECK(c, *count > 0 && *count <= MAX_REGIONS, "%d regions", *count);
	return 0;
}

static int memory_map(struct ctx *c)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct scry_region regions[MAX_REGIONS], one;
	uint64_t end = 0, ram = 0;
	bool mailbox = false;
	int n;

	DO(read_map(c, regions, &n));
	for (int i = 0; i < n; i++) {
		const struct scry_region *r = &regions[i];

		CHECK(c, r->size && !((r->gpa | r->size) & 0xfff), "region %d is not whole pages", i);
		CHECK(c, r->gpa >= end, "region %d begins before the end of the one before", i);
		end = r->gpa + r->size;
		CHECK(c, end > r->gpa, "region %d wraps around", i);
		if (!(r->flags & (SCRY_REGION_ROM | SCRY_REGION_DEVICE)))
			ram += r->size;
		mailbox |= r->gpa <= PROBE_GPA && end > PROBE_GPA;
	}
	CHECK(c, mailbox, "the map leaves out RAM that the guest uses");
	OK(c, scry_info(c->vm, &info));
	CHECK(c, ram == info.ram_bytes, "RAM regions of %#llx bytes, but scry_info() says %#llx",
	      (unsigned long long)ram, (unsigned long long)info.ram_bytes);
	CHECK(c, scry_memory_map(c->vm, &one, 1) == n, "with room for 1 the count differs");
	CHECK(c, !memcmp(&one, &regions[0], sizeof(one)), "with room for 1 the first differs");
	CHECK(c, scry_memory_map(c->vm, NULL, 0) == n, "with room for none the count differs");
	return 0;
}

static int max_gfn(struct ctx *c)
{
	struct scry_region regions[MAX_REGIONS];
	uint64_t gfn, last;
	char byte;
	int n;

	DO(read_map(c, regions, &n));
	last = (regions[n - 1].gpa + regions[n - 1].size - 1) >> 12;
	OK(c, scry_max_gfn(c->vm, &gfn));
	CHECK(c, gfn == last, "gfn %#llx, but the map ends with %#llx", (unsigned long long)gfn,
	      (unsigned long long)last);
	OK(c, scry_read_phys(c->vm, gfn << 12, &byte, 1));
	REFUSED(c, scry_read_phys(c->vm, (gfn + 1) << 12, &byte, 1), SCRY_E_ADDRESS);
	return 0;
}

static int bad_vcpu(struct ctx *c)
{
	const unsigned bad[] = { c->vcpus, 63, 64, 1u << 31, ~0u };
	struct scry_regs regs;
	struct scry_as *as;
	uint64_t value;
	char area[1024];

	memset(&regs, 0, sizeof(regs));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		REFUSED(c, scry_regs_get(c->vm, bad[i], &regs), SCRY_E_INVAL);
		REFUSED(c, scry_regs_set(c->vm, bad[i], &regs, SCRY_REGS_GPR), SCRY_E_INVAL);
		REFUSED(c, scry_msr_get(c->vm, bad[i], 0x10, &value), SCRY_E_INVAL);
		if (scry_cap(c->vm, SCRY_CAP_MSR_WRITE, NULL))
			REFUSED(c, scry_msr_set(c->vm, bad[i], 0x10, 0), SCRY_E_INVAL);
		REFUSED(c, scry_xsave_get(c->vm, bad[i], area, sizeof(area)), SCRY_E_INVAL);
		REFUSED(c, scry_vcpu_pause(c->vm, bad[i]), SCRY_E_INVAL);
		REFUSED(c, scry_vcpu_resume(c->vm, bad[i]), SCRY_E_INVAL);
		REFUSED(c, scry_as_of_vcpu(c->vm, bad[i], &as), SCRY_E_INVAL);
	}
	return 0;
}

static int second_client(struct ctx *c)
{
	struct scry_vm *second = NULL;

	REFUSED(c, scry_open(&second, c->uri, NULL), SCRY_E_BUSY);
	CHECK(c, !second, "a refused scry_open() gave a handle");
	return guest_moves(c, 0);
}

struct listed {
	const char *uri, *name;
	bool found;
	int client_pid;
};

static int look_for(const struct scry_vm_entry *entry, void *opaque)
{
	struct listed *l = opaque;

	if (strcmp(entry->name, l->name))
		return 0;
	l->found = true;
	l->client_pid = entry->client_pid;
	return 1;
}

static int list(struct ctx *c)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct listed l = { .uri = c->uri };

	OK(c, scry_info(c->vm, &info));
	l.name = info.name;
	OK(c, scry_list(look_for, &l));
	CHECK(c, l.found, "scry_list() does not name the VM %s", info.name);
	return 0;
}

/* What a client leaves when it closes: nothing. */
static int reopen(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct scry_event e;

	OK(c, subscribe(c, SUB(CPUID)));
	OK(c, subscribe(c, SUB(CR_WRITE, .cr = { .cr = 3 })));
	DO(guest_start_all(c, &op, 1, FOREVER));
	DO(pump_one(c, &e));
	OK(c, scry_pause(c->vm));
	OK(c, scry_vcpu_pause(c->vm, 0));
	world_close(c);		/* an event held, and two pauses */

	DO(world_open(c));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_moves(c, i));
	CHECK(c, scry_event_wait(c->vm, &e, 1, 50) == 0, "an event without a subscription");
	REFUSED(c, scry_resume(c->vm), SCRY_E_STATE);
	REFUSED(c, scry_vcpu_resume(c->vm, 0), SCRY_E_STATE);
	return 0;
}

static int reopen_often(struct ctx *c)
{
	for (int i = 0; i < 50; i++) {
		world_close(c);
		DO(world_open(c));
	}
	return guest_moves(c, 0);
}

const struct test tests_vm[] = {
	{ "vcpu-count", vcpu_count, { SCRY_CAP_VCPU_COUNT } },
	{ "caps", caps, { 0 } },
	{ "memory-map", memory_map, { SCRY_CAP_MEMORY_MAP } },
	{ "max-gfn", max_gfn, { SCRY_CAP_MAX_GFN } },
	{ "bad-vcpu", bad_vcpu, { 0 } },
	{ "list", list, { 0 } },
	{ "second-client", second_client, { 0 } },
	{ "reopen", reopen,
	  { SCRY_CAP_EVENT_CPUID, SCRY_CAP_EVENT_CR_WRITE, SCRY_CAP_VCPU_PAUSE } },
	{ "reopen-often", reopen_often, { 0 } },
	{ 0 }
};
