/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* v7's reply to a page fault: the data that is read in place of memory's, and the rest of a REP. */
#include <string.h>

#include "tool.h"

/* Bytes that no memory here holds. */
static void fill(struct kvmi_v7_reply_pf *pf, uint64_t gva, uint32_t size)
{
	*pf = (struct kvmi_v7_reply_pf){ .gva = gva, .size = size };
	for (uint32_t i = 0; i < size; i++)
		pf->data[i] = (uint8_t)(0xa0 + i);
}

static int next_fault(struct tool *t, unsigned vcpu, uint64_t gva, uint8_t access,
		      struct message *m)
{
	struct kvmi_event_pf *pf;

	DO(tool_event(t, KVMI_EVENT_PF, vcpu, sizeof(*pf), m));
	pf = tool_part(t, m);
	CHECK(t, pf->gva == gva && pf->access == access, "gva %#llx, access %u, not %#llx, %u",
	      (unsigned long long)pf->gva, pf->access, (unsigned long long)gva, access);
	return 0;
}

static int answer(struct tool *t, const struct message *m, const struct kvmi_v7_reply_pf *pf)
{
	return tool_reply(t, m, KVMI_CONTINUE, pf, sizeof(*pf));
}

static int begin_read(struct tool *t, unsigned vcpu, const struct probe_op *read, struct message *m)
{
	DO(guest_start(t, vcpu, read, 1, 1));
	return next_fault(t, vcpu, read->arg, KVMI_READ, m);
}

/* The vCPU reads there: what, when that is answered? */
static int read_one(struct tool *t, unsigned vcpu, const struct probe_op *read,
		    const struct kvmi_v7_reply_pf *pf, uint64_t expected)
{
	struct probe_op op;
	struct message m;

	DO(begin_read(t, vcpu, read, &m));
	DO(answer(t, &m, pf));
	DO(guest_wait(t, vcpu, &op));
	CHECK(t, op.count == 1 && op.out[0] == expected, "%#llx was read, not %#llx",
	      (unsigned long long)op.out[0], (unsigned long long)expected);
	return 0;
}

static int trap(struct tool *t, unsigned vcpu, uint64_t gpa, uint8_t access)
{
	EXPECT(t, 0, tool_access(t, 0, gpa, access));
	EXPECT(t, 0, tool_control(t, vcpu, KVMI_EVENT_PF, true));
	return 0;
}

/* What lies within it is read from it; what does not, or only in part, from memory. */
static int given(struct tool *t)
{
	uint64_t page = t->probe.targets, at = page + 64, memory = PROBE_STAMP ^ at;
	const struct probe_op read = OP(READ, .size = 8, .arg = at);
	const struct probe_op byte = OP(READ, .size = 1, .arg = at + 7);
	static const struct {
		int from;
		uint32_t size;
		uint64_t expected;	/* 0 = memory's */
	} cases[] = {
		{ 0, 8, 0xa7a6a5a4a3a2a1a0 }, { -8, 24, 0xafaeadacabaaa9a8 },
		{ -64, 256, 0xe7e6e5e4e3e2e1e0 },
		{ 0, 0, 0 }, { 0, 7, 0 }, { 1, 7, 0 }, { 4, 8, 0 }, { -4, 8, 0 }, { 8, 8, 0 },
		{ -8, 8, 0 },
	};
	struct kvmi_v7_reply_pf pf;
	uint64_t seen;

	DO(trap(t, 0, page, KVMI_WRITE | KVMI_EXEC));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t expected = cases[i].expected ? cases[i].expected : memory;

		fill(&pf, at + (uint64_t)cases[i].from, cases[i].size);
		DO(read_one(t, 0, &read, &pf, expected));
	}
	fill(&pf, at, 8);
	DO(read_one(t, 0, &byte, &pf, 0xa7));
	/* It is this read's alone. */
	fill(&pf, at, 0);
	DO(read_one(t, 0, &read, &pf, memory));
	DO(tool_peek(t, at, &seen, sizeof(seen)));
	CHECK(t, seen == memory, "memory is %#llx", (unsigned long long)seen);
	return 0;
}

/* Not where the instruction is tried again. */
static int given_retry(struct tool *t)
{
	uint64_t at = t->probe.targets + 64;
	const struct probe_op read = OP(READ, .size = 8, .arg = at);
	struct kvmi_v7_reply_pf pf;
	struct probe_op op;
	struct message m;

	fill(&pf, at, 8);
	DO(trap(t, 0, t->probe.targets, KVMI_WRITE | KVMI_EXEC));
	DO(begin_read(t, 0, &read, &m));
	DO(tool_reply(t, &m, KVMI_RETRY, &pf, sizeof(pf)));
	DO(next_fault(t, 0, at, KVMI_READ, &m));
	DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.out[0] == (PROBE_STAMP ^ at), "%#llx was read", (unsigned long long)op.out[0]);
	return 0;
}

/* Each vCPU has its own. */
static int given_two(struct tool *t)
{
	uint64_t at = t->probe.targets + 8;
	const struct probe_op read = OP(READ, .size = 2, .arg = at);
	struct kvmi_v7_reply_pf pf[2];
	struct message m[2];
	struct probe_op op;

	for (unsigned vcpu = 0; vcpu < 2; vcpu++) {
		DO(trap(t, vcpu, t->probe.targets, KVMI_WRITE | KVMI_EXEC));
		DO(begin_read(t, vcpu, &read, &m[vcpu]));
		fill(&pf[vcpu], at - vcpu, 3);
	}
	for (unsigned vcpu = 0; vcpu < 2; vcpu++)
		DO(answer(t, &m[vcpu], &pf[vcpu]));
	for (unsigned vcpu = 0; vcpu < 2; vcpu++) {
		DO(guest_wait(t, vcpu, &op));
		CHECK(t, op.out[0] == (vcpu ? 0xa2a1 : 0xa1a0), "vCPU %u read %#llx", vcpu,
		      (unsigned long long)op.out[0]);
	}
	return 0;
}

/* The tool is gone before the read: it is as if there had never been one. */
static int given_dies(struct tool *t)
{
	uint64_t at = t->probe.targets + 64;
	const struct probe_op read = OP(READ, .size = 8, .arg = at);
	struct kvmi_v7_reply_pf pf;
	struct message m;
	struct probe_op op;

	for (int i = 0; i < 3; i++) {
		fill(&pf, at, 8);
		DO(trap(t, 0, t->probe.targets, KVMI_WRITE | KVMI_EXEC));
		DO(begin_read(t, 0, &read, &m));
		DO(answer(t, &m, &pf));
		tool_hang_up(t);
		DO(tool_accept(t, NULL));
		DO(guest_wait(t, 0, NULL));
		DO(guest_start(t, 0, &read, 1, 1));
		DO(guest_wait(t, 0, &op));
		CHECK(t, op.out[0] == (PROBE_STAMP ^ at), "%#llx was read",
		      (unsigned long long)op.out[0]);
	}
	return 0;
}

/* Nothing of it is the tool's to see. */
static int given_hidden(struct tool *t)
{
	const struct kvmi_physical beyond = { .gpa = UINT64_C(1) << 52, .size = 8 };
	uint64_t before, after, at = t->probe.targets;
	const struct probe_op read = OP(READ, .size = 8, .arg = at);
	const uint64_t *gfn;
	struct kvmi_v7_reply_pf pf;
	struct message m;

	EXPECT(t, 0, tool_call(t, KVMI_GET_MAX_GFN, NULL, 0, &m));
	gfn = tool_data(&m, sizeof(*gfn));
	CHECK(t, gfn, "GET_MAX_GFN answers %u bytes", m.header.size);
	before = *gfn;
	fill(&pf, at, 8);
	DO(trap(t, 0, at, KVMI_WRITE | KVMI_EXEC));
	DO(read_one(t, 0, &read, &pf, 0xa7a6a5a4a3a2a1a0));
	EXPECT(t, 0, tool_call(t, KVMI_GET_MAX_GFN, NULL, 0, &m));
	gfn = tool_data(&m, sizeof(*gfn));
	after = gfn ? *gfn : 0;
	CHECK(t, after == before, "%#llx frames, and %#llx before", (unsigned long long)after,
	      (unsigned long long)before);
	EXPECT(t, KVMI_ENOENT, tool_call(t, KVMI_READ_PHYSICAL, &beyond, sizeof(beyond), &m));
	return 0;
}

/* Code of the test's own, in the last scratch page. */
#define CODE(t)   ((t)->probe.scratch + (PROBE_TARGETS - 1) * KVMI_PAGE)
#define TARGET(t) ((t)->probe.scratch + KVMI_PAGE)
#define SOURCE(t) ((t)->probe.targets)

/* What is read is given; what is made of it is written to memory. */
static int given_modify(struct tool *t)
{
	/* mov $TARGET, %rax; addq $1, (%rax); ret */
	uint8_t code[] = { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x83, 0x00, 0x01, 0xc3 };
	uint64_t at = TARGET(t), zero = 0, seen;
	const struct probe_op run = OP(EXEC, .arg = CODE(t));
	struct kvmi_v7_reply_pf pf = { .gva = at, .size = 8, .data = { 100 } };
	struct message m;

	memcpy(code + 2, &at, sizeof(at));
	DO(tool_poke(t, CODE(t), code, sizeof(code)));
	DO(trap(t, 0, at, KVMI_WRITE | KVMI_EXEC));
	DO(guest_start(t, 0, &run, 1, 1));
	DO(next_fault(t, 0, at, KVMI_READ, &m));
	DO(answer(t, &m, &pf));
	DO(guest_wait(t, 0, NULL));
	DO(tool_peek(t, at, &seen, sizeof(seen)));
	CHECK(t, seen == 101, "memory is %llu", (unsigned long long)seen);
	return tool_poke(t, at, &zero, sizeof(zero));
}

#define ROUNDS 4

/* rep movsb of ROUNDS bytes from SOURCE to TARGET, `times` times. */
static int copy(struct tool *t, uint64_t times)
{
	/* mov $SOURCE, %rsi; mov $TARGET, %rdi; mov $ROUNDS, %ecx; rep movsb; ret */
	uint8_t code[] = { 0x48, 0xbe, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0,
			   0xb9, ROUNDS, 0, 0, 0, 0xf3, 0xa4, 0xc3 };
	uint64_t from = SOURCE(t), to = TARGET(t);
	const struct probe_op run = OP(EXEC, .arg = CODE(t));

	memcpy(code + 2, &from, sizeof(from));
	memcpy(code + 12, &to, sizeof(to));
	DO(tool_poke(t, CODE(t), code, sizeof(code)));
	return guest_start(t, 0, &run, 1, times);
}

/* The rest of it is not told of; what is copied is memory's, but for the first `given` bytes. */
static int copied(struct tool *t, unsigned given)
{
	const uint8_t zero[ROUNDS] = { 0 };
	uint8_t from[ROUNDS], to[ROUNDS];

	DO(guest_wait(t, 0, NULL));
	DO(tool_peek(t, SOURCE(t), from, sizeof(from)));
	DO(tool_peek(t, TARGET(t), to, sizeof(to)));
	for (unsigned i = 0; i < ROUNDS; i++)
		CHECK(t, to[i] == (i < given ? 0xa0 + i : from[i]), "byte %u is %#x", i, to[i]);
	return tool_poke(t, TARGET(t), zero, sizeof(zero));
}

/* One round: the read and the write. */
static int round_told(struct tool *t, unsigned n, const struct kvmi_v7_reply_pf *read,
		      const struct kvmi_v7_reply_pf *write)
{
	struct message m;

	DO(next_fault(t, 0, SOURCE(t) + n, KVMI_READ, &m));
	DO(answer(t, &m, read));
	DO(next_fault(t, 0, TARGET(t) + n, KVMI_WRITE, &m));
	return answer(t, &m, write);
}

static int rep(struct tool *t)
{
	const struct kvmi_v7_reply_pf none = { 0 }, complete = { .rep_complete = 1 };

	DO(trap(t, 0, SOURCE(t), KVMI_WRITE | KVMI_EXEC));
	DO(trap(t, 0, TARGET(t), KVMI_READ | KVMI_EXEC));
	/* The last reply of a round says it. */
	DO(copy(t, 1));
	for (unsigned n = 0; n < ROUNDS; n++)
		DO(round_told(t, n, &complete, &none));
	DO(copied(t, 0));
	/* From the round behind it on, and the instruction's next time is another. */
	DO(copy(t, 2));
	for (int time = 0; time < 2; time++) {
		DO(round_told(t, 0, &none, &none));
		DO(round_told(t, 1, &none, &complete));
	}
	return copied(t, 0);
}

static int rep_given(struct tool *t)
{
	struct kvmi_v7_reply_pf pf;
	const struct kvmi_v7_reply_pf none = { 0 };
	struct message m;

	DO(trap(t, 0, SOURCE(t), KVMI_WRITE | KVMI_EXEC));
	/* What there is data for is not told of. */
	fill(&pf, SOURCE(t), 2);
	DO(copy(t, 1));
	DO(next_fault(t, 0, SOURCE(t), KVMI_READ, &m));
	DO(answer(t, &m, &pf));
	for (unsigned n = 2; n < ROUNDS; n++) {
		DO(next_fault(t, 0, SOURCE(t) + n, KVMI_READ, &m));
		DO(answer(t, &m, &none));
	}
	DO(copied(t, 2));
	/* The rest, which is not told of either, is memory's. */
	pf.rep_complete = 1;
	DO(copy(t, 1));
	DO(next_fault(t, 0, SOURCE(t), KVMI_READ, &m));
	DO(answer(t, &m, &pf));
	return copied(t, 2);
}

const struct test tests_given[] = {
	{ "given", given, true, false },
	{ "given-retry", given_retry, true, false },
	{ "given-two", given_two, true, false },
	{ "given-dies", given_dies, true, false },
	{ "given-hidden", given_hidden, true, false },
	{ "given-modify", given_modify, true, false },
	{ "rep", rep, true, false },
	{ "rep-given", rep_given, true, false },
	{ NULL, NULL, false, false },
};
