/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

#include "tool.h"

uint16_t tool_id(const struct tool *t, enum kvmi_command command)
{
	static const int16_t ids[][2] = {
#define ID(NAME, class, v7, v12) { v7, v12 },
		KVMI_COMMANDS(ID)
	};

	return (uint16_t)ids[command][t->generation];
}

uint16_t tool_event_id(const struct tool *t, enum kvmi_event event)
{
	static const int16_t ids[][2] = {
#define ID_OF_EVENT(NAME, v7, v12) { v7, v12 },
		KVMI_EVENTS(ID_OF_EVENT)
	};

	return (uint16_t)ids[event][t->generation];
}

int tool_wait(struct tool *t, uint16_t id, uint32_t seq, struct message *reply)
{
	struct kvmi_status status;

	for (;;) {
		if (tool_read(t, reply) < 0)
			return TOOL_FAILED;
		if (!tool_is_event(t, reply))
			break;
		if (t->events == EVENTS_MOST)
			return fail(t, "more events than this test can keep"), TOOL_FAILED;
		t->event[t->events++] = *reply;
	}
	memcpy(&status, reply->payload, sizeof(status));
	if (reply->header.id != id || reply->header.seq != seq || status.pad ||
	    reply->header.size < sizeof(status) ||
	    (status.err && reply->header.size != sizeof(status))) {
		fail(t, "the reply to id %u, seq %u is of id %u, seq %u, %u bytes, error %d", id, seq,
		     reply->header.id, reply->header.seq, reply->header.size, status.err);
		return TOOL_FAILED;
	}
	return status.err;
}

int tool_call(struct tool *t, enum kvmi_command command, const void *payload, size_t size,
	      struct message *reply)
{
	uint16_t id = tool_id(t, command);
	struct message own;

	if (tool_send(t, id, ++t->seq, payload, size) < 0)
		return TOOL_FAILED;
	return tool_wait(t, id, t->seq, reply ? reply : &own);
}

int tool_vcpu(struct tool *t, unsigned vcpu, enum kvmi_command command, const void *payload,
	      size_t size, struct message *reply)
{
	uint8_t bytes[KVMI_PAYLOAD_MOST];
	const struct kvmi_vcpu header = { .vcpu = (uint16_t)vcpu };

	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	return tool_call(t, command, bytes, sizeof(header) + size, reply);
}

const void *tool_data(const struct message *reply, size_t size)
{
	return reply->header.size == sizeof(struct kvmi_status) + size ?
	       reply->payload + sizeof(struct kvmi_status) : NULL;
}

static size_t common_size(const struct tool *t)
{
	return t->generation == KVMI_V7 ? sizeof(struct kvmi_v7_event) :
	       sizeof(struct kvmi_v12_event) + sizeof(struct kvmi_v12_common);
}

struct kvmi_arch *tool_arch(const struct tool *t, struct message *m)
{
	return (struct kvmi_arch *)(m->payload + common_size(t) - sizeof(struct kvmi_arch));
}

void *tool_part(const struct tool *t, struct message *m)
{
	return m->payload + common_size(t);
}

int tool_event(struct tool *t, enum kvmi_event event, unsigned vcpu, size_t part,
	       struct message *m)
{
	const struct kvmi_v12_event *v12 = (const void *)m->payload;
	const struct kvmi_v12_common *common = (const void *)(v12 + 1);
	const struct kvmi_v7_event *v7 = (const void *)m->payload;
	uint16_t id, index, size;

	if (t->events) {
		*m = t->event[0];
		memmove(t->event, t->event + 1, --t->events * sizeof(*m));
	} else {
		DO(tool_read(t, m));
	}
	CHECK(t, tool_is_event(t, m), "a reply (id %u) where an event was to come", m->header.id);
	id = t->generation == KVMI_V7 ? v7->event : v12->event;
	index = t->generation == KVMI_V7 ? v7->vcpu : common->vcpu;
	size = t->generation == KVMI_V7 ? v7->size : common->size;
	CHECK(t, id == tool_event_id(t, event) && index == vcpu && size == 544 &&
	      m->header.size == common_size(t) + part,
	      "event %u of vCPU %u, %u bytes (%u of them common), not %u of vCPU %u with %zu", id, index,
	      m->header.size, size, tool_event_id(t, event), vcpu, common_size(t) + part);
	return 0;
}

int tool_reply(struct tool *t, const struct message *event, enum kvmi_action action,
	       const void *data, size_t size)
{
	const struct kvmi_v12_common *v12 =
		(const void *)(event->payload + sizeof(struct kvmi_v12_event));
	const struct kvmi_v7_event *v7 = (const void *)event->payload;
	struct {
		struct kvmi_vcpu vcpu;
		struct kvmi_event_reply reply;
		uint8_t data[sizeof(struct kvmi_v7_reply_pf)];
	} r = { .vcpu.vcpu = t->generation == KVMI_V7 ? v7->vcpu : v12->vcpu,
		.reply.action = (uint8_t)action };

	if (size)
		memcpy(r.data, data, size);
	return tool_send(t, t->generation == KVMI_V7 ? KVMI_V7_EVENT_REPLY : KVMI_V12_VCPU_EVENT,
			 event->header.seq, &r, sizeof(r.vcpu) + sizeof(r.reply) + size);
}

int tool_reply_value(struct tool *t, const struct message *event, uint64_t value)
{
	return tool_reply(t, event, KVMI_CONTINUE, &value, sizeof(value));
}

int tool_pause(struct tool *t, unsigned vcpu, bool wait)
{
	const struct kvmi_v12_pause p12 = { .vcpu = (uint16_t)vcpu, .wait = wait };
	const struct kvmi_v7_pause p7 = { .wait = wait };

	return t->generation == KVMI_V12 ? tool_call(t, KVMI_PAUSE, &p12, sizeof(p12), NULL) :
	       tool_vcpu(t, vcpu, KVMI_PAUSE, &p7, sizeof(p7), NULL);
}

int tool_control(struct tool *t, unsigned vcpu, enum kvmi_event event, bool enable)
{
	const struct kvmi_control_events c = { .event = tool_event_id(t, event), .enable = enable };

	return tool_vcpu(t, vcpu, KVMI_VCPU_CONTROL_EVENTS, &c, sizeof(c), NULL);
}

int tool_cr(struct tool *t, unsigned vcpu, unsigned cr, bool enable)
{
	const struct kvmi_v12_control_cr c12 = { .cr = (uint8_t)cr, .enable = enable };
	const struct kvmi_v7_control_cr c7 = { .cr = cr, .enable = enable };

	return t->generation == KVMI_V12 ?
	       tool_vcpu(t, vcpu, KVMI_CONTROL_CR, &c12, sizeof(c12), NULL) :
	       tool_vcpu(t, vcpu, KVMI_CONTROL_CR, &c7, sizeof(c7), NULL);
}

int tool_msr(struct tool *t, unsigned vcpu, uint32_t msr, bool enable)
{
	const struct kvmi_control_msr c = { .msr = msr, .enable = enable };

	return tool_vcpu(t, vcpu, KVMI_CONTROL_MSR, &c, sizeof(c), NULL);
}

int tool_step(struct tool *t, unsigned vcpu, bool enable)
{
	const struct kvmi_singlestep s = { .enable = enable };

	return tool_vcpu(t, vcpu, KVMI_CONTROL_SINGLESTEP, &s, sizeof(s), NULL);
}

int tool_access(struct tool *t, unsigned view, uint64_t gpa, uint8_t access)
{
	struct {
		union {
			struct kvmi_v7_page_access v7;
			struct kvmi_v12_page_access v12;
		};
		struct kvmi_page_access_entry entry;
	} m = { .entry = { .gpa = gpa, .access = access } };

	if (t->generation == KVMI_V7)
		m.v7 = (struct kvmi_v7_page_access){ .view = (uint16_t)view, .count = 1 };
	else
		m.v12 = (struct kvmi_v12_page_access){ .count = 1 };
	return tool_call(t, KVMI_SET_PAGE_ACCESS, &m, sizeof(m), NULL);
}

int tool_peek(struct tool *t, uint64_t gpa, void *data, size_t size)
{
	uint8_t *to = data;

	while (size) {
		uint64_t left = KVMI_PAGE - gpa % KVMI_PAGE;
		const struct kvmi_physical p = { .gpa = gpa, .size = left < size ? left : size };
		const void *bytes;
		struct message m;

		EXPECT(t, 0, tool_call(t, KVMI_READ_PHYSICAL, &p, sizeof(p), &m));
		bytes = tool_data(&m, p.size);
		CHECK(t, bytes, "READ_PHYSICAL answers %u bytes", m.header.size);
		memcpy(to, bytes, p.size);
		to += p.size;
		gpa += p.size;
		size -= p.size;
	}
	return 0;
}

int tool_poke(struct tool *t, uint64_t gpa, const void *data, size_t size)
{
	struct {
		struct kvmi_physical p;
		uint8_t data[KVMI_PAGE];
	} m = { .p = { .gpa = gpa, .size = size } };

	memcpy(m.data, data, size);
	EXPECT(t, 0, tool_call(t, KVMI_WRITE_PHYSICAL, &m, sizeof(m.p) + size, NULL));
	return 0;
}

static uint64_t field(unsigned vcpu, size_t offset)
{
	return PROBE_VCPU_GPA + (uint64_t)vcpu * PROBE_VCPU_SIZE + offset;
}

#define FIELD(vcpu, name) field(vcpu, offsetof(struct probe_vcpu, name))

int guest_start(struct tool *t, unsigned vcpu, const struct probe_op *list, unsigned count,
		uint64_t repeat)
{
	uint32_t sequence, zero[2] = { 0, 0 };

	DO(tool_poke(t, FIELD(vcpu, op), list, count * sizeof(*list)));
	DO(tool_poke(t, FIELD(vcpu, repeat), &repeat, sizeof(repeat)));
	DO(tool_poke(t, FIELD(vcpu, op_count), &count, sizeof(count)));
	DO(tool_poke(t, FIELD(vcpu, release), zero, sizeof(zero)));
	DO(tool_peek(t, FIELD(vcpu, sequence), &sequence, sizeof(sequence)));
	sequence++;
	return tool_poke(t, FIELD(vcpu, sequence), &sequence, sizeof(sequence));
}

int guest_stop(struct tool *t, unsigned vcpu)
{
	const uint32_t one = 1;

	return tool_poke(t, FIELD(vcpu, stop), &one, sizeof(one));
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

int guest_wait(struct tool *t, unsigned vcpu, struct probe_op *result)
{
	uint64_t end = now_ms() + WAIT_MS;
	uint32_t sequence, done, state;

	for (;;) {
		DO(tool_peek(t, FIELD(vcpu, sequence), &sequence, sizeof(sequence)));
		DO(tool_peek(t, FIELD(vcpu, done), &done, sizeof(done)));
		DO(tool_peek(t, FIELD(vcpu, state), &state, sizeof(state)));
		if (sequence == done)
			break;
		CHECK(t, !t->events, "an event came that was not to");
		CHECK(t, state != PROBE_PANIC, "the probe's vCPU %u panics", vcpu);
		CHECK(t, now_ms() < end, "the probe's vCPU %u does not finish", vcpu);
		nap();
	}
	return result ? tool_peek(t, FIELD(vcpu, op), result, sizeof(*result)) : 0;
}

int guest_beats(struct tool *t, unsigned vcpu, uint64_t *beats)
{
	return tool_peek(t, FIELD(vcpu, beats), beats, sizeof(*beats));
}

int guest_moves(struct tool *t, unsigned vcpu)
{
	uint64_t end = now_ms() + WAIT_MS, before, after;

	DO(guest_beats(t, vcpu, &before));
	do {
		CHECK(t, now_ms() < end, "vCPU %u stands still where it should run", vcpu);
		nap();
		DO(guest_beats(t, vcpu, &after));
	} while (after == before);
	return 0;
}
