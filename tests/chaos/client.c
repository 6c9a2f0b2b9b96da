/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client that has its hands everywhere: it is to be killed in the middle of it. */
#include <stdio.h>
#include <stdlib.h>

#include "chaos.h"

struct client {
	struct ctx c;
	unsigned seed;
};

static unsigned choose(struct client *k, unsigned n)
{
	return (unsigned)rand_r(&k->seed) % n;
}

/* Most kinds; now and then single-step, of one vCPU or all. */
static int subscribe_many(struct client *k)
{
	struct ctx *c = &k->c;
	const struct scry_subscription subs[] = {
		SUB(CR_WRITE, .cr = { .cr = 3 }), SUB(CPUID), SUB(MSR_READ),
		SUB(MSR_WRITE, .msr = { .count = 1, .index = { 0xc0000082 } }), SUB(INT3),
		SUB(CR_READ, .cr = { .cr = 3 }), SUB(IO), SUB(DESCRIPTOR), SUB(INVLPG), SUB(HLT),
		SUB(INTERRUPT),
	};

	for (unsigned i = 0; i < sizeof(subs) / sizeof(subs[0]); i++)
		if (choose(k, 4))
			DO(subscribe(c, subs[i]));
	if (choose(k, 4))
		return 0;
	return subscribe(c, SUB(STEP, .vcpus = choose(k, 2)));
}

/* What changes nothing that the guest could notice. */
static int look_around(struct client *k, unsigned vcpu)
{
	struct ctx *c = &k->c;
	struct scry_regs regs;
	uint64_t value;
	char area[4096];

	switch (choose(k, 6)) {
	case 0:
		OK(c, scry_regs_get(c->vm, vcpu, &regs));
		break;
	case 1:
		OK(c, scry_msr_get(c->vm, vcpu, 0xc0000082, &value));
		break;
	case 2:
		OK(c, scry_xsave_get(c->vm, vcpu, area, sizeof(area)));
		break;
	case 3:
		OK(c, scry_regs_get(c->vm, vcpu, &regs));
		OK(c, scry_regs_set(c->vm, vcpu, &regs, SCRY_REG_BIT(SCRY_REG_CR2)));
		break;
	case 4:
		OK(c, scry_read_phys(c->vm, c->probe.targets, area, sizeof(area)));
		OK(c, scry_write_phys(c->vm, c->probe.targets, area, sizeof(area)));
		break;
	default:
		value = 1;	/* the code that the guest runs, as it is */
		OK(c, scry_write_phys(c->vm, c->probe.patch_inline + c->probe.patch_imm, &value, 4));
	}
	return 0;
}

static int pause_a_little(struct client *k)
{
	struct ctx *c = &k->c;
	unsigned which = choose(k, c->vcpus + 1);

	if (which == c->vcpus)
		OK(c, scry_pause(c->vm));
	else
		OK(c, scry_vcpu_pause(c->vm, which));
	if (choose(k, 2))
		sleep_ms(choose(k, 5));
	if (which == c->vcpus)
		OK(c, scry_resume(c->vm));
	else
		OK(c, scry_vcpu_resume(c->vm, which));
	return 0;
}

/* "Continue", said in different ways. */
static int answer(struct client *k, const struct scry_event *e)
{
	struct ctx *c = &k->c;
	struct scry_regs regs;
	struct scry_reply reply = { .sz = sizeof(reply) };

	if (choose(k, 200) == 0)
		sleep_ms(choose(k, 30));
	if (choose(k, 20) == 0)
		DO(look_around(k, e->vcpu));
	if (choose(k, 10) == 0) {
		OK(c, scry_regs_get(c->vm, e->vcpu, &regs));
		reply.regs = &regs;
		reply.set = SCRY_REGS_GPR;
	}
	OK(c, scry_reply(c->vm, e, &reply));
	return 0;
}

static int step(struct client *k)
{
	struct ctx *c = &k->c;
	struct scry_event events[PROBE_VCPUS];
	int n = pump_wait(c, events, PROBE_VCPUS, 100);

	DO(n);
	for (int i = 0; i < n; i++)
		DO(answer(k, &events[i]));
	if (choose(k, 100) == 0)
		DO(look_around(k, choose(k, c->vcpus)));
	if (choose(k, 100) == 0)
		DO(pause_a_little(k));
	return 0;
}

int client_run(const char *uri, unsigned seed)
{
	struct client k = { .c = { .uri = uri }, .seed = seed };
	int err = world_open(&k.c);

	if (!err)
		err = subscribe_many(&k) < 0 ? -1 : 0;
	while (!err)
		err = step(&k);
	puts(k.c.why);
	return err;
}
