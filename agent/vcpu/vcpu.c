/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <semaphore.h>
#include <unistd.h>

#include "agent/accel.h"
#include "agent/client/client.h"
#include "agent/client/command.h"
#include "agent/pt/pt.h"
#include "agent/refuse.h"
#include "vcpu.h"

struct vcpu vcpus[SCRY_AGENT_VCPUS];
unsigned vcpu_count;

static void rest(void *vcpu)
{
	vcpu_step_out(vcpu);
}

static void work(void *opaque)
{
	struct vcpu *vcpu = opaque;

	bql_lock();
	qemu.qemu_wait_io_event_common(vcpu->cpu);
	accel->settle(vcpu);
	qemu.bql_unlock();
}

static void overdue(void *opaque)
{
	struct vcpu *vcpu = opaque;

	client_give_up(vcpu->index);
}

static const struct slot_ops ops = { .command = command_run, .rest = rest, .work = work,
				     .overdue = overdue };

int vcpu_find_all(void)
{
	bool spin = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	struct qemu_cpu *cpu;
	unsigned n;

	for (n = 0; (cpu = qemu.qemu_get_cpu((int)n)); n++) {
		if (n == SCRY_AGENT_VCPUS)
			return refuse("more than %u vCPUs: only the first %u can be watched",
				      SCRY_AGENT_VCPUS, SCRY_AGENT_VCPUS);
		vcpus[n].cpu = cpu;
		vcpus[n].index = n;
		vcpus[n].slot.ops = &ops;
		vcpus[n].slot.vcpu = &vcpus[n];
		vcpus[n].slot.spins = spin;
		atomic_store(&vcpus[n].slot.released, true);
	}
	vcpu_count = n;
	return (int)n;
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
		return;		/* waits in an event, and sees want_stop there */
	accel->settle(vcpu);
	qemu.bql_unlock();
	atomic_store(&vcpu->busy, true);
	slot_park(&vcpu->slot);
	atomic_store(&vcpu->busy, false);
	bql_lock();
}

/* With QEMU's big lock held, under which vCPUs come and go. */
static bool is_plugged(const struct vcpu *vcpu)
{
	return qemu.qemu_get_cpu((int)vcpu->index) == vcpu->cpu;
}

int vcpu_stop(struct vcpu *vcpu)
{
	bool plugged;

	bql_lock();
	plugged = is_plugged(vcpu);
	if (plugged) {
		atomic_store(&vcpu->slot.want_stop, true);
		if (!atomic_exchange(&vcpu->park_queued, true))
			qemu.async_run_on_cpu(vcpu->cpu, park, (uint64_t)vcpu);
	}
	qemu.bql_unlock();
	return plugged ? 0 : -1;
}

void vcpu_go(struct vcpu *vcpu)
{
	atomic_store(&vcpu->slot.want_stop, false);
	slot_poke(&vcpu->slot);
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
	for (unsigned i = 0; i < vcpu_count; i++) {
		atomic_store(&vcpus[i].slot.has_work, true);
		slot_poke(&vcpus[i].slot);
	}
	while (sem_wait(&e.done) < 0)
		;
	sem_destroy(&e.done);
}

void vcpu_release_all(void)
{
	for (unsigned i = 0; i < vcpu_count; i++) {
		/* What a vCPU was to take when it goes on ends with who holds it. */
		if (atomic_load(&vcpus[i].slot.want_stop))
			atomic_store(&vcpus[i].injects, false);
		atomic_store(&vcpus[i].slot.released, true);
		slot_poke(&vcpus[i].slot);
	}
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
	for (unsigned i = 0; i < vcpu_count; i++) {
		while ((atomic_load(&vcpus[i].busy) || atomic_load(&vcpus[i].park_queued)) &&
		       still_there(&vcpus[i])) {
			slot_poke(&vcpus[i].slot);
			usleep(50);
		}
		vcpus[i].slot.mem = NULL;
	}
}

void vcpu_event(struct vcpu *vcpu, const struct scry_event *event)
{
	vcpu->in_event = true;
	vcpu->outside = false;
	vcpu->jumps = vcpu->changes = vcpu->moves = false;
	vcpu->action = SCRY_CONTINUE;
	vcpu->answered = false;
	slot_event(&vcpu->slot, event);
	if (!vcpu->answered)	/* the client is gone: what it began ends */
		vcpu->injects = false;
	vcpu->in_event = false;
}

bool vcpu_ask(struct vcpu *vcpu, const struct scry_event *event)
{
	bool locked = qemu.bql_locked(), ours;

	if (locked)
		qemu.bql_unlock();
	atomic_store_explicit(&vcpu->busy, true, memory_order_relaxed);
	vcpu_event(vcpu, event);
	ours = !vcpu->outside || vcpu_step_in(vcpu);
	atomic_store_explicit(&vcpu->busy, false, memory_order_release);
	if (locked)
		bql_lock();
	return ours;
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
