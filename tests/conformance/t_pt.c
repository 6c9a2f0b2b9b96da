/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intel PT packets: beginning, reading and ending.  What they say is compared by
 * the suite pt.
 */
#include <string.h>

#include "conformance.h"

#define OPTS(...) (&(struct scry_pt_opts){ .sz = sizeof(struct scry_pt_opts), __VA_ARGS__ })
#define PSB "\x02\x82\x02\x82\x02\x82\x02\x82\x02\x82\x02\x82\x02\x82\x02\x82"

/* All that is there, thrown away: how many bytes, and the first 16. */
static int64_t take(struct ctx *c, unsigned vcpu, char first[16])
{
	char buf[4096];
	int64_t total = 0, n;

	while ((n = scry_pt_read(c->vm, vcpu, buf, sizeof(buf))) > 0) {
		if (!total && first)
			memcpy(first, buf, 16);
		total += n;
	}
	return n < 0 ? fail(c, "scry_pt_read: %s", scry_errmsg()) : total;
}

static int begins_and_ends(struct ctx *c)
{
	char buf[16], first[16] = "";
	const struct probe_op op = OP(CPUID);
	int64_t bytes;

	REFUSED(c, scry_pt_stop(c->vm), SCRY_E_STATE);
	REFUSED(c, scry_pt_read(c->vm, 0, buf, sizeof(buf)), SCRY_E_STATE);
	for (int i = 0; i < 5; i++) {
		OK(c, scry_pt_start(c->vm, NULL));
		REFUSED(c, scry_pt_start(c->vm, NULL), SCRY_E_BUSY);
		DO(guest_do(c, 0, op, NULL));
		OK(c, scry_pt_stop(c->vm));
		bytes = take(c, 0, first);
		DO((int)bytes);
		CHECK(c, bytes > 40 && !memcmp(first, PSB, 16), "%lld bytes, without PSB first",
		      (long long)bytes);
		CHECK(c, take(c, 0, NULL) == 0, "more comes after the end");
	}
	return 0;
}

static int refuses(struct ctx *c)
{
	char buf[16];

	REFUSED(c, scry_pt_start(c->vm, OPTS(.ring = 12345)), SCRY_E_INVAL);
	REFUSED(c, scry_pt_start(c->vm, OPTS(.ring = 4096)), SCRY_E_INVAL);
	REFUSED(c, scry_pt_start(c->vm, OPTS(.ring = UINT64_C(1) << 40)), SCRY_E_INVAL);
	REFUSED(c, scry_pt_start(c->vm, OPTS(.flags = 256)), SCRY_E_INVAL);
	REFUSED(c, scry_pt_start(c->vm, OPTS(.flags = SCRY_PT_RANGE, .first = 2, .last = 1)),
		SCRY_E_INVAL);
	REFUSED(c, scry_pt_start(c->vm, OPTS(.vcpus = UINT64_C(1) << 63)), SCRY_E_INVAL);
	REFUSED(c, scry_pt_start(c->vm, &(struct scry_pt_opts){ .sz = 1 }), SCRY_E_INVAL);
	REFUSED(c, (int)scry_pt_read(c->vm, 64, buf, sizeof(buf)), SCRY_E_INVAL);
	return 0;
}

/* What a filter leaves out costs no packets; bytes of vCPU 0. */
static int64_t filtered(struct ctx *c, const struct scry_pt_opts *opts)
{
	const struct probe_op list[] = { OP(CPUID), OP(CPUID, .flags = PROBE_USER) };
	struct probe_vcpu block;

	OK(c, scry_pt_start(c->vm, opts));
	DO(guest_run(c, 0, list, 2, 1000, &block));
	OK(c, scry_pt_stop(c->vm));
	return take(c, 0, NULL);
}

static int filters(struct ctx *c)
{
	int64_t all = filtered(c, NULL), none, user, here;
	struct scry_regs regs;

	OK(c, scry_regs_get(c->vm, 0, &regs));
	none = filtered(c, OPTS(.flags = SCRY_PT_CR3, .cr3 = regs.cr3 + 4096));
	here = filtered(c, OPTS(.flags = SCRY_PT_CR3, .cr3 = regs.cr3));
	user = filtered(c, OPTS(.flags = SCRY_PT_USER));
	CHECK(c, !none, "%lld bytes of another address space", (long long)none);
	/* How long the guest idles at CPL 0 until it is found to be done, nobody knows. */
	CHECK(c, user > 1000 && here > user && all > user, "%lld bytes of CPL 3, %lld of its only "
	      "address space, %lld of all", (long long)user, (long long)here, (long long)all);
	CHECK(c, filtered(c, OPTS(.flags = SCRY_PT_RANGE, .first = 16, .last = 32)) == 0,
	      "bytes of code outside the range");
	CHECK(c, filtered(c, OPTS(.vcpus = c->vcpus > 1 ? 2 : 1)) == 0 || c->vcpus == 1,
	      "bytes of another vCPU");
	return 0;
}

/* Events, and the packets of their vCPUs, do not disturb each other. */
static int with_events(struct ctx *c)
{
	const struct probe_op list[] = { OP(CPUID), OP(INT3), OP(CHECKSUM, .value = 100) };
	struct pump p = { .c = c };

	OK(c, scry_pt_start(c->vm, NULL));
	DO(pump_all(&p, SUB(CPUID), list, 3, 500));
	CHECK(c, p.count[SCRY_EVENT_CPUID][0] == 500, "%llu events, not 500",
	      (unsigned long long)p.count[SCRY_EVENT_CPUID][0]);
	OK(c, scry_pt_stop(c->vm));
	CHECK(c, take(c, 0, NULL) > 1000, "few packets");
	return 0;
}

/* With the handle its tracing ends, and the guest does what it did. */
static int closed(struct ctx *c)
{
	const struct probe_op op = OP(CHECKSUM, .value = 1000);
	struct probe_op before, after;

	DO(guest_do(c, 0, op, &before));
	for (int i = 0; i < 10; i++) {
		OK(c, scry_pt_start(c->vm, OPTS(.ring = SCRY_PT_RING_LEAST)));
		DO(guest_start_all(c, &op, 1, 100));
		world_close(c);
		DO(world_open(c));
		for (unsigned v = 0; v < c->vcpus; v++)
			DO(guest_wait(c, v));
	}
	DO(guest_do(c, 0, op, &after));
	CHECK(c, before.out[0] == after.out[0], "another checksum");
	return 0;
}

const struct test tests_pt[] = {
	{ "pt-begin-end", begins_and_ends, { SCRY_CAP_PT } },
	{ "pt-refuses", refuses, { SCRY_CAP_PT } },
	{ "pt-filters", filters, { SCRY_CAP_PT } },
	{ "pt-events", with_events, { SCRY_CAP_PT, SCRY_CAP_EVENT_CPUID } },
	{ "pt-close", closed, { SCRY_CAP_PT } },
	{ 0 }
};
