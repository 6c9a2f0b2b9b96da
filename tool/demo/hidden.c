/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../common/message.h"
#include "../common/term.h"
#include "../pt/path.h"
#include "../trace/print.h"
#include "demo.h"

#define MSR_LSTAR 0xc0000082u
#define HITS_MS   2000
#define SAMPLES   3		/* hits shown one by one */
#define CODE      32		/* bytes compared at the breakpoint */
#define PT_MS     300
#define PT_MOST   (64u << 20)

static void print_hit(struct demo *d, const struct scry_event *event, struct scry_reply *reply)
{
	(void)reply;
	if (d->step_events <= SAMPLES)
		event_print(event, now_ns() - d->step_began, false, NULL);
}

/* Where system calls enter the kernel, and what is there as the guest reads it. */
static int entry_code(struct demo *d, uint64_t *entry, unsigned char code[CODE])
{
	struct scry_as *as;
	int ret;

	if (scry_msr_get(d->vm, 0, MSR_LSTAR, entry) < 0 || scry_as_of_vcpu(d->vm, 0, &as) < 0)
		return fail_lib();
	ret = scry_read_virt(as, *entry, code, CODE) < 0 ? fail_lib() : 0;
	scry_as_free(as);
	return ret;
}

int demo_breakpoint(struct demo *d)
{
	struct scry_breakpoint breakpoint = { .sz = sizeof(breakpoint) };
	unsigned char before[CODE], meanwhile[CODE];
	int number;

	if (entry_code(d, &breakpoint.address, before))
		return EXIT_FAILURE;
	d->on_event = print_hit;
	number = scry_breakpoint_add(d->vm, &breakpoint);
	if (number < 0)
		return fail_lib();
	if (demo_wait(d, NULL, HITS_MS, NULL) || entry_code(d, &breakpoint.address, meanwhile))
		return EXIT_FAILURE;
	if (scry_breakpoint_remove(d->vm, number) < 0)
		return fail_lib();
	if (!d->counts[SHOWN_BREAK])
		return fail("no system call came by the breakpoint");
	if (memcmp(before, meanwhile, CODE))
		return fail("the code at the breakpoint is not what it was");
	show_ok("%" PRIu64 " system calls caught at 0x%" PRIx64 "; the code there is as it was",
		d->counts[SHOWN_BREAK], breakpoint.address);
	return 0;
}

struct packets {
	uint8_t *bytes;
	size_t len;
	uint64_t insns, interrupts;
};

static int count_item(const struct path_item *item, void *opaque)
{
	struct packets *p = opaque;

	p->insns += item->kind == PATH_INSN;
	p->interrupts += item->kind == PATH_INTERRUPT;
	return 0;
}

/* What a vCPU has executed, decoded with the guest's memory. */
static int count_path(struct demo *d, unsigned vcpu, struct packets *p)
{
	int64_t n = scry_pt_read(d->vm, vcpu, p->bytes, PT_MOST);

	if (n < 0)
		return fail_lib();
	p->len += (size_t)n;
	return path_decode(d->vm, p->bytes, (size_t)n, count_item, p) < 0 ? fail("out of memory") : 0;
}

int demo_packets(struct demo *d)
{
	const struct scry_pt_opts opts = { .sz = sizeof(opts), .ring = PT_MOST };
	struct packets p = { .bytes = checked(malloc(PT_MOST)) };
	int ret = 0;

	d->on_event = NULL;
	if (scry_pt_start(d->vm, &opts) < 0)
		ret = fail_lib();
	if (!ret)
		ret = demo_wait(d, NULL, PT_MS, NULL);
	if (!ret && scry_pt_stop(d->vm) < 0)
		ret = fail_lib();
	for (unsigned i = 0; i < DEMO_VCPUS && !ret; i++)
		ret = count_path(d, i, &p);
	free(p.bytes);
	if (ret)
		return EXIT_FAILURE;
	if (!p.insns)
		return fail("no instruction was decoded from %zu bytes of packets", p.len);
	show_ok("%" PRIu64 " instructions and %" PRIu64 " interrupts of %u ms, in %zu KiB of packets, "
		"decoded by libipt", p.insns, p.interrupts, PT_MS, p.len / 1024);
	return 0;
}
