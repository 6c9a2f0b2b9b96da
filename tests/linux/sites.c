/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: sites VM	until SIGTERM, hold what breakpoints at the sites of a Linux guest's
 *			kernel tell against the hypervisor's own events
 *
 * Each event in the kernel's text must have been told of by a breakpoint before it, with
 * the same values.  Prints "ready", and at the end how many there were of each.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <scry/linux.h>
#include <scry/scry.h>

#define KINDS_MOST 16
#define SITES_MOST 1024
#define VCPUS      64

static volatile sig_atomic_t ended;

static struct scry_linux_site sites[SITES_MOST];
static size_t site_count;
static struct scry_event told[VCPUS];	/* by a breakpoint; kind BREAKPOINT = nothing */
static unsigned count[SCRY_EVENT_COUNT], outside;
static uint64_t text, text_end;

static const enum scry_event_kind kinds[] = {
	SCRY_EVENT_CR_READ, SCRY_EVENT_DR_WRITE, SCRY_EVENT_DR_READ, SCRY_EVENT_CPUID,
	SCRY_EVENT_XSETBV, SCRY_EVENT_DESCRIPTOR, SCRY_EVENT_HYPERCALL,
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static int fail(void)
{
	fprintf(stderr, "sites: %s\n", scry_errmsg());
	return 1;
}

static int add(const struct scry_linux_site *site, void *opaque)
{
	(void)opaque;
	if (site_count == SITES_MOST)
		return SCRY_E_NOMEM;
	sites[site_count++] = *site;
	return 0;
}

static int subscribe(struct scry_vm *vm, enum scry_event_kind kind, uint32_t cr)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = kind };

	if (kind == SCRY_EVENT_CR_WRITE || kind == SCRY_EVENT_CR_READ)
		sub.cr.cr = cr;
	return scry_subscribe(vm, &sub);
}

static int arm(struct scry_vm *vm, struct scry_linux *os)
{
	static const uint32_t crs[] = { 0, 3, 4 };
	uint32_t mask = 1u << SCRY_EVENT_CR_WRITE;

	for (size_t i = 0; i < KINDS; i++)
		mask |= 1u << kinds[i];
	if (scry_linux_symbol(os, "_stext", &text) < 0 || scry_linux_symbol(os, "_etext", &text_end) < 0 ||
	    scry_linux_sites(os, mask, add, NULL) < 0)
		return -1;
	for (size_t i = 0; i < site_count; i++) {
		struct scry_breakpoint b = { .sz = sizeof(b), .address = sites[i].address };

		if (scry_breakpoint_add(vm, &b) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof(crs) / sizeof(crs[0]); i++)
		if (subscribe(vm, SCRY_EVENT_CR_WRITE, crs[i]) < 0 ||
		    subscribe(vm, SCRY_EVENT_CR_READ, crs[i]) < 0)
			return -1;
	for (size_t i = 1; i < KINDS; i++)
		if (subscribe(vm, kinds[i], 0) < 0)
			return -1;
	return 0;
}

static int note(struct scry_linux *os, const struct scry_event *event)
{
	struct scry_event *to = &told[event->vcpu];

	*to = *event;
	for (size_t i = 0; i < site_count; i++)
		if (sites[i].address == event->rip)
			return scry_linux_site_event(os, &sites[i], NULL, to);
	fprintf(stderr, "sites: a breakpoint at 0x%llx, where none is\n", (unsigned long long)event->rip);
	return -1;
}

static bool alike(const struct scry_event *a, const struct scry_event *b)
{
	if (a->kind != b->kind || a->rip != b->rip || a->cpl != b->cpl || a->insn_len != b->insn_len)
		return false;
	switch (a->kind) {
	case SCRY_EVENT_CPUID:
		return a->cpuid.leaf == b->cpuid.leaf && a->cpuid.subleaf == b->cpuid.subleaf;
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		return !memcmp(&a->cr, &b->cr, sizeof(a->cr));
	case SCRY_EVENT_DR_WRITE:
	case SCRY_EVENT_DR_READ:
		return !memcmp(&a->dr, &b->dr, sizeof(a->dr));
	case SCRY_EVENT_XSETBV:
		return !memcmp(&a->xsetbv, &b->xsetbv, sizeof(a->xsetbv));
	case SCRY_EVENT_DESCRIPTOR:
		return !memcmp(&a->desc, &b->desc, sizeof(a->desc));
	}
	return a->hypercall.vmmcall == b->hypercall.vmmcall;
}

static int hold_against(const struct scry_event *event)
{
	struct scry_event *before = &told[event->vcpu];
	bool is_alike = alike(event, before);

	if (event->cpl || event->rip < text || event->rip >= text_end) {
		outside++;
		return 0;
	}
	before->kind = SCRY_EVENT_BREAKPOINT;
	count[event->kind]++;
	if (!is_alike)
		fprintf(stderr, "sites: %s at 0x%llx was not told of so before\n",
			scry_event_name((enum scry_event_kind)event->kind),
			(unsigned long long)event->rip);
	return is_alike ? 0 : -1;
}

static int watch(struct scry_vm *vm, struct scry_linux *os)
{
	while (!ended) {
		struct scry_event events[VCPUS];
		int n = scry_event_wait(vm, events, VCPUS, 50);

		if (n < 0)
			return fail();
		for (int i = 0; i < n; i++) {
			int ret = events[i].kind == SCRY_EVENT_BREAKPOINT ? note(os, &events[i]) :
									    hold_against(&events[i]);

			if (ret < 0)
				return 1;
			if (scry_reply_action(vm, &events[i], SCRY_CONTINUE) < 0)
				return fail();
		}
	}
	printf("%zu sites; %u elsewhere", site_count, outside);
	for (int kind = 0; kind < SCRY_EVENT_COUNT; kind++)
		if (count[kind])
			printf(", %u %s", count[kind], scry_event_name((enum scry_event_kind)kind));
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct scry_linux *os = NULL;
	struct scry_vm *vm;
	int ret;

	if (argc != 2)
		return 2;
	sigaction(SIGTERM, &act, NULL);
	if (scry_open(&vm, argv[1], NULL) < 0)
		return fail();
	for (int i = 0; i < VCPUS; i++)
		told[i].kind = SCRY_EVENT_BREAKPOINT;
	if (scry_linux_open(vm, &os) < 0 || arm(vm, os) < 0) {
		ret = fail();
	} else {
		puts("ready");
		fflush(stdout);
		ret = watch(vm, os);
	}
	scry_linux_close(os);
	scry_close(vm);
	return ret;
}
