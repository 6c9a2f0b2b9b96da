/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: xen-ends DOMID [TEST...]
 *
 * On the probe in that domain: what fails half-way leaves nothing behind, and what other
 * clients of Xen's do to it meanwhile is told.  Prints a line a test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define XC_WANT_COMPAT_DEVICEMODEL_API
#include <xenctrl.h>

#include "conformance.h"

#define HARDWARE_EXCEPTION 3	/* XEN_DMOP_EVENT_hw_exc */
#define NO_ERROR_CODE      UINT32_MAX
#define OTHER_GFN          0x3800	/* of the probe's 64 MiB, which nobody uses */

typedef unsigned long long ull;

static xc_interface *xch;
static uint32_t domid;

/* vCPU 0 does a CPUID, which is told of. */
static int tells(struct ctx *c)
{
	struct scry_event e;

	DO(guest_start(c, 0, &OP(CPUID), 1, 1));
	DO(pump_one(c, &e));
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	return guest_wait(c, 0);
}

static int all_move(struct ctx *c)
{
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_moves(c, i));
	return 0;
}

/* No descriptor is left for the last that it needs. */
static int ring_half_made(struct ctx *c)
{
	struct rlimit before, none;
	int spare = dup(STDIN_FILENO), ret;

	CHECK(c, spare >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0, "no descriptor to be had");
	close(spare);
	none = before;
	none.rlim_cur = (rlim_t)spare;
	CHECK(c, setrlimit(RLIMIT_NOFILE, &none) == 0, "the limit of files cannot be set");
	ret = scry_subscribe(c->vm, &SUB(CPUID));
	setrlimit(RLIMIT_NOFILE, &before);
	CHECK(c, ret == SCRY_E_IO && strstr(scry_errmsg(), "open files"), "it gave %d: %s", ret,
	      scry_errmsg());
	DO(all_move(c));
	OK(c, subscribe(c, SUB(CPUID)));
	return tells(c);
}

static int ring_of_another(struct ctx *c)
{
	uint32_t port;
	void *ring = xc_monitor_enable(xch, domid, &port);

	CHECK(c, ring, "the ring cannot be had for the other");
	REFUSED(c, scry_subscribe(c->vm, &SUB(CPUID)), SCRY_E_BUSY);
	CHECK(c, strstr(scry_errmsg(), "SCRY_XEN_TAKEOVER=1"), "the sentence is: %s", scry_errmsg());
	DO(all_move(c));
	CHECK(c, xc_monitor_disable(xch, domid) == 0, "the other cannot give its ring back");
	munmap(ring, XC_PAGE_SIZE);
	OK(c, subscribe(c, SUB(CPUID)));
	return tells(c);
}

/* Another client injects into vCPU 0, which takes one at a time. */
static int another_injects(struct ctx *c, uint8_t vector, uint32_t error, uint64_t cr2)
{
	CHECK(c, xc_hvm_inject_trap(xch, domid, 0, vector, HARDWARE_EXCEPTION, error, 0, cr2) == 0,
	      "the other cannot inject");
	return 0;
}

static int count(struct ctx *c, unsigned vector, uint64_t *seen)
{
	struct probe_vcpu block;

	DO(guest_wait(c, 0));
	DO(guest_block(c, 0, &block));
	*seen = block.exceptions[vector];
	return 0;
}

/* The reply fails, and the event still waits for one. */
static int injection_refused(struct ctx *c)
{
	struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_INJECT,
				    .exception = { .vector = 6 } };
	struct probe_vcpu block;
	struct scry_event e;

	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start(c, 0, &OP(CPUID), 1, 1));
	DO(pump_one(c, &e));
	DO(another_injects(c, 3, NO_ERROR_CODE, 0));
	REFUSED(c, scry_reply(c->vm, &e, &reply), SCRY_E_STATE);
	DO(guest_stands(c, 0));
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	DO(guest_wait(c, 0));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.exceptions[3] == 1 && !block.exceptions[6] && block.op[0].count == 1,
	      "%llu #BP, %llu #UD, %llu CPUIDs", (ull)block.exceptions[3],
	      (ull)block.exceptions[6], (ull)block.op[0].count);
	return 0;
}

/* vCPU 0 waits in an event while the other injects: then that is told of. */
static int next_injection(struct ctx *c, uint8_t vector, uint32_t error, uint64_t cr2,
			  struct scry_event *e)
{
	bool has_error = error != NO_ERROR_CODE;

	DO(guest_start(c, 0, &OP(CPUID), 1, 1));
	DO(pump_one(c, e));
	CHECK(c, e->kind == SCRY_EVENT_CPUID, "an event of kind %u", e->kind);
	DO(another_injects(c, vector, error, cr2));
	OK(c, scry_reply_action(c->vm, e, SCRY_CONTINUE));
	DO(pump_one(c, e));
	CHECK(c, e->kind == SCRY_EVENT_INTERRUPT && e->interrupt.type == SCRY_INTERRUPT_EXCEPTION &&
	      e->interrupt.vector == vector && e->interrupt.has_error == has_error &&
	      e->interrupt.error_code == (has_error ? error : 0) && e->interrupt.cr2 == cr2,
	      "an event of kind %u, vector %u, error code %#x", e->kind, e->interrupt.vector,
	      e->interrupt.error_code);
	return 0;
}

/* Delivered, dropped, and another in its place. */
static int told_before_delivery(struct ctx *c)
{
	struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_INJECT,
				    .exception = { .vector = 3 } };
	uint64_t faults = 0, breaks = 0;
	struct scry_event e;

	OK(c, subscribe(c, SUB(CPUID)));
	OK(c, subscribe(c, SUB(INTERRUPT)));
	/* Of exceptions the probe expects #BP alone, wherever it is. */
	DO(next_injection(c, 3, NO_ERROR_CODE, 0, &e));
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	DO(count(c, 3, &breaks));
	CHECK(c, breaks == 1, "%llu #BP of one", (ull)breaks);
	DO(next_injection(c, 14, 2, 0x123000, &e));
	OK(c, scry_reply_action(c->vm, &e, SCRY_SKIP));
	DO(count(c, 14, &faults));
	CHECK(c, faults == 0, "a page fault that was dropped");
	DO(next_injection(c, 6, NO_ERROR_CODE, 0, &e));
	OK(c, scry_reply(c->vm, &e, &reply));
	DO(count(c, 3, &breaks));
	CHECK(c, breaks == 2, "%llu #BP of two", (ull)breaks);
	return 0;
}

/* What the client injects itself is no event of its own. */
static int own_is_none(struct ctx *c)
{
	const struct scry_injection own = { .sz = sizeof(own), .exception = { .vector = 3 } };
	struct scry_event e;
	uint64_t breaks = 0;

	OK(c, subscribe(c, SUB(CPUID)));
	OK(c, subscribe(c, SUB(INTERRUPT)));
	for (unsigned n = 1; n <= 5; n++) {
		DO(tells(c));
		OK(c, scry_inject(c->vm, 0, &own));
		for (uint64_t end = now_ms() + WAIT_MS; breaks < n;) {
			CHECK(c, now_ms() < end, "%llu #BP of %u", (ull)breaks, n);
			CHECK(c, scry_event_wait(c->vm, &e, 1, 1) == 0, "an event of our own");
			DO(count(c, 3, &breaks));
		}
	}
	return 0;
}

/* Until a read of the page gives that. */
static int await_read(struct ctx *c, uint64_t gpa, int wanted)
{
	uint64_t end = now_ms() + WAIT_MS, value;
	int ret;

	while ((ret = scry_read_phys(c->vm, gpa, &value, sizeof(value))) != wanted) {
		CHECK(c, now_ms() < end, "a read of the page gives %d, not %d", ret, wanted);
		sleep_ms(5);
	}
	return 0;
}

/* vCPU 0 writes to the page: is it an event? */
static int is_told(struct ctx *c, uint64_t gpa)
{
	struct pump p = { .c = c };

	DO(guest_start(c, 0, &OP(WRITE, .arg = gpa, .size = 8), 1, 1));
	DO(pump_run(&p, 1));
	return p.total > 0;
}

/* A page goes as with the guest's balloon, and comes back: it is trapped as before. */
static int trap_returns(struct ctx *c)
{
	uint64_t gpa = c->probe.scratch, end;
	xen_pfn_t gfn = gpa >> 12;
	int told;

	OK(c, subscribe(c, SUB(MEMORY)));
	OK(c, scry_view_protect(c->vm, 0, gfn, 1, SCRY_WRITE));
	told = is_told(c, gpa);
	DO(told);
	CHECK(c, told, "a write of a trapped page is no event");
	CHECK(c, xc_domain_decrease_reservation_exact(xch, domid, 1, 0, &gfn) == 0,
	      "the page cannot be taken");
	DO(await_read(c, gpa, SCRY_E_ADDRESS));
	CHECK(c, xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &gfn) == 0,
	      "the page cannot be given back");
	DO(await_read(c, gpa, 0));
	for (end = now_ms() + WAIT_MS; !(told = is_told(c, gpa));)
		CHECK(c, now_ms() < end, "the page has come back without its trap");
	return told < 0 ? -1 : 0;
}

/*
 * A page goes and comes back at once, with another going: the count of pages is the same.
 * What is mapped here stays counted, so the page is read first; the other is not.
 */
static int trap_lost(struct ctx *c)
{
	uint64_t gpa = c->probe.scratch, value, end;
	xen_pfn_t gfn = gpa >> 12, other = OTHER_GFN;
	int told;

	OK(c, subscribe(c, SUB(MEMORY)));
	OK(c, scry_view_protect(c->vm, 0, gfn, 1, SCRY_WRITE));
	OK(c, scry_read_phys(c->vm, gpa, &value, sizeof(value)));
	CHECK(c, xc_domain_decrease_reservation_exact(xch, domid, 1, 0, &gfn) == 0 &&
	      xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &gfn) == 0 &&
	      xc_domain_decrease_reservation_exact(xch, domid, 1, 0, &other) == 0,
	      "the pages cannot be exchanged");
	for (end = now_ms() + WAIT_MS; !(told = is_told(c, gpa));)
		CHECK(c, now_ms() < end, "the page has come back without its trap");
	DO(told);
	CHECK(c, xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &other) == 0,
	      "the other page cannot be given back");
	return 0;
}

static const struct test tests[] = {
	{ "ring-half-made", ring_half_made, { 0 } },
	{ "ring-of-another", ring_of_another, { 0 } },
	{ "injection-refused", injection_refused, { 0 } },
	{ "injection-told", told_before_delivery, { 0 } },
	{ "injection-own", own_is_none, { 0 } },
	{ "trap-returns", trap_returns, { SCRY_CAP_EVENT_MEMORY } },
	{ "trap-lost", trap_lost, { SCRY_CAP_EVENT_MEMORY } },
	{ 0 }
};

int main(int argc, char **argv)
{
	const struct test *const tables[] = { tests, NULL };
	char uri[32];
	bool passed;

	if (argc < 2) {
		fputs("usage: xen-ends DOMID [TEST...]\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	domid = (uint32_t)strtoul(argv[1], NULL, 0);
	snprintf(uri, sizeof(uri), "xen:%u", domid);
	xch = xc_interface_open(NULL, NULL, 0);
	if (!xch) {
		fputs("xen-ends: no Xen here\n", stderr);
		return 1;
	}
	passed = tests_run(uri, tables, argv + 2);
	xc_interface_close(xch);
	return !passed;
}
