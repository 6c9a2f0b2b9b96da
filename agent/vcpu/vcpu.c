/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <semaphore.h>
#include <unistd.h>

#include "agent/accel.h"
#include "agent/client/slot_client.h"
#include "agent/pt/pt.h"
#include "agent/refuse.h"
#include "vcpu.h"

struct vcpu vcpus[SCRY_AGENT_VCPUS];
unsigned vcpu_count;

static const struct client_ops *client = &slot_client;

void vcpu_serve(const struct client_ops *ops)
{
	client = ops;
}

void vcpu_work(struct vcpu *vcpu)
{
	bql_lock();
	qemu.qemu_wait_io_event_common(vcpu->cpu);
	accel->settle(vcpu);
	qemu.bql_unlock();
}

static int find(unsigned first)
{
	struct qemu_cpu *cpu;
	unsigned n;

	for (n = first; (cpu = qemu.qemu_get_cpu((int)n)); n++) {
		if (n == SCRY_AGENT_VCPUS)
			return refuse("more than %u vCPUs: only the first %u can be watched",
				      SCRY_AGENT_VCPUS, SCRY_AGENT_VCPUS);
		vcpus[n].cpu = cpu;
		vcpus[n].index = n;
		slot_client_init(&vcpus[n]);
	}
	vcpu_count = n;
	return (int)n;
}

int vcpu_find_all(void)
{
	return find(0);
}

int vcpu_find_new(void)
{
	return find(vcpu_count);
}

struct vcpu *vcpu_of(const struct qemu_cpu *cpu)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		if (vcpus[i].cpu == cpu)
			return &vcpus[i];
	return NULL;
}

/* Runs in the vCPU's thread between blocks, with the big lock. */
static void park(struct qemu_cpu *cpu, uint64_t data)
{
	struct vcpu *vcpu = (struct vcpu *)data;

	(void)cpu;
	atomic_store(&vcpu->park_queued, false);
	if (atomic_load(&vcpu->busy))
		return;		/* waits in an event, and sees there what it is called for */
	accel->settle(vcpu);
	qemu.bql_unlock();
	atomic_store(&vcpu->busy, true);
	client->park(vcpu);
	atomic_store(&vcpu->busy, false);
	bql_lock();
}

/* With QEMU's big lock held, under which vCPUs come and go. */
static bool is_plugged(const struct vcpu *vcpu)
{
	return qemu.qemu_get_cpu((int)vcpu->index) == vcpu->cpu;
}

int vcpu_call(struct vcpu *vcpu)
{
	bool plugged;

	bql_lock();
	plugged = is_plugged(vcpu);
	if (plugged && !atomic_exchange(&vcpu->park_queued, true))
		qemu.async_run_on_cpu(vcpu->cpu, park, (uint64_t)vcpu);
	qemu.bql_unlock();
	return plugged ? 0 : -1;
}

struct exclusive {
	void (*fn)(struct qemu_cpu *cpu, void *opaque);
	void *opaque;
	sem_t done;
};

static void exclusive(struct qemu_cpu *cpu, uint64_t data)
{
	struct exclusive *e = (struct exclusive *)data;

	e->fn(cpu, e->opaque);
	sem_post(&e->done);
}

void vcpu_run_exclusive(void (*fn)(struct qemu_cpu *cpu, void *opaque), void *opaque)
{
	struct exclusive e = { .fn = fn, .opaque = opaque };

	sem_init(&e.done, 0, 0);
	qemu.async_safe_run_on_cpu(vcpus[0].cpu, exclusive, (uint64_t)&e);
	/* Those that wait for the client step out of QEMU's way. */
	for (unsigned i = 0; i < vcpu_count; i++)
		client->nudge(&vcpus[i]);
	while (sem_wait(&e.done) < 0)
		;
	sem_destroy(&e.done);
}

void vcpu_release_all(void)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		client->release(&vcpus[i]);
}

/* An unplugged one does nothing any more, not even what it was asked to. */
static bool still_there(struct vcpu *vcpu)
{
	bool plugged;

	bql_lock();
	plugged = is_plugged(vcpu);
	qemu.bql_unlock();
	if (!plugged) {
		atomic_store(&vcpu->busy, false);
		atomic_store(&vcpu->park_queued, false);
	}
	return plugged;
}

void vcpu_wait_released(void)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		while ((atomic_load(&vcpus[i].busy) || atomic_load(&vcpus[i].park_queued)) &&
		       still_there(&vcpus[i])) {
			client->release(&vcpus[i]);
			usleep(50);
		}
}

static void begin(struct vcpu *vcpu)
{
	vcpu->in_event = true;
	vcpu->outside = false;
	vcpu->jumps = vcpu->changes = vcpu->moves = false;
	vcpu->action = SCRY_CONTINUE;
	vcpu->answered = false;
}

void vcpu_event(struct vcpu *vcpu, const struct scry_event *event)
{
	begin(vcpu);
	client->event(vcpu, event);
	if (!vcpu->answered)	/* the client is gone: what it began ends */
		vcpu->injects = false;
	vcpu->in_event = false;
}

static void injected(struct vcpu *vcpu)
{
	begin(vcpu);
	client->injected(vcpu);
	vcpu->in_event = false;
}

/* NULL: it is no event, but an injection. */
static bool ask(struct vcpu *vcpu, const struct scry_event *event)
{
	bool locked = qemu.bql_locked(), ours;

	if (locked)
		qemu.bql_unlock();
	atomic_store_explicit(&vcpu->busy, true, memory_order_relaxed);
	if (event)
		vcpu_event(vcpu, event);
	else
		injected(vcpu);
	ours = !vcpu->outside || vcpu_step_in(vcpu);
	atomic_store_explicit(&vcpu->busy, false, memory_order_release);
	if (locked)
		bql_lock();
	return ours;
}

bool vcpu_ask(struct vcpu *vcpu, const struct scry_event *event)
{
	return ask(vcpu, event);
}

bool vcpu_injected(struct vcpu *vcpu)
{
	return !client->injected || ask(vcpu, NULL);
}

void vcpu_step_out(struct vcpu *vcpu)
{
	if (!vcpu->in_event || vcpu->outside)
		return;
	accel->step_out(vcpu);
	vcpu->outside = true;
	qemu.cpu_exec_end(vcpu->cpu);
}

bool vcpu_step_in(struct vcpu *vcpu)
{
	qemu.cpu_exec_start(vcpu->cpu);
	return accel->step_in(vcpu);
}

void vcpu_leave(struct vcpu *vcpu)
{
	pt_left(vcpu);
	atomic_store_explicit(&vcpu->busy, false, memory_order_release);
	qemu.cpu_loop_exit_noexc(vcpu->cpu);
	__builtin_unreachable();
}
