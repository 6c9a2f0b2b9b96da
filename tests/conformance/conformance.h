/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

/* What the tests of scry-conformance stand on. */
#include <stdbool.h>

#include <scry/scry.h>

#include "probe.h"

/*
 * For what takes moments; long for a loaded host: 60 seconds, or what the environment
 * says as SCRY_TEST_PATIENCE, in seconds, where the guest's host is itself emulated.
 */
#define WAIT_MS wait_ms()

/* One test's world: a fresh handle and a probe after RESET. */
struct ctx {
	const char *uri;
	struct scry_vm *vm;
	unsigned vcpus;
	struct probe_header probe;	/* as read when the handle was opened */
	uint64_t sequence[PROBE_VCPUS];	/* of the last event */
	struct scry_as *as[4];		/* the test's own, freed after it */
	unsigned as_count;
	bool unsupported;		/* a call said that the driver cannot do it */
	char why[512];			/* set by fail() and skip() */
};

struct test {
	const char *name;
	int (*run)(struct ctx *c);	/* 0, -1 after fail(), 1 after skip() */
	unsigned needs[3];		/* enum scry_cap: skipped when the driver lacks one */
};

/* All of the capability: skipped when the driver's note begins with "only". */
#define WHOLE_CAP  0x1000u
#define WHOLE(cap) (SCRY_CAP_##cap | WHOLE_CAP)

/* Is there all of it? */
bool whole(struct ctx *c, enum scry_cap cap);

/*
 * So often; less, with SCRY_CONFORMANCE_SHARE=10 a tenth, where each event takes
 * milliseconds: in an emulator's emulator.
 */
unsigned many(unsigned times);

/* A test's table ends with a NULL name.  VCPU_COUNT stands for "needs nothing". */
extern const struct test tests_vm[], tests_memory[], tests_paging[], tests_pause[], tests_regs[],
	tests_msr[], tests_xsave[], tests_cr[], tests_cpuid[], tests_msr_events[], tests_int3[],
	tests_flow[], tests_held[], tests_sites[], tests_io[], tests_int[],
	tests_step[], tests_step_exact[], tests_trapped[], tests_int_replies[],
	tests_inject[], tests_memory_events[], tests_mmio[], tests_moves[], tests_views[],
	tests_view_tables[], tests_breakpoints[], tests_break_kernel[], tests_watchpoints[],
	tests_watch_beside[], tests_power[], tests_pt[], tests_killed[];

/*
 * runner.c: those of the tables (NULL at the end) that are named, or all; a line for each,
 * and how many.  True if none failed.
 */
bool tests_run(const char *uri, const struct test *const *tables, char *const *names);

/* Note why the test failed; -1. */
int fail(struct ctx *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Note what the guest's processor lacks for this test; 1. */
int skip(struct ctx *c, const char *what);

#define CHECK(c, condition, ...) \
	do { \
		if (!(condition)) \
			return fail(c, __VA_ARGS__); \
	} while (0)

/*
 * A call of libscry that must succeed.  SCRY_E_UNSUPPORTED makes the test one that is
 * skipped, for the reason given: the suite says which driver may.
 */
#define OK(c, call) \
	do { \
		int ok_ = (call); \
		(c)->unsupported |= ok_ == SCRY_E_UNSUPPORTED; \
		if (ok_ < 0) \
			return fail(c, "%s: %s (%s)", #call, scry_errmsg(), scry_strerror(ok_)); \
	} while (0)

/* A call of libscry that must fail in this way, with a sentence. */
#define REFUSED(c, call, code) \
	do { \
		int got_ = (call); \
		(c)->unsupported |= got_ == SCRY_E_UNSUPPORTED && got_ != (code); \
		if (got_ != (code)) \
			return fail(c, "%s gave %d, not %s", #call, got_, #code); \
		if (!*scry_errmsg()) \
			return fail(c, "%s failed without a sentence", #call); \
	} while (0)

/* A function that has said itself why it failed. */
#define DO(call) \
	do { \
		if ((call) < 0) \
			return -1; \
	} while (0)

/* world.c */
uint64_t now_ms(void);
int wait_ms(void);
void sleep_ms(unsigned ms);
int world_open(struct ctx *c);		/* opens c->vm, and waits for the probe */
int world_reset(struct ctx *c);		/* the probe as after boot */
void world_close(struct ctx *c);
/* Handles that world_close() frees. */
int world_as(struct ctx *c, struct scry_as **as);
int world_as_open(struct ctx *c, uint64_t root, struct scry_as **as);

/* mailbox.c: the probe's mailbox.  The vCPUs are those of the same number. */
#define OP(NAME, ...) ((struct probe_op){ .code = PROBE_OP_##NAME, __VA_ARGS__ })
#define FOREVER UINT64_MAX
#define WAKE    0x40	/* interrupt vector whose handler ends it at the local APIC */

int guest_start(struct ctx *c, unsigned vcpu, const struct probe_op *list, unsigned count,
		uint64_t repeat);
int guest_start_all(struct ctx *c, const struct probe_op *list, unsigned count,
		    uint64_t repeat);
/* 1 = the command is finished, 0 = not yet; a panic is a failure. */
int guest_done(struct ctx *c, unsigned vcpu);
int guest_wait(struct ctx *c, unsigned vcpu);
int guest_wait_waits(struct ctx *c, unsigned vcpu);	/* for PROBE_WAITS */
int guest_wait_rounds(struct ctx *c, unsigned vcpu, uint64_t rounds);	/* at least */
int guest_release(struct ctx *c, unsigned vcpu);
int guest_stop(struct ctx *c, unsigned vcpu);		/* and wait for the end of the list */
int guest_recover(struct ctx *c, unsigned vcpu);	/* the same, from a panic too */
int guest_go(struct ctx *c, uint32_t value);
int guest_block(struct ctx *c, unsigned vcpu, struct probe_vcpu *block);
int guest_beats(struct ctx *c, unsigned vcpu, uint64_t *beats);
/* Start, wait, and read the block. */
int guest_run(struct ctx *c, unsigned vcpu, const struct probe_op *list, unsigned count,
	      uint64_t repeat, struct probe_vcpu *block);
/* One operation once; its result. */
int guest_do(struct ctx *c, unsigned vcpu, struct probe_op op, struct probe_op *result);
/* Pause the vCPU, on a driver that cannot do that alone the whole VM. */
int guest_halt(struct ctx *c, unsigned vcpu);
int guest_unhalt(struct ctx *c, unsigned vcpu);
int guest_moves(struct ctx *c, unsigned vcpu);		/* its beats go on */
int guest_stands(struct ctx *c, unsigned vcpu);		/* and here they do not */

/* pump.c: receive and answer events while the guest works. */
struct pump {
	struct ctx *c;
	/* Look at the event and fill the reply ("continue"); -1 after fail().  May be NULL. */
	int (*answer)(struct pump *p, const struct scry_event *e, struct scry_reply *reply);
	void *opaque;
	struct scry_regs regs;	/* for the answer's use */
	uint64_t count[SCRY_EVENT_COUNT][PROBE_VCPUS];
	uint64_t total;
};

/* Until each vCPU of the mask has finished its command, and nothing more comes. */
int pump_run(struct pump *p, uint64_t vcpus);
#define ALL_VCPUS UINT64_MAX
/* The same, with no regard to what comes afterwards: the guest's polling is events, too. */
int pump_done(struct pump *p, uint64_t vcpus);
/* Subscribe, have every vCPU do the list so often, pump_run() meanwhile, and unsubscribe. */
int pump_all(struct pump *p, struct scry_subscription sub, const struct probe_op *list,
	     unsigned count, uint64_t repeat);
/*
 * Have vCPU 0 do the list so often, whose operations are one event each, with what
 * is subscribed, and hold each event for a while, its registers asked for.
 */
int pump_held(struct ctx *c, const struct probe_op *list, unsigned count, unsigned repeat,
	      struct probe_vcpu *block);
/* Answer "continue" until nothing more comes. */
int pump_drain(struct ctx *c);
/* Events as scry_event_wait() gives them, their sequence checked. */
int pump_wait(struct ctx *c, struct scry_event *events, size_t max, int timeout_ms);
/* One event, within WAIT_MS. */
int pump_one(struct ctx *c, struct scry_event *e);
int subscribe(struct ctx *c, struct scry_subscription sub);	/* its number */
#define SUB(KIND, ...) \
	((struct scry_subscription){ .sz = sizeof(struct scry_subscription), \
				     .kind = SCRY_EVENT_##KIND, __VA_ARGS__ })
#endif
