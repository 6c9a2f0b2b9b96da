/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef KVMI_TOOL_H
#define KVMI_TOOL_H

/* A KVMI tool that speaks raw bytes, for the tests of the server. */
#include <stdbool.h>

#include "probe.h"
#include "protocol/kvmi_event.h"

#define WAIT_MS 60000	/* for what takes moments; long for a loaded host */

struct message {
	struct kvmi_header header;
	uint8_t payload[KVMI_PAYLOAD_MOST];
};

#define EVENTS_MOST 64

struct tool {
	const char *path;
	enum kvmi_generation generation;
	int listener, fd;
	struct kvmi_handshake hello;
	uint32_t seq;			/* of the last command */
	unsigned events, vcpus;
	uint32_t lacks;			/* events that it cannot have: 1u << enum kvmi_event */
	struct message *event;		/* EVENTS_MOST: those that came while a reply was waited for */
	struct probe_header probe;
	char why[512];
};

/* A test's table ends with a NULL name. */
struct test {
	const char *name;
	int (*run)(struct tool *t);	/* 0, or -1 after fail() */
	bool v7, v12;			/* with which generation */
};

extern const struct test tests_commands[], tests_events[], tests_flow[], tests_hostile[],
	tests_denied[], tests_key[], tests_asleep[], tests_hold[],
	tests_trace[], tests_dies[], tests_stuck[], tests_attack[], tests_frozen[],
	tests_given[];

int fail(struct tool *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define CHECK(t, condition, ...) \
	do { \
		if (!(condition)) \
			return fail(t, __VA_ARGS__); \
	} while (0)

#define DO(call) \
	do { \
		if ((call) < 0) \
			return -1; \
	} while (0)

/* A command answers with this error (positive, 0 = none). */
#define EXPECT(t, err, call) \
	do { \
		int got_ = (call); \
		if (got_ == TOOL_FAILED) \
			return -1; \
		if (got_ != -(err)) \
			return fail(t, "%s answered %d, not %d", #call, got_, -(err)); \
	} while (0)

#define TOOL_FAILED (-100000)

uint64_t now_ms(void);

/* tool.c: the connection */
int tool_listen(struct tool *t);
/* Take QEMU's connection, greet it, and know the probe. */
int tool_accept(struct tool *t, const uint8_t *cookie);
int tool_greet(struct tool *t, const void *answer, size_t size);
void tool_hang_up(struct tool *t);
/* The server hangs up. */
int tool_closed(struct tool *t);
int tool_write(struct tool *t, const void *bytes, size_t size);
int tool_send(struct tool *t, uint16_t id, uint32_t seq, const void *payload, size_t size);
/* Whatever comes next. */
int tool_read(struct tool *t, struct message *m);
bool tool_is_event(const struct tool *t, const struct message *m);
/* Nothing comes for a while. */
int tool_quiet(struct tool *t, unsigned ms);

/* call.c: commands and events */
uint16_t tool_id(const struct tool *t, enum kvmi_command command);
uint16_t tool_event_id(const struct tool *t, enum kvmi_event event);
/* Send, wait for its reply, keep events: the error it answers, or TOOL_FAILED. */
int tool_call(struct tool *t, enum kvmi_command command, const void *payload, size_t size,
	      struct message *reply);
int tool_wait(struct tool *t, uint16_t id, uint32_t seq, struct message *reply);
/* The same of a vCPU's command: its struct kvmi_vcpu is put in front. */
int tool_vcpu(struct tool *t, unsigned vcpu, enum kvmi_command command, const void *payload,
	      size_t size, struct message *reply);
const void *tool_data(const struct message *reply, size_t size);	/* NULL = another size */
/* The next event, which is this one, of this vCPU; its own part is of that size. */
int tool_event(struct tool *t, enum kvmi_event event, unsigned vcpu, size_t part,
	       struct message *m);
struct kvmi_arch *tool_arch(const struct tool *t, struct message *m);
void *tool_part(const struct tool *t, struct message *m);
int tool_reply(struct tool *t, const struct message *event, enum kvmi_action action,
	       const void *data, size_t size);
int tool_reply_value(struct tool *t, const struct message *event, uint64_t value);

/* lacks.c: which events the server says that it cannot have under KVM; is a test one of those? */
int tool_find_lacks(struct tool *t);
bool tool_skips(const struct tool *t, const struct test *test);
static inline bool tool_lacks(const struct tool *t, enum kvmi_event event)
{
	return t->lacks >> event & 1;
}

/* Commands as the tests use them most. */
int tool_pause(struct tool *t, unsigned vcpu, bool wait);
int tool_control(struct tool *t, unsigned vcpu, enum kvmi_event event, bool enable);
int tool_cr(struct tool *t, unsigned vcpu, unsigned cr, bool enable);
int tool_msr(struct tool *t, unsigned vcpu, uint32_t msr, bool enable);
int tool_step(struct tool *t, unsigned vcpu, bool enable);
int tool_access(struct tool *t, unsigned view, uint64_t gpa, uint8_t access);
int tool_peek(struct tool *t, uint64_t gpa, void *data, size_t size);
int tool_poke(struct tool *t, uint64_t gpa, const void *data, size_t size);

/* The probe's mailbox through it. */
#define OP(NAME, ...) ((struct probe_op){ .code = PROBE_OP_##NAME, __VA_ARGS__ })
int guest_start(struct tool *t, unsigned vcpu, const struct probe_op *list, unsigned count,
		uint64_t repeat);
int guest_stop(struct tool *t, unsigned vcpu);	/* after the operation under way */
int guest_wait(struct tool *t, unsigned vcpu, struct probe_op *result);	/* of the first */
int guest_beats(struct tool *t, unsigned vcpu, uint64_t *beats);
int guest_moves(struct tool *t, unsigned vcpu);

#endif
