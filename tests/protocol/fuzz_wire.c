/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The driver against an agent whose messages, slots and events are those of a
 * good one with parts overwritten by the fuzzer: every call comes back, with a
 * sentence if it failed, and no descriptor stays open.
 */
#include <stdlib.h>
#include <string.h>

#include <scry/scry.h>

#include "endpoint.h"
#include "protocol/futex.h"

#define VCPUS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of the input.  Whoever answers the call at hand takes from it. */
static struct {
	pthread_mutex_t lock;
	const uint8_t *data;
	size_t size;
} input = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct endpoint endpoint;

/* Take n bytes, zeros when the input is used up.  Called with the lock held. */
static void take(void *to, size_t n)
{
	size_t have = n < input.size ? n : input.size;

	memset(to, 0, n);
	if (have)
		memcpy(to, input.data, have);
	input.data += have;
	input.size -= have;
}

static uint8_t take_byte(void)
{
	uint8_t byte;

	take(&byte, 1);
	return byte;
}

static uint16_t take_short(void)
{
	uint16_t value;

	take(&value, sizeof(value));
	return value;
}

/* Overwrite some stretches of what a good agent would have there. */
static void patch(void *to, size_t size)
{
	for (unsigned n = take_byte() % 4; n; n--) {
		size_t offset = take_short() % size, len = take_byte() % 32;

		take((char *)to + offset, len < size - offset ? len : size - offset);
	}
}

/* In the endpoint's thread, on each reply. */
static void spoil(struct endpoint *e, struct packet *r)
{
	uint8_t how;

	pthread_mutex_lock(&input.lock);
	how = take_byte();
	if (how & 1)
		patch(r->bytes, r->len < sizeof(r->map) ? sizeof(r->map) : r->len);
	if (how & 2)
		r->len = take_short();
	if (how & 4)
		r->fd_count = take_byte() % ENDPOINT_FDS;
	for (unsigned i = 0; how & 4 && i < r->fd_count; i++)
		r->fds[i] = i % 2 ? e->bell[1] : take_byte() % 2 ? e->ram_fd : e->shared_fd;
	if ((how & 0xf8) == 0xf8)
		r->fate = HANG_UP;
	if (e->shared)
		for (unsigned i = 0; i < VCPUS; i++)
			atomic_store(&endpoint_slot(e, i)->stopped, 1);
	pthread_mutex_unlock(&input.lock);
}

/* Carry out a command: results, status and text as the input has them. */
static void serve(struct scry_agent_slot *slot)
{
	uint32_t command = atomic_load(&slot->command);

	if (command == atomic_load(&slot->done))
		return;
	pthread_mutex_lock(&input.lock);
	slot->status = (int8_t)take_byte() % 20;
	slot->xsave_size = take_short() % 10000;
	if (slot->status)
		patch(slot->text, sizeof(slot->text));
	pthread_mutex_unlock(&input.lock);
	atomic_store(&slot->done, command);
	scry_futex_wake(&slot->done);
}

static _Atomic bool quit;

static void *serve_slots(void *unused)
{
	(void)unused;
	while (!quit)
		for (unsigned i = 0; i < VCPUS; i++)
			serve(endpoint_slot(&endpoint, i));
	return NULL;
}

static void raise_event(void)
{
	unsigned vcpu;
	struct scry_agent_slot *slot;
	uint32_t seq;

	pthread_mutex_lock(&input.lock);
	vcpu = take_byte() % VCPUS;
	slot = endpoint_slot(&endpoint, vcpu);
	seq = atomic_load(&slot->event_seq) + 1;
	slot->event = (struct scry_event){ .kind = take_byte() % 8, .vcpu = vcpu, .sequence = seq };
	patch(&slot->event, sizeof(slot->event));
	atomic_store(&slot->event_seq, seq);
	pthread_mutex_unlock(&input.lock);
}

static int wait_and_reply(struct scry_vm *vm, bool with_regs)
{
	static const struct scry_regs regs;
	struct scry_reply reply = { .sz = sizeof(reply), .regs = &regs,
				    .set = with_regs ? SCRY_REGS_ALL : 0 };
	struct scry_event events[VCPUS];
	int n, ret = 0;

	raise_event();
	n = scry_event_wait(vm, events, VCPUS, 1);
	for (int i = 0; i < n && !ret; i++)
		ret = scry_reply(vm, &events[i], &reply);
	return n < 0 ? n : ret;
}

static int subscribe(struct scry_vm *vm)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CPUID };
	int number = scry_subscribe(vm, &sub);

	return number < 0 ? number : scry_unsubscribe(vm, number);
}

static int map_again(struct scry_vm *vm)
{
	struct scry_region regions[4];

	atomic_fetch_add(&endpoint.shared->life.generation, 1);
	return scry_memory_map(vm, regions, 4);
}

static int one_call(struct scry_vm *vm, uint8_t what)
{
	static unsigned char buf[SCRY_AGENT_CHUNK + 4096];
	struct scry_regs regs;
	uint64_t value;

	switch (what % 12) {
	case 0:
		return scry_read_phys(vm, ENDPOINT_FAR, buf, 64);
	case 1:
		return scry_read_phys(vm, ENDPOINT_SHARED - 64, buf, sizeof(buf));
	case 2:
		return scry_write_phys(vm, 0, buf, sizeof(buf));
	case 3:
		return map_again(vm);
	case 4:
		return scry_regs_get(vm, 0, &regs);
	case 5:
		return scry_msr_get(vm, 1, 1, &value);
	case 6:
		return scry_xsave_get(vm, 0, buf, sizeof(buf));
	case 7:
		return subscribe(vm);
	case 8:
		return scry_pause(vm);
	case 9:
		return scry_resume(vm);
	case 10:
		return wait_and_reply(vm, false);
	default:
		return wait_and_reply(vm, true);
	}
}

static void must_say_why(int ret)
{
	if (ret < 0 && !scry_errmsg()[0])
		abort();
}

static void use(struct scry_vm *vm)
{
	struct scry_info info = { .sz = sizeof(info) };
	pthread_t thread;

	quit = false;
	endpoint_must(!pthread_create(&thread, NULL, serve_slots, NULL), "thread");
	must_say_why(scry_info(vm, &info));
	for (int i = 0; i < 16; i++) {
		uint8_t what;

		pthread_mutex_lock(&input.lock);
		what = take_byte();
		pthread_mutex_unlock(&input.lock);
		must_say_why(one_call(vm, what));
	}
	quit = true;
	pthread_join(thread, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = 50 };
	struct scry_vm *vm;
	int ret;

	if (!endpoint.vcpus) {
		endpoint.vcpus = VCPUS;
		endpoint.spoil = spoil;
		endpoint_start(&endpoint);
	}
	pthread_mutex_lock(&input.lock);
	input.data = data;
	input.size = size;
	pthread_mutex_unlock(&input.lock);
	ret = scry_open(&vm, endpoint.uri, &opts);
	must_say_why(ret);
	if (!ret)
		use(vm);
	scry_close(vm);
	pthread_mutex_lock(&input.lock);
	input.size = 0;
	pthread_mutex_unlock(&input.lock);
	/* The process has a few of its own; those of a leak add up. */
	if (endpoint_open_files() > 40)
		abort();
	return 0;
}
