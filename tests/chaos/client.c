/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client that has its hands everywhere: it is to be killed in the middle of it. */
#include <stdio.h>
#include <stdlib.h>

#include "chaos.h"

#define VIEWS 3	/* view 0 among them */

struct client {
	struct ctx c;
	unsigned seed;
	unsigned view[VIEWS];
	unsigned views;		/* of these */
	int breakpoint;		/* the last one planted, or 0 */
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

/* Traps on what the guest runs in and works with, code, tables, stacks and all. */
static int trap_memory(struct client *k)
{
	struct ctx *c = &k->c;
	const uint64_t pages[] = { c->probe.scratch, c->probe.targets, c->probe.patch_inline,
				   c->probe.cr3[0], PROBE_VCPU_GPA, 0x202000, 0x207000 };

	DO(subscribe(c, SUB(MEMORY)));
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (choose(k, 3) == 0)
			OK(c, scry_view_protect(c->vm, k->view[choose(k, k->views)], pages[i] >> 12,
						1 + choose(k, 2), choose(k, 8)));
	return 0;
}

/* A copy of the page that the guest calls into stands in its place. */
static int show_copy(struct client *k, unsigned view)
{
	struct ctx *c = &k->c;
	uint64_t page = c->probe.patch_inline & ~UINT64_C(4095), gfn;
	char copy[4096];

	OK(c, scry_frame_create(c->vm, &gfn));
	OK(c, scry_read_phys(c->vm, page, copy, sizeof(copy)));
	OK(c, scry_write_phys(c->vm, gfn << 12, copy, sizeof(copy)));
	OK(c, scry_view_remap(c->vm, view, page >> 12, gfn));
	return 0;
}

/* Views, traps in them, and vCPUs all over them. */
static int use_views(struct client *k)
{
	struct ctx *c = &k->c;
	int view;

	for (k->views = 1; k->views < VIEWS; k->views++) {
		view = scry_view_create(c->vm, k->view[choose(k, k->views)]);
		OK(c, view);
		k->view[k->views] = (unsigned)view;
		if (choose(k, 2))
			DO(show_copy(k, (unsigned)view));
	}
	if (choose(k, 2))
		DO(trap_memory(k));
	for (unsigned i = 0; i < c->vcpus; i++)
		OK(c, scry_view_switch(c->vm, i, k->view[choose(k, k->views)]));
	return 0;
}

/* A hidden breakpoint where the guest has just come by, in place of the last. */
static int plant(struct client *k, const struct scry_event *e)
{
	const struct scry_breakpoint b = { .sz = sizeof(b), .address = e->rip, .cr3 = e->cr3,
					   .flags = choose(k, 2) ? SCRY_BREAKPOINT_CR3 : 0 };
	struct ctx *c = &k->c;
	int old = k->breakpoint;

	k->breakpoint = scry_breakpoint_add(c->vm, &b);
	OK(c, k->breakpoint);
	if (old)
		OK(c, scry_breakpoint_remove(c->vm, old));
	return 0;
}

static int set_up(struct client *k)
{
	struct ctx *c = &k->c;
	const struct scry_pt_opts opts = { .sz = sizeof(opts), .ring = SCRY_PT_RING_LEAST };

	k->views = 1;
	DO(subscribe_many(k));
	if (choose(k, 2))
		DO(use_views(k));
	if (choose(k, 3) == 0)
		OK(c, scry_pt_start(c->vm, &opts));
	return 0;
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
	if (choose(k, 10) == 0) {
		reply.flags = choose(k, 2) ? SCRY_REPLY_VIEW : SCRY_REPLY_STEP;
		reply.view = k->view[choose(k, k->views)];
	}
	if (choose(k, 50) == 0)
		DO(plant(k, e));
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
		err = set_up(&k) < 0 ? -1 : 0;
	while (!err)
		err = step(&k);
	puts(k.c.why);
	return err;
}
