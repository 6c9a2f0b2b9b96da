/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "site.h"

typedef unsigned long long ull;

static bool expected_cpl(const struct site *s, const struct scry_event *e)
{
	return e->cpl == (s->op.flags & PROBE_USER ? 3 : 0);
}

static int check_site(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct site *s = p->opaque;
	struct ctx *c = p->c;
	uint64_t i = s->seen[e->vcpu]++;
	uint64_t value = (s->op.value + i * s->op.step) ^ (i & 1 ? s->op.toggle : 0);

	CHECK(c, e->kind == (uint32_t)s->sub.kind && expected_cpl(s, e),
	      "an event of kind %u, cpl %u", e->kind, e->cpl);
	CHECK(c, e->rip - c->probe.text < c->probe.text_size && e->insn_len, "rip %#llx, %u bytes",
	      (ull)e->rip, e->insn_len);
	CHECK(c, !s->about || s->about(e, value), "%s, round %llu: not about %#llx",
	      scry_event_name(s->sub.kind), (ull)i, (ull)value);
	reply->action = s->action;
	reply->set = s->set;
	reply->regs = &p->regs;
	return 0;
}

int site_run(struct ctx *c, struct site *s, struct pump *p, struct probe_vcpu *blocks)
{
	p->c = c;
	p->answer = check_site;
	p->opaque = s;
	p->total = 0;
	for (unsigned i = 0; i < PROBE_VCPUS; i++)
		s->seen[i] = 0;
	DO(pump_all(p, s->sub, &s->op, 1, SITE_ROUNDS));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &blocks[i]));
		CHECK(c, s->seen[i] == SITE_ROUNDS, "vCPU %u: %llu %s events of %d", i,
		      (ull)s->seen[i], scry_event_name(s->sub.kind), SITE_ROUNDS);
	}
	return 0;
}

int site_ends_with(struct ctx *c, const struct probe_vcpu *blocks, uint64_t count, uint64_t faults)
{
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].count == count && blocks[i].op[0].faults == faults,
		      "vCPU %u did %llu, faulted %llu times", i, (ull)blocks[i].op[0].count,
		      (ull)blocks[i].op[0].faults);
	return 0;
}

int site_refused(struct ctx *c, struct site s)
{
	struct probe_vcpu blocks[PROBE_VCPUS];
	struct pump p = { 0 };

	s.action = SCRY_SKIP;
	DO(site_run(c, &s, &p, blocks));
	DO(site_ends_with(c, blocks, SITE_ROUNDS, 0));
	DO(world_reset(c));
	s.action = SCRY_DENY;
	DO(site_run(c, &s, &p, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].exceptions[13] == SITE_ROUNDS && blocks[i].last_error == 0,
		      "the guest got %llu #GP for %d that were denied",
		      (ull)blocks[i].exceptions[13], SITE_ROUNDS);
	return site_ends_with(c, blocks, 0, SITE_ROUNDS);
}

int site_continued(struct ctx *c, struct site s)
{
	struct probe_vcpu blocks[PROBE_VCPUS];
	struct pump p = { 0 };

	DO(site_run(c, &s, &p, blocks));
	return site_ends_with(c, blocks, SITE_ROUNDS, 0);
}

int site_all_replies(struct ctx *c, struct site s)
{
	DO(site_continued(c, s));
	return site_refused(c, s);
}
