/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pt-compare LOG URI MS [lose|user|probe]: trace a guest for MS milliseconds, and
 * compare the decoded path of each vCPU with what blocklog.so noted meanwhile.
 * lose: take the packets too late; user: trace only CPL 3; probe: it is the
 * probe, to be given something to do.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conformance.h"
#include "match.h"

#define PACKETS_MOST (UINT64_C(1) << 30)

struct run {
	struct scry_vm *vm;
	struct blocklog *log;
	bool lose, user, probe;
	unsigned vcpus;
	struct {
		uint8_t *packets;
		size_t len;
	} vcpu[LOG_VCPUS];
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		die("%s: %s", what, scry_errmsg());
}

static struct blocklog *open_log(const char *path)
{
	int fd = open(path, O_RDWR);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct blocklog), PROT_READ | PROT_WRITE,
					     MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("cannot open %s", path);
	close(fd);
	return p;
}

static void take(struct run *r)
{
	for (unsigned i = 0; i < r->vcpus; i++) {
		int64_t n = scry_pt_read(r->vm, i, r->vcpu[i].packets + r->vcpu[i].len,
					 PACKETS_MOST - r->vcpu[i].len);

		must((int)n, "scry_pt_read");
		r->vcpu[i].len += (size_t)n;
	}
}

/* Begin and end with the VM at rest, so that the log has the very same blocks. */
static void trace(struct run *r, unsigned ms)
{
	const struct scry_pt_opts opts = {
		.sz = sizeof(opts), .ring = r->lose ? SCRY_PT_RING_LEAST : UINT64_C(1) << 24,
		.flags = r->user ? SCRY_PT_USER : 0,
	};
	uint64_t end = now_ms() + ms;

	must(scry_pause(r->vm), "scry_pause");
	must(scry_pt_start(r->vm, &opts), "scry_pt_start");
	atomic_store(&r->log->on, 1);
	must(scry_resume(r->vm), "scry_resume");
	while (now_ms() < end) {
		take(r);
		usleep(r->lose ? 50000 : 500);
	}
	must(scry_pause(r->vm), "scry_pause");
	must(scry_pt_stop(r->vm), "scry_pt_stop");
	atomic_store(&r->log->on, 0);
	take(r);
}

/* All ways in which the probe leaves a block. */
static void open_probe(struct run *r, const char *uri)
{
	struct ctx c = { .uri = uri };
	struct probe_op list[] = {
		OP(CPUID), OP(INT3), OP(INTN), OP(UD2), OP(SYSCALL), OP(RDMSR, .arg = 0x4fff),
		OP(CHECKSUM, .value = 7), OP(CPUID, .flags = PROBE_USER), OP(HLT),
		OP(READ, .size = 8, .arg = PROBE_NOWHERE, .flags = PROBE_USER),
		OP(UD2, .flags = PROBE_USER), OP(LTR, .value = PROBE_SEL_TSS2), OP(CR8),
		OP(EXEC), OP(VMCALL), OP(EXEC),
	};
	const unsigned count = sizeof(list) / sizeof(list[0]);

	if (world_open(&c) < 0 || world_reset(&c) < 0)
		die("the probe does not answer: %s", c.why);
	/* One page of code, mapped twice. */
	list[count - 3].arg = c.probe.patch;
	list[count - 1].arg = PROBE_ALIAS + c.probe.patch;
	if (guest_start_all(&c, list, count, FOREVER) < 0)
		die("the probe does not do it: %s", c.why);
	r->vm = c.vm;
}

static void compare(struct run *r, unsigned vcpu)
{
	static struct match m;

	m = (struct match){ .entry = r->log->entry[vcpu], .count = r->log->count[vcpu] };
	if (path_decode(r->vm, r->vcpu[vcpu].packets, r->vcpu[vcpu].len, match_item, &m) > 0)
		die("vCPU %u: %s", vcpu, m.why);
	if (m.lost)
		die("vCPU %u: packets were lost", vcpu);
	if (!match_complete(&m))
		die("vCPU %u: the log has %" PRIu64 " blocks more, up to 0x%" PRIx64 "; tracing ended "
		    "at 0x%" PRIx64, vcpu, m.count - m.at - 1, m.entry[m.count - 1].pc, m.end);
	printf("vCPU %u: %" PRIu64 " instructions in %" PRIu64 " blocks, %" PRIu64 " interrupts, "
	       "%zu bytes; ", vcpu, m.insns, m.count, m.interrupts, r->vcpu[vcpu].len);
}

/* What can be said where the log has more than the packets. */
struct tally {
	uint64_t insns, kernel, lost;
	char why[128];
};

static int count(const struct path_item *item, void *opaque)
{
	struct tally *t = opaque;

	t->insns += item->kind == PATH_INSN;
	t->kernel += item->kind == PATH_INSN && item->ip >> 63;
	t->lost += item->kind == PATH_LOST;
	if (item->kind == PATH_ERROR)
		snprintf(t->why, sizeof(t->why), "cannot be decoded at byte %" PRIu64 ": %s",
			 item->offset, item->why);
	return t->why[0] != 0;
}

static void tally(struct run *r)
{
	struct tally t = { .insns = 0 };

	for (unsigned i = 0; i < r->vcpus; i++)
		if (path_decode(r->vm, r->vcpu[i].packets, r->vcpu[i].len, count, &t))
			die("vCPU %u: %s", i, t.why);
	if (r->user && t.kernel)
		die("%" PRIu64 " of the kernel's instructions", t.kernel);
	if (!t.insns)
		die("nothing was traced");
	if (r->lose && !t.lost)
		die("nothing was lost");
	printf("%" PRIu64 " instructions, packets lost %" PRIu64 " times; ", t.insns, t.lost);
}

int main(int argc, char **argv)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct run r = { .lose = argc > 4 && !strcmp(argv[4], "lose"),
			 .user = argc > 4 && !strcmp(argv[4], "user"),
			 .probe = argc > 4 && !strcmp(argv[4], "probe") };

	if (argc < 4)
		die("usage: pt-compare LOG URI MS [lose|user|probe]");
	r.log = open_log(argv[1]);
	if (r.probe)
		open_probe(&r, argv[2]);
	else
		must(scry_open(&r.vm, argv[2], NULL), "scry_open");
	must(scry_info(r.vm, &info), "scry_info");
	r.vcpus = info.vcpus;
	for (unsigned i = 0; i < r.vcpus; i++) {
		r.log->count[i] = 0;
		r.vcpu[i].packets = mmap(NULL, PACKETS_MOST, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (r.vcpu[i].packets == MAP_FAILED)
			die("out of memory");
	}
	trace(&r, (unsigned)atoi(argv[3]));
	if (r.lose || r.user)
		tally(&r);
	for (unsigned i = 0; i < r.vcpus && !r.lose && !r.user; i++)
		compare(&r, i);
	printf("all agree\n");
	scry_close(r.vm);
	return 0;
}
