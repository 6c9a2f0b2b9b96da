/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <unistd.h>

#include "agent/vcpu/vcpu.h"
#include "client.h"
#include "command.h"
#include "slot_client.h"

static void rest(void *vcpu)
{
	vcpu_step_out(vcpu);
}

static void work(void *vcpu)
{
	vcpu_work(vcpu);
}

static void overdue(void *opaque)
{
	struct vcpu *vcpu = opaque;

	client_give_up(vcpu->index);
}

static const struct slot_ops ops = { .command = command_run, .rest = rest, .work = work,
				     .overdue = overdue };

void slot_client_init(struct vcpu *vcpu)
{
	vcpu->slot.ops = &ops;
	vcpu->slot.vcpu = vcpu;
	vcpu->slot.spins = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	atomic_store(&vcpu->slot.released, true);
}

int slot_client_stop(struct vcpu *vcpu)
{
	atomic_store(&vcpu->slot.want_stop, true);
	return vcpu_call(vcpu);
}

void slot_client_go(struct vcpu *vcpu)
{
	atomic_store(&vcpu->slot.want_stop, false);
	slot_poke(&vcpu->slot);
}

static void event(struct vcpu *vcpu, const struct scry_event *what)
{
	slot_event(&vcpu->slot, what);
}

static void park(struct vcpu *vcpu)
{
	slot_park(&vcpu->slot);
}

static void nudge(struct vcpu *vcpu)
{
	atomic_store(&vcpu->slot.has_work, true);
	slot_poke(&vcpu->slot);
}

static void release(struct vcpu *vcpu)
{
	/* What a vCPU was to take when it goes on ends with who holds it. */
	if (!atomic_load(&vcpu->slot.released) && atomic_load(&vcpu->slot.want_stop))
		atomic_store(&vcpu->injects, false);
	atomic_store(&vcpu->slot.released, true);
	slot_poke(&vcpu->slot);
}

const struct client_ops slot_client = { .event = event, .park = park, .nudge = nudge,
					.release = release };
