/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "agent/accel.h"
#include "agent/event/arm.h"
#include "options.h"
#include "serve.h"
#include "watch.h"

/*
 * The filters that QEMU's callbacks look at are of all vCPUs and may let too much
 * through: event.c looks at the vCPU's own wishes once more.
 */

static int cap_of(enum kvmi_event event)
{
	switch (event) {
	case KVMI_EVENT_HYPERCALL:
		return SCRY_CAP_EVENT_HYPERCALL;
	case KVMI_EVENT_BREAKPOINT:
		return SCRY_CAP_EVENT_INT3;
	case KVMI_EVENT_CR:
		return SCRY_CAP_EVENT_CR_WRITE;
	case KVMI_EVENT_XSETBV:
		return SCRY_CAP_EVENT_XSETBV;
	case KVMI_EVENT_DESCRIPTOR:
		return SCRY_CAP_EVENT_DESCRIPTOR;
	case KVMI_EVENT_MSR:
		return SCRY_CAP_EVENT_MSR_WRITE;
	case KVMI_EVENT_PF:
		return SCRY_CAP_EVENT_MEMORY;
	case KVMI_EVENT_SINGLESTEP:
		return SCRY_CAP_EVENT_STEP;
	case KVMI_EVENT_CPUID:
		return SCRY_CAP_EVENT_CPUID;
	default:
		return -1;
	}
}

bool kvmi_can_watch(enum kvmi_event event)
{
	struct scry_agent_caps caps = { 0 };
	int cap = cap_of(event);

	for (int i = 0; i < SCRY_CAP_COUNT; i++)
		caps.cap[i].supported = 1;
	accel->caps(&caps);
	return cap < 0 || caps.cap[cap].supported;
}

static struct scry_subscription *add(struct filters *filters, enum scry_event_kind kind,
				     uint64_t wanting)
{
	struct scry_subscription *sub = &filters->entry[filters->count++].sub;

	*sub = (struct scry_subscription){ .sz = sizeof(*sub), .kind = kind, .vcpus = wanting };
	filters->kinds |= 1u << kind;
	return sub;
}

/* The vCPUs of which the tool wants this event. */
static uint64_t vcpus_with(enum kvmi_event event)
{
	uint64_t wanting = 0;

	for (unsigned i = 0; i < vcpu_count; i++)
		if (atomic_load(&kvmi_states[i].events) >> event & 1)
			wanting |= UINT64_C(1) << i;
	return wanting;
}

static void add_crs(struct filters *filters, uint64_t events)
{
	static const uint8_t numbers[] = { 0, 3, 4 };

	for (unsigned n = 0; n < sizeof(numbers); n++) {
		uint64_t wanting = 0;

		for (unsigned i = 0; i < vcpu_count; i++)
			if (events >> i & 1 && atomic_load(&kvmi_states[i].crs) >> numbers[n] & 1)
				wanting |= UINT64_C(1) << i;
		if (wanting)
			add(filters, SCRY_EVENT_CR_WRITE, wanting)->cr.cr = numbers[n];
	}
}

static uint32_t msr_of(unsigned bit)
{
	return bit < KVMI_MSR_RANGE ? bit : bit - KVMI_MSR_RANGE + KVMI_MSR_HIGH;
}

/* All of them, where a filter cannot name as many as there are. */
static void add_msrs(struct filters *filters, uint64_t wanting)
{
	struct scry_subscription *sub = NULL;

	for (unsigned word = 0; word < 2 * KVMI_MSR_RANGE / 64; word++) {
		uint64_t bits = 0;

		for (unsigned i = 0; i < vcpu_count; i++)
			if (wanting >> i & 1)
				bits |= atomic_load_explicit(&kvmi_states[i].msrs[word],
							     memory_order_relaxed);
		if (bits && !sub)
			sub = add(filters, SCRY_EVENT_MSR_WRITE, wanting);
		for (; bits; bits &= bits - 1) {
			if (sub->msr.count == SCRY_FILTER_MSRS) {
				sub->msr.count = 0;
				return;
			}
			sub->msr.index[sub->msr.count++] =
				msr_of(word * 64 + (unsigned)__builtin_ctzll(bits));
		}
	}
}

static void add_steps(struct filters *filters)
{
	uint64_t wanting = 0;

	for (unsigned i = 0; i < vcpu_count; i++)
		if (atomic_load(&kvmi_states[i].steps))
			wanting |= UINT64_C(1) << i;
	if (wanting)
		add(filters, SCRY_EVENT_STEP, wanting)->step.block_interrupts = 1;
}

static void add_all(struct filters *filters)
{
	static const struct {
		enum kvmi_event event;
		enum scry_event_kind kind;
	} plain[] = {
		{ KVMI_EVENT_HYPERCALL, SCRY_EVENT_HYPERCALL },
		{ KVMI_EVENT_BREAKPOINT, SCRY_EVENT_INT3 },
		{ KVMI_EVENT_XSETBV, SCRY_EVENT_XSETBV },
		{ KVMI_EVENT_DESCRIPTOR, SCRY_EVENT_DESCRIPTOR },
		{ KVMI_EVENT_PF, SCRY_EVENT_MEMORY },
		{ KVMI_EVENT_CPUID, SCRY_EVENT_CPUID },
	};

	for (unsigned i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		uint64_t wanting = vcpus_with(plain[i].event);

		if (wanting)
			add(filters, plain[i].kind, wanting);
	}
	add_crs(filters, vcpus_with(KVMI_EVENT_CR));
	add_msrs(filters, vcpus_with(KVMI_EVENT_MSR));
	add_steps(filters);
}

static bool is_armed(const struct filters *filters)
{
	const struct filters *now = arm_filters();

	if (!now)
		return !filters->count;
	return now->count == filters->count &&
	       memcmp(now->entry, filters->entry, filters->count * sizeof(now->entry[0])) == 0;
}

/* The service. */
static void watch(struct kvmi_state *state)
{
	struct filters *filters = calloc(1, sizeof(*filters));

	state->status = filters ? 0 : -KVMI_ENOMEM;
	if (!filters)
		return;
	add_all(filters);
	if (is_armed(filters)) {
		free(filters);
	} else if (!filters->count) {
		free(filters);
		arm(NULL);
	} else {
		arm(filters);
	}
}

int kvmi_watch(struct kvmi_state *state)
{
	return kvmi_have_done(state, watch) ? state->status : -KVMI_EAGAIN;
}
