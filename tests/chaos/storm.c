/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every vCPU raises events as fast as they are answered: none may be lost. */
#include <stdio.h>

#include "chaos.h"

typedef unsigned long long ull;

#define WATCHED 3

/* For so long; then the guest's lists are told to end, and the rest is answered. */
static int answer_all(struct pump *p, unsigned seconds)
{
	struct ctx *c = p->c;
	uint64_t end = now_ms() + seconds * 1000;
	struct scry_event events[PROBE_VCPUS];
	const uint32_t one = 1;

	while (now_ms() < end) {
		int n = pump_wait(c, events, PROBE_VCPUS, 1000);

		DO(n);
		CHECK(c, n, "no event for a second");
		for (int i = 0; i < n; i++) {
			p->count[events[i].kind][events[i].vcpu]++;
			OK(c, scry_reply_action(c->vm, &events[i], SCRY_CONTINUE));
		}
	}
	for (unsigned i = 0; i < c->vcpus; i++)
		OK(c, scry_write_phys(c->vm, PROBE_VCPU_GPA + i * PROBE_VCPU_SIZE +
				      offsetof(struct probe_vcpu, stop), &one, sizeof(one)));
	return pump_run(p, ALL_VCPUS);
}

int storm(struct ctx *c, unsigned seconds)
{
	static const enum scry_event_kind kinds[WATCHED] = {
		SCRY_EVENT_CPUID, SCRY_EVENT_MSR_WRITE, SCRY_EVENT_INT3,
	};
	const struct probe_op list[WATCHED] = {
		OP(CPUID), OP(WRMSR, .arg = 0xc0000082, .value = 0x1000), OP(INT3),
	};
	struct pump p = { .c = c };
	uint64_t total = 0;

	for (unsigned i = 0; i < WATCHED; i++)
		DO(subscribe(c, (struct scry_subscription){ .sz = sizeof(struct scry_subscription),
							    .kind = kinds[i] }));
	DO(guest_start_all(c, list, WATCHED, FOREVER));
	DO(answer_all(&p, seconds));
	for (unsigned vcpu = 0; vcpu < c->vcpus; vcpu++) {
		struct probe_vcpu block;

		DO(guest_block(c, vcpu, &block));
		for (unsigned i = 0; i < WATCHED; i++) {
			CHECK(c, p.count[kinds[i]][vcpu] == block.op[i].count,
			      "vCPU %u: %llu events of kind %s, but the guest made %llu", vcpu,
			      (ull)p.count[kinds[i]][vcpu], scry_event_name(kinds[i]),
			      (ull)block.op[i].count);
			total += block.op[i].count;
		}
	}
	printf("%llu events of %u vCPUs in %u s, none lost\n", (ull)total, c->vcpus, seconds);
	return 0;
}
