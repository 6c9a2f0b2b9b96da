/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of port I/O: each access is told of once, with its port, size and value, and
 * obeys each reply.
 */
#include "site.h"

typedef unsigned long long ull;

#define PORT 0x80	/* delays; nothing listens */

static bool out_byte(const struct scry_event *e, uint64_t value)
{
	return e->io.port == PORT && e->io.access == SCRY_WRITE && e->io.size == 1 &&
	       e->io.value == (uint8_t)value;
}

static bool in_long(const struct scry_event *e, uint64_t value)
{
	(void)value;
	return e->io.port == PORT && e->io.access == SCRY_READ && e->io.size == 4;
}

static int ports(struct ctx *c)
{
	struct site out = { .sub = SUB(IO, .io = { .use_range = 1, .first = PORT, .last = PORT,
					    .access = SCRY_WRITE }),
			    .op = OP(OUT, .arg = PORT, .size = 1, .value = 5, .step = 3), .about = out_byte };
	struct site in = { .sub = SUB(IO), .op = OP(IN, .arg = PORT, .size = 4), .about = in_long };
	struct site none = { .sub = SUB(IO, .io = { .use_range = 1, .first = PORT + 4, .last = 0xffff }),
			     .op = OP(IN, .arg = PORT, .size = 4) };
	struct pump p = { .c = c };

	DO(site_all_replies(c, out));
	DO(world_reset(c));
	DO(site_all_replies(c, in));
	DO(pump_all(&p, none.sub, &none.op, 1, SITE_ROUNDS));
	CHECK(c, p.total == 0, "%llu events of ports that the filter leaves out", (ull)p.total);
	return 0;
}

/* IN answered by the client; at CPL 3, where no bitmap permits it, there is nothing to answer. */
static int port_answered(struct ctx *c)
{
	struct site s = { .sub = SUB(IO), .op = OP(IN, .arg = PORT, .size = 2), .action = SCRY_SKIP,
			  .set = SCRY_REG_BIT(SCRY_REG_RAX) };
	struct pump p = { .regs.gpr[SCRY_REG_RAX] = 0x1234 };
	struct probe_vcpu blocks[PROBE_VCPUS];
	struct pump none = { .c = c };

	DO(site_run(c, &s, &p, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].out[0] == 0x1234, "the guest read %#llx",
		      (ull)blocks[i].op[0].out[0]);
	OK(c, subscribe(c, s.sub));
	s.op.flags = PROBE_USER;
	DO(guest_start_all(c, &s.op, 1, SITE_ROUNDS));
	DO(pump_run(&none, ALL_VCPUS));
	CHECK(c, none.total == 0, "%llu events of IN at CPL 3, which only raises #GP",
	      (ull)none.total);
	return 0;
}

static bool is_string(const struct scry_event *e, uint64_t value)
{
	(void)value;
	return e->io.port == PORT && e->io.size == 1 && e->io.string && !e->io.rep && e->insn_len == 1;
}

/* What is refused moves nothing. */
static int string_stays(struct ctx *c, struct site s, enum scry_action action, uint64_t out)
{
	struct probe_vcpu blocks[PROBE_VCPUS];
	struct pump p = { 0 };

	s.action = action;
	DO(site_run(c, &s, &p, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].out[0] == out, "vCPU %u: %#llx, not %#llx", i,
		      (ull)blocks[i].op[0].out[0], (ull)out);
	return world_reset(c);
}

/* INS and OUTS, which move their registers and memory, too. */
static int strings(struct ctx *c)
{
	struct site out = { .sub = SUB(IO, .io = { .access = SCRY_WRITE }),
			    .op = OP(OUTS, .arg = PORT), .about = is_string };
	struct site in = { .sub = SUB(IO, .io = { .access = SCRY_READ }),
			   .op = OP(INS, .arg = PORT, .value = 0x5a), .about = is_string };
	const struct probe_op both[] = { out.op, in.op };
	struct probe_vcpu block;

	DO(site_all_replies(c, out));
	DO(world_reset(c));
	DO(string_stays(c, out, SCRY_CONTINUE, 1));
	DO(string_stays(c, out, SCRY_SKIP, 0));
	DO(string_stays(c, out, SCRY_DENY, 0));
	DO(site_all_replies(c, in));
	DO(world_reset(c));
	DO(string_stays(c, in, SCRY_SKIP, 0x5a));
	DO(string_stays(c, in, SCRY_DENY, 0x5a));
	OK(c, subscribe(c, SUB(IO)));
	DO(pump_held(c, both, 2, 4, &block));
	CHECK(c, block.op[0].out[0] == 1 && block.op[1].out[0] != 0x5a, "held: %#llx, %#llx",
	      (ull)block.op[0].out[0], (ull)block.op[1].out[0]);
	return 0;
}

#define PORT_OF_KVM 0x7e	/* KVM skips the OUT before it tells of it */

static bool out_there(const struct scry_event *e, uint64_t value)
{
	return e->io.port == PORT_OF_KVM && !e->io.string && e->insn_len == 1 &&
	       e->io.value == (uint32_t)value;
}

static int port_of_kvm(struct ctx *c)
{
	return site_all_replies(c, (struct site){ .sub = SUB(IO), .about = out_there,
					     .op = OP(OUT, .arg = PORT_OF_KVM, .size = 4,
						      .value = 5, .step = 3) });
}

const struct test tests_io[] = {
	{ "event-io", ports, { SCRY_CAP_EVENT_IO } },
	{ "event-io-string", strings, { SCRY_CAP_EVENT_IO } },
	{ "event-io-quirk", port_of_kvm, { SCRY_CAP_EVENT_IO } },
	{ "event-io-answered", port_answered, { SCRY_CAP_EVENT_IO } },
	{ 0 }
};
