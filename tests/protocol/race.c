/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <scry/scry.h>

#include "agent/client/slot.h"
#include "endpoint.h"
#include "lib/drivers/qemu/qemu.h"
#include "protocol/futex.h"

/*
 * The agent's end of the slots against the driver's, in one process and over
 * one mapping, so that ThreadSanitizer sees both: vCPU threads raise events at
 * full rate, client threads answer them, read registers and pause, and the
 * client hangs up at a random moment or in good order.  No event may be lost
 * or come twice, no answer reach another event than its own, and no vCPU run
 * while it is paused.
 */
#define VCPUS 3

struct guest {
	struct slot slot;
	pthread_t thread;
	unsigned index;
	uint64_t progress;		/* plain on purpose: steps only while the vCPU runs */
	uint64_t sequence;
	unsigned replies;		/* to the event at hand */
	uint64_t answered;
	_Atomic bool *quit;
};

struct client {
	struct scry_vm *vm;
	unsigned seed;
	_Atomic bool quit;
	uint64_t seen[VCPUS];
	uint64_t taken, replied;
	uint64_t refused;
};

struct round {
	struct endpoint endpoint;
	struct guest guest[VCPUS];
	struct client client;
	_Atomic bool quit;		/* for the vCPUs: raise no more events */
	_Atomic bool dead;		/* the client's connection was cut: its calls may fail */
	_Atomic bool released;		/* the agent's end has let all vCPUs go */
};

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "race: %s (%s)\n", what, scry_errmsg());
	abort();
}

/* What the client answers to an event, so that the vCPU can tell whose answer it got. */
static uint32_t action_of(uint64_t sequence)
{
	return (uint32_t)(sequence % 3);
}

static bool sets_registers(uint64_t sequence)
{
	return sequence % 4 == 0;
}

static uint64_t rax_of(uint64_t sequence)
{
	return sequence * 3;
}

/* The vCPU refuses the answer that sets this bit of CR4. */
#define BAD_CR4 UINT64_C(0x80000000)

static int on_reply(struct guest *g, const struct slot_command *command,
		    struct scry_agent_slot *mem)
{
	if (command->set & SCRY_REG_BIT(SCRY_REG_CR4)) {
		check(mem->regs.cr4 == BAD_CR4, "another CR4 than sent");
		strcpy(mem->text, "CR4 has reserved bits set");
		return SCRY_E_REFUSED;
	}
	check(command->action == action_of(g->sequence), "an answer to another event");
	check(!!command->set == sets_registers(g->sequence), "another set of registers");
	if (command->set)
		check(mem->regs.gpr[SCRY_REG_RAX] == rax_of(g->sequence), "another RAX");
	g->replies++;
	return 0;
}

static int on_command(void *vcpu, const struct slot_command *command, struct scry_agent_slot *mem)
{
	struct guest *g = vcpu;

	switch (command->op) {
	case SCRY_AGENT_OP_REPLY:
		return on_reply(g, command, mem);
	case SCRY_AGENT_OP_REGS_GET:
		mem->regs.rip = g->progress;
		mem->regs.gpr[0] = g->index;
		return 0;
	case SCRY_AGENT_OP_MSR_GET:
		mem->msr_value = command->msr_index * UINT64_C(7);
		return 0;
	default:
		strcpy(mem->text, "not made for this");
		return SCRY_E_UNSUPPORTED;
	}
}

static void nothing(void *vcpu)
{
	(void)vcpu;
}

static const struct slot_ops ops = { .command = on_command, .rest = nothing, .work = nothing,
				     .overdue = nothing };

static void raise_event(struct guest *g)
{
	struct scry_event event = { 0 }, *e = &event;

	g->replies = 0;
	e->kind = SCRY_EVENT_MSR_WRITE;
	e->vcpu = g->index;
	e->sequence = ++g->sequence;
	e->rip = g->progress;
	for (int i = 0; i < 16; i++)
		e->gpr[i] = g->sequence + (uint64_t)i;
	e->msr.new_value = ~g->sequence;
	slot_event(&g->slot, e);
}

static void *guest_run(void *opaque)
{
	struct guest *g = opaque;

	while (!*g->quit && !g->slot.released) {
		slot_park(&g->slot);
		g->progress++;
		raise_event(g);
		if (g->slot.released)
			break;
		check(g->replies == 1, "an event with no answer, or two");
		g->answered++;
	}
	/* Come to a halt where a client may still stop it. */
	while (!g->slot.released) {
		slot_park(&g->slot);
		usleep(100);
	}
	return NULL;
}

static void on_stop(struct endpoint *e, unsigned vcpu, bool stop)
{
	struct round *r = e->opaque;

	atomic_store(&r->guest[vcpu].slot.want_stop, stop);
	slot_poke(&r->guest[vcpu].slot);
}

static void on_hang_up(struct endpoint *e)
{
	struct round *r = e->opaque;

	check(atomic_load(&r->dead), "a hang-up that nobody asked for");
	for (unsigned i = 0; i < VCPUS; i++) {
		atomic_store(&r->guest[i].slot.released, true);
		slot_poke(&r->guest[i].slot);
	}
	atomic_store(&r->released, true);
}

/* Is a failure one that the cut connection explains? */
static bool may_fail(struct round *r, int ret)
{
	check(r->dead && ret == SCRY_E_GONE, "a call failed");
	return true;
}

static void check_event(struct client *c, const struct scry_event *e)
{
	check(e->vcpu < VCPUS, "an event of no vCPU");
	check(e->sequence == ++c->seen[e->vcpu], "an event lost or doubled");
	check(e->kind == SCRY_EVENT_MSR_WRITE && e->msr.new_value == ~e->sequence, "a torn event");
	for (int i = 0; i < 16; i++)
		check(e->gpr[i] == e->sequence + (uint64_t)i, "a torn event");
}

static int send_reply(struct client *c, const struct scry_event *e)
{
	struct scry_regs regs = { .gpr = { [SCRY_REG_RAX] = rax_of(e->sequence) }, .cr4 = BAD_CR4 };
	struct scry_reply reply = { .sz = sizeof(reply), .action = action_of(e->sequence),
				    .regs = &regs };
	int ret;

	if (e->sequence % 32 == 1) {
		reply.set = SCRY_REG_BIT(SCRY_REG_CR4);
		ret = scry_reply(c->vm, e, &reply);
		if (ret != SCRY_E_REFUSED)
			return ret;
		c->refused++;
	}
	reply.set = sets_registers(e->sequence) ? SCRY_REG_BIT(SCRY_REG_RAX) : 0;
	return scry_reply(c->vm, e, &reply);
}

/* One of the three ways to wait. */
static int wait_events(struct client *c, struct scry_event *events, size_t max)
{
	struct pollfd p = { .fd = scry_event_fd(c->vm), .events = POLLIN };
	int n;

	switch (rand_r(&c->seed) % 4) {
	case 0:
		n = scry_event_wait(c->vm, events, max, 0);
		if (!n)
			poll(&p, 1, 100);
		return n;
	case 1:
		return scry_event_wait(c->vm, events, max, 1);
	default:
		return scry_event_wait(c->vm, events, max, 100);
	}
}

static void *client_events(void *opaque)
{
	struct round *r = opaque;
	struct client *c = &r->client;
	struct scry_event events[VCPUS];

	for (;;) {
		size_t max = 1 + (size_t)rand_r(&c->seed) % VCPUS;
		int n = wait_events(c, events, max), ret;

		if (n < 0 && may_fail(r, n))
			return NULL;
		if (!n && c->quit)
			return NULL;
		for (int i = 0; i < n; i++) {
			check_event(c, &events[i]);
			c->taken++;
			if (rand_r(&c->seed) % 64 == 0)
				usleep(100);
			ret = send_reply(c, &events[i]);
			if (ret < 0 && may_fail(r, ret))
				return NULL;
			c->replied++;
		}
	}
}

/* Paused, a vCPU stands still; TSan sees to it that this plain read may be made. */
static int pause_one(struct round *r, unsigned vcpu)
{
	struct scry_vm *vm = r->client.vm;
	int ret = scry_vcpu_pause(vm, vcpu);
	struct scry_regs regs;
	uint64_t before;

	if (ret < 0)
		return ret;
	before = r->guest[vcpu].progress;
	ret = scry_regs_get(vm, vcpu, &regs);
	if (ret < 0)
		return ret;
	check(regs.rip == before && r->guest[vcpu].progress == before, "a paused vCPU ran");
	return scry_vcpu_resume(vm, vcpu);
}

static int pause_all(struct round *r)
{
	struct scry_vm *vm = r->client.vm;
	int ret = scry_pause(vm);
	uint64_t before[VCPUS];

	if (ret < 0)
		return ret;
	for (int i = 0; i < VCPUS; i++)
		before[i] = r->guest[i].progress;
	usleep(50);
	for (int i = 0; i < VCPUS; i++)
		check(r->guest[i].progress == before[i], "a vCPU of a paused VM ran");
	return scry_resume(vm);
}

static int poke_once(struct round *r, unsigned *seed)
{
	unsigned vcpu = (unsigned)rand_r(seed) % VCPUS;
	struct scry_regs regs;
	uint64_t value;
	int ret;

	switch (rand_r(seed) % 4) {
	case 0:
		ret = scry_regs_get(r->client.vm, vcpu, &regs);
		check(ret < 0 || regs.gpr[0] == vcpu, "another vCPU's registers");
		return ret;
	case 1:
		ret = scry_msr_get(r->client.vm, vcpu, vcpu + 1, &value);
		check(ret < 0 || value == (vcpu + 1) * UINT64_C(7), "another MSR's value");
		return ret;
	case 2:
		return pause_one(r, vcpu);
	default:
		return pause_all(r);
	}
}

static void *client_pokes(void *opaque)
{
	struct round *r = opaque;
	unsigned seed = r->client.seed + 1;

	while (!r->client.quit) {
		int ret = poke_once(r, &seed);

		if (ret < 0 && may_fail(r, ret))
			return NULL;
		usleep((unsigned)rand_r(&seed) % 2000);
	}
	return NULL;
}

/* Both ends of every slot begin shortly before the 32-bit numbers wrap, or at 0. */
static void start_guests(struct round *r, unsigned *seed)
{
	struct qemu_vm *q = qemu_of(r->client.vm);
	uint64_t first = rand_r(seed) % 2 ? UINT32_MAX - (unsigned)rand_r(seed) % 1000 : 0;

	for (unsigned i = 0; i < VCPUS; i++) {
		struct guest *g = &r->guest[i];
		struct scry_agent_slot *mem = qemu_slot(q, i);

		g->index = i;
		g->quit = &r->quit;
		g->slot.ops = &ops;
		g->slot.vcpu = g;
		g->slot.spins = rand_r(seed) % 2;
		slot_attach(&g->slot, q->shared, mem, r->endpoint.bell[0], 0);
		g->sequence = q->vcpu[i].seen = r->client.seen[i] = first;
		g->slot.event_seq = g->slot.command_seen = (uint32_t)first;
		atomic_store(&mem->event_seq, (uint32_t)first);
		atomic_store(&mem->command, (uint32_t)first);
		atomic_store(&mem->done, (uint32_t)first);
		endpoint_must(!pthread_create(&g->thread, NULL, guest_run, g), "thread");
	}
}

/* Cut the connection, and wait until the agent's end has left the slots. */
static void hang_up(struct round *r)
{
	/* The hang-up handler looks at `dead` first, and so sees the slots as they are. */
	atomic_store(&r->dead, true);
	shutdown(qemu_of(r->client.vm)->socket, SHUT_RDWR);
	while (!atomic_load(&r->released))
		usleep(100);
	for (int i = 0; i < VCPUS; i++)
		pthread_join(r->guest[i].thread, NULL);
}

/* In good order: no more events, then what is still to be answered, then the end. */
static void end_in_order(struct round *r, pthread_t events, pthread_t pokes)
{
	uint64_t answered = 0;

	atomic_store(&r->quit, true);
	usleep(2000);
	atomic_store(&r->client.quit, true);
	pthread_join(pokes, NULL);
	pthread_join(events, NULL);
	hang_up(r);
	for (int i = 0; i < VCPUS; i++)
		answered += r->guest[i].answered;
	check(answered == r->client.replied && r->client.taken == answered,
	      "the two ends count differently");
}

static void end_by_death(struct round *r, pthread_t events, pthread_t pokes)
{
	hang_up(r);
	pthread_join(pokes, NULL);
	pthread_join(events, NULL);
}

static uint64_t one_round(unsigned seed)
{
	struct round *r = calloc(1, sizeof(*r));
	pthread_t events, pokes;
	uint64_t replied;

	endpoint_must(r, "calloc");
	r->endpoint = (struct endpoint){ .vcpus = VCPUS, .opaque = r, .stop = on_stop,
					 .hung_up = on_hang_up };
	r->client.seed = seed;
	endpoint_start(&r->endpoint);
	check(!scry_open(&r->client.vm, r->endpoint.uri, NULL), "cannot open");
	start_guests(r, &seed);
	endpoint_must(!pthread_create(&events, NULL, client_events, r), "thread");
	endpoint_must(!pthread_create(&pokes, NULL, client_pokes, r), "thread");
	usleep((unsigned)rand_r(&seed) % 100000);
	if (rand_r(&seed) % 2)
		end_in_order(r, events, pokes);
	else
		end_by_death(r, events, pokes);
	scry_close(r->client.vm);
	endpoint_end(&r->endpoint);
	replied = r->client.replied;
	free(r);
	return replied;
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)getpid(), rounds = 0;
	uint64_t end = scry_now_ns() + seconds * UINT64_C(1000000000), replied = 0;

	printf("seed %u\n", seed);
	for (; scry_now_ns() < end; rounds++)
		replied += one_round(seed + rounds);
	printf("%u rounds, %llu events\n", rounds, (unsigned long long)replied);
	return 0;
}
