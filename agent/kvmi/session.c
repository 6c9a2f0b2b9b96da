/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "agent/accel.h"
#include "agent/client/client.h"
#include "agent/memory/memory_map.h"
#include "agent/memory/phys.h"
#include "agent/memory/substitute.h"
#include "answer.h"
#include "ids.h"
#include "options.h"
#include "out.h"
#include "serve.h"
#include "session.h"
#include "view.h"
#include "watch.h"

/* A kernel queues about as many pauses. */
#define PAUSES_MOST 1000u

static struct {
	struct kvmi_how how;	/* commands are answered */
	bool unhook, create;	/* the tool wants to be told of UNHOOK, of CREATE_VCPU */
} session;

void kvmi_session_init(void)
{
	for (unsigned i = 0; i < SCRY_AGENT_VCPUS; i++) {
		kvmi_states[i].vcpu = &vcpus[i];
		kvmi_mailbox_init(&kvmi_states[i].mail);
	}
}

static void reset(struct kvmi_state *state)
{
	kvmi_mailbox_clear(&state->mail);
	atomic_store(&state->pauses, 0);
	atomic_store(&state->late, false);
	atomic_store(&state->is_new, false);
	atomic_store(&state->events, 0);
	atomic_store(&state->crs, 0);
	atomic_store(&state->steps, false);
	for (unsigned i = 0; i < sizeof(state->msrs) / sizeof(state->msrs[0]); i++)
		atomic_store_explicit(&state->msrs[i], 0, memory_order_relaxed);
	atomic_store(&state->task, NULL);
	state->waits = state->sets = false;
	substitute_forget(state->vcpu);
}

static void begin(struct kvmi_state *state)
{
	reset(state);
	kvmi_mailbox_ready(&state->mail);
	atomic_store(&state->mail.released, false);
}

void kvmi_session_begin(void)
{
	memset(&session, 0, sizeof(session));
	/* vCPUs may have been plugged in since. */
	bql_lock();
	vcpu_find_all();
	qemu.bql_unlock();
	vcpu_serve(&kvmi_client);
	kvmi_view_init();
	for (unsigned i = 0; i < vcpu_count; i++)
		begin(&kvmi_states[i]);
}

void kvmi_session_plug(void)
{
	unsigned before = vcpu_count;

	bql_lock();
	vcpu_find_new();
	qemu.bql_unlock();
	for (unsigned i = before; i < vcpu_count; i++) {
		begin(&kvmi_states[i]);
		atomic_store(&kvmi_states[i].is_new, session.create);
		vcpu_call(kvmi_states[i].vcpu);
	}
}

void kvmi_session_end(void)
{
	client_take_back();
	for (unsigned i = 0; i < vcpu_count; i++)
		reset(&kvmi_states[i]);
	bql_lock();
	memory_map_forget();
	qemu.bql_unlock();
}

bool kvmi_session_unhook(void)
{
	const struct kvmi_v12_event v12 = { 0 };
	const struct kvmi_v7_event v7 = { .size = sizeof(v7) };

	if (!session.unhook)
		return false;
	if (kvmi_options.generation == KVMI_V12)
		kvmi_out_event(KVMI_V12_VM_EVENT, &v12, sizeof(v12), NULL, 0);
	else
		kvmi_out_event(KVMI_V7_EVENT, &v7, sizeof(v7), NULL, 0);
	return true;
}

static int answer_version(const struct kvmi_header *h)
{
	bool steps = kvmi_can_watch(KVMI_EVENT_SINGLESTEP);
	const struct kvmi_v12_version_reply v12 = { .version = 1, .max_message = KVMI_PAYLOAD_MOST,
						    .singlestep = steps };
	const struct kvmi_v7_version_reply v7 = { .version = 1, .eptp = kvmi_view_can_enter(),
						  .singlestep = steps };

	if (kvmi_options.generation == KVMI_V12)
		kvmi_answer(&session.how, h, 0, &v12, sizeof(v12));
	else
		kvmi_answer(&session.how, h, 0, &v7, sizeof(v7));
	return 0;
}

static int answer_info(const struct kvmi_header *h)
{
	const struct kvmi_info_reply info = { .vcpus = vcpu_count };

	kvmi_answer(&session.how, h, 0, &info, sizeof(info));
	return 0;
}

/* The first frame behind all that a kernel has memory slots for. */
static int answer_max_gfn(const struct kvmi_header *h)
{
	const struct memory_map *map;
	uint64_t gfn = 0;

	bql_lock();
	map = memory_map();
	for (uint32_t i = 0; i < map->count; i++)
		if (!(map->region[i].flags & SCRY_AGENT_REGION_FRAMES))
			gfn = (map->region[i].gpa + map->region[i].size) >> 12;
	qemu.bql_unlock();
	kvmi_answer(&session.how, h, 0, &gfn, sizeof(gfn));
	return 0;
}

/*
 * A kernel looks pages up as ones that can be written: it has none where there is ROM.
 * And none where the agent keeps substitutes.
 */
static bool is_closed(uint64_t gpa)
{
	const uint32_t closes = SCRY_REGION_ROM | SCRY_AGENT_REGION_FRAMES;
	const struct memory_map *map;
	bool closed = false;

	bql_lock();
	map = memory_map();
	for (uint32_t i = 0; i < map->count; i++)
		if (gpa >= map->region[i].gpa && gpa - map->region[i].gpa < map->region[i].size)
			closed = map->region[i].flags & closes;
	qemu.bql_unlock();
	return closed;
}

static int access_memory(const struct kvmi_header *h, const struct kvmi_request *r)
{
	bool write = r->command == KVMI_WRITE_PHYSICAL;
	uint8_t page[KVMI_PAGE];
	char text[160];
	int err = 0;

	if (write)
		memcpy(page, r->physical.data, r->physical.size);
	if (is_closed(r->physical.gpa) ||
	    phys_access(r->physical.gpa, page, r->physical.size, write, text, sizeof(text)) < 0)
		err = -KVMI_ENOENT;
	kvmi_answer(&session.how, h, err, page, write ? 0 : r->physical.size);
	return 0;
}

/*
 * An AP that the guest has not started yet does nothing, not even for the tool.  Of a vCPU
 * in KVM_RUN another thread cannot ask that: it finds out itself (command.c).
 */
static bool is_asleep(struct kvmi_state *state)
{
	return accel == &accel_tcg && !atomic_load(&state->mail.waits) && accel->waits_for_start(state->vcpu);
}

static int vcpu_error(unsigned vcpu)
{
	if (vcpu >= vcpu_count)
		return -KVMI_EINVAL;
	return is_asleep(&kvmi_states[vcpu]) ? -KVMI_EAGAIN : 0;
}

static int post(struct kvmi_state *state, const struct kvmi_header *h, const void *payload)
{
	if (kvmi_post(state, h, payload, session.how.silent, session.how.tells_errors) == 0)
		return 0;
	kvmi_out_hang_up("there are more commands under way than there is memory for");
	return -1;
}

/* The vCPU answers itself as soon as it has left the guest; other commands need not wait for that. */
static int answer_later(const struct kvmi_header *h, struct kvmi_state *state)
{
	const struct kvmi_header bare = { .id = h->id, .seq = h->seq };

	return post(state, &bare, "");
}

static int pause_vcpu(const struct kvmi_header *h, const struct kvmi_request *r)
{
	bool allowed = kvmi_event_allowed(KVMI_EVENT_PAUSE);
	int err;

	if (!allowed && kvmi_options.generation == KVMI_V7) {
		kvmi_out_hang_up("PAUSE, where its event is not allowed");
		return -1;
	}
	err = allowed ? vcpu_error(r->vcpu) : -KVMI_EPERM;
	if (!err && atomic_load(&kvmi_states[r->vcpu].pauses) >= PAUSES_MOST)
		err = -KVMI_EBUSY;
	if (!err && !kvmi_pause(&kvmi_states[r->vcpu], r->wait))
		return answer_later(h, &kvmi_states[r->vcpu]);
	kvmi_answer(&session.how, h, err, NULL, 0);
	return 0;
}

static int control_events(const struct kvmi_request *r)
{
	if (!kvmi_event_allowed(r->events.event))
		return -KVMI_EPERM;
	if (r->events.event == KVMI_EVENT_UNHOOK)
		session.unhook = r->events.enable;
	else
		session.create = r->events.enable;
	return 0;
}

/* From this command on, or from the next. */
static int control_answers(const struct kvmi_header *h, const struct kvmi_request *r)
{
	const struct kvmi_how how = { .silent = !r->response.enable,
				      .tells_errors = r->response.flags & 1 };

	if (r->response.now == 1)
		session.how = how;
	kvmi_answer(&session.how, h, 0, NULL, 0);
	session.how = how;
	return 0;
}

/* What answers by itself; else the error to answer in *err. */
static bool run_long(const struct kvmi_header *h, const struct kvmi_request *r, int *status)
{
	switch (r->command) {
	case KVMI_GET_VERSION:
		*status = answer_version(h);
		return true;
	case KVMI_GET_INFO:
		*status = answer_info(h);
		return true;
	case KVMI_GET_MAX_GFN:
		*status = answer_max_gfn(h);
		return true;
	case KVMI_READ_PHYSICAL:
	case KVMI_WRITE_PHYSICAL:
		*status = access_memory(h, r);
		return true;
	case KVMI_PAUSE:
		*status = pause_vcpu(h, r);
		return true;
	case KVMI_CONTROL_CMD_RESPONSE:
		*status = control_answers(h, r);
		return true;
	default:
		return false;
	}
}

static int run(const struct kvmi_request *r)
{
	switch (r->command) {
	case KVMI_CHECK_COMMAND:
		return kvmi_check_command(kvmi_options.generation, r->id);
	case KVMI_CHECK_EVENT:
		return kvmi_check_event(kvmi_options.generation, r->id);
	case KVMI_VM_CONTROL_EVENTS:
		return control_events(r);
	case KVMI_SET_PAGE_ACCESS:
		return kvmi_view_access(r);
	case KVMI_CONTROL_CLEANUP:	/* what it would leave behind does nothing without a tool */
		return 0;
	default:		/* #VE, SPP and mapping into another VM */
		return -KVMI_EOPNOTSUPP;
	}
}

static int vm_command(const struct kvmi_header *h, enum kvmi_command command,
		      const uint8_t *payload)
{
	struct kvmi_request request;
	int result, status = kvmi_request_take(kvmi_options.generation, command, payload, h->size,
					       &request);

	if (status == KVMI_HANG_UP) {
		kvmi_out_hang_up("a command that is too short for what it announces, or wrong padding");
		return -1;
	}
	if (!status) {
		if (run_long(h, &request, &result))
			return result;
		status = run(&request);
	}
	kvmi_answer(&session.how, h, status, NULL, 0);
	return 0;
}

/* A command to a vCPU, or the reply to its event. */
static int to_vcpu(const struct kvmi_header *h, const uint8_t *payload)
{
	unsigned vcpu;
	int err = kvmi_vcpu_take(kvmi_options.generation, payload, h->size, &vcpu);

	if (err == KVMI_HANG_UP) {
		kvmi_out_hang_up("wrong padding of a vCPU's number");
		return -1;
	}
	if (!err)
		err = vcpu_error(vcpu);
	if (err) {
		kvmi_answer(&session.how, h, err, NULL, 0);
		return 0;
	}
	return post(&kvmi_states[vcpu], h, payload);
}

static bool is_reply(uint16_t id)
{
	return id == (kvmi_options.generation == KVMI_V12 ? KVMI_V12_VCPU_EVENT : KVMI_V7_EVENT_REPLY);
}

bool kvmi_session_is_to_vcpu(const struct kvmi_header *h)
{
	int command = kvmi_command_of(kvmi_options.generation, h->id);

	return is_reply(h->id) ||
	       (command != KVMI_NONE && kvmi_is_vcpus((enum kvmi_command)command));
}

int kvmi_session_message(const struct kvmi_header *h, const uint8_t *payload)
{
	int command = kvmi_command_of(kvmi_options.generation, h->id);
	bool known = command != KVMI_NONE;
	bool allowed = known && kvmi_command_allowed((enum kvmi_command)command);

	if (is_reply(h->id))
		return to_vcpu(h, payload);
	/* Where nothing is answered, nothing can be wrong, and nothing asked for. */
	if (session.how.silent && (!allowed || kvmi_answers_data((enum kvmi_command)command))) {
		kvmi_out_hang_up("a command that must be answered, while answers are off");
		return -1;
	}
	if (!allowed) {
		kvmi_answer(&session.how, h, known ? -KVMI_EPERM : -KVMI_ENOSYS, NULL, 0);
		return 0;
	}
	if (kvmi_is_vcpus((enum kvmi_command)command))
		return to_vcpu(h, payload);
	return vm_command(h, (enum kvmi_command)command, payload);
}
