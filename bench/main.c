/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

/* What is measured, and what its ratio must be. */
static const struct {
	const char *name;
	int (*run)(const struct bench *b, const char *name);
	double most, least;
	const char *text;
} benches[] = {
	{ "read8.phys.hot", bench_read_phys, 1.5, 0, "8 bytes of one page; bound: a plain load" },
	{ "read8.phys.random", bench_read_phys, 1.2, 0,
	  "8 bytes anywhere in RAM; bound: a plain load" },
	{ "read8.virt.hot", bench_read_virt, 1.5, 0,
	  "8 bytes of one page, virtual; bound: a table lookup by hand" },
	{ "read8.virt.random", bench_read_virt, 1.5, 0,
	  "8 bytes anywhere in the direct map; bound: a table lookup by hand" },
	{ "read4k.seq", bench_copy, 0, 0.95, "4 KiB after 4 KiB; bound: memcpy" },
	{ "read1m.seq", bench_copy, 0, 0.95, "1 MiB after 1 MiB; bound: memcpy" },
	{ "walk.cold", bench_walk, 1.5, 0, "a page walk; bound: 4 loads by hand" },
	{ "event.roundtrip", bench_event, 1.3, 0,
	  "CPUID event and reply; bound: a bare ping-pong (needs the probe as guest)" },
#ifdef SCRY_HAVE_XEN
	{ "event.evtchn", bench_evtchn, 0, 0,
	  "the same on Xen, in dom0; bound: two processes that ring an event channel" },
#endif
	{ "event.filtered", bench_armed, 1.5, 0,
	  "CPUID whose filter does not match; bound: an empty plugin callback (--bound)" },
	{ "step", bench_armed, 1.3, 0,
	  "single-step, no event; bound: QEMU's with an empty handler (--bound)" },
	{ "memtrap.local", bench_memtrap, 2, 0,
	  "a trapped write, let pass beside the vCPU; bound: one that misses the TLB" },
	{ "view.switch", bench_view, 1.5, 0,
	  "a view switched in a reply; bound: the guest's mov to CR3" },
	{ "breakpoint.hidden", bench_breakpoint, 1.2, 0,
	  "a hit, to the client and on; bound: a round trip, a step, two views switched" },
	{ "kvm.msr", bench_kvm_msr, 1.5, 0,
	  "WRMSR event and reply under KVM; bound: KVM's bare exit and a bare ping-pong" },
	{ "kvm.write", bench_kvm_write, 1.2, 0,
	  "memtrap.local under KVM; bound: KVM's bare exit for a write to a read-only slot" },
	{ "pt.encode", bench_pt, 2, 0,
	  "the guest's own work, traced; bound: the same untraced" },
	{ "linux.find", bench_linux_find, 0, 0,
	  "Linux found and ready; bound: each word of its image read (needs Linux as guest)" },
	{ "linux.ps", bench_linux_ps, 0, 0,
	  "200 tasks walked, paused; bound: 16 words of each read, their places known" },
	/* How many reads the processor overlaps; nothing is asked of these. */
	{ "read8.phys.hot.stream", bench_read_phys, 0, 0, "the same, addresses independent" },
	{ "read8.phys.random.stream", bench_read_phys, 0, 0, "the same, addresses independent" },
	{ "walk.cold.full", bench_walk, 0, 0, "the same by scry_walk(), with every detail" },
	{ "event.loop", bench_event, 0, 0, "a whole round of the guest's loop, event and all" },
};

#define COUNT (sizeof(benches) / sizeof(benches[0]))

static void usage(FILE *to)
{
	fprintf(to, "usage: scry-bench [--json] [--runs N] [--bound URI] URI [NAME...]\n"
		    "       scry-bench [--json] --cpu NAME WITH WITHOUT\n"
		    "       scry-bench [--json] --speed MIB COMMAND BOUND\n"
		    "       scry-bench [--json] [--runs N] --exits WITH WITHOUT\n\n"
		    "Measure scry's hot paths on the VM that URI names, each beside its bound.\n"
		    "--runs: so many runs of each in place of 15, of which the median is shown.\n"
		    "--bound: a second guest, whose QEMU has bench/plugin beside the agent.\n"
		    "--cpu: CPU seconds of shell command WITH beside those of WITHOUT (agent.idle).\n"
		    "--speed: MiB a second of shell command COMMAND beside BOUND's, which move MIB "
		    "(dump.write).\n"
		    "--exits: exits of two probes under KVM, with the agent and without it, each as "
		    "PID:FILE,\n  the file being its RAM (kvm.exit).\n\n");
	for (size_t i = 0; i < COUNT; i++)
		fprintf(to, "  %-26s %s\n", benches[i].name, benches[i].text);
}

static int run(struct bench *b, size_t i)
{
	b->wanted_most = benches[i].most;
	b->wanted_least = benches[i].least;
	return benches[i].run(b, benches[i].name);
}

static int run_named(struct bench *b, const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (!strcmp(benches[i].name, name))
			return run(b, i);
	return bench_fail("there is no figure '%s': see scry-bench --help", name);
}

/* Reads: what there is to measure on any guest.  The others need the probe. */
static int run_all(struct bench *b)
{
	int ret = 0;

	for (size_t i = 0; i < COUNT; i++)
		if (benches[i].run == bench_read_phys || benches[i].run == bench_read_virt ||
		    benches[i].run == bench_copy || benches[i].run == bench_walk)
			ret |= run(b, i);
	return ret;
}

static int run_on(struct bench *b, const char *uri, const char *bound, char **names, int count)
{
	int ret = 0;

	if (scry_open(&b->vm, uri, NULL) < 0 || (bound && scry_open(&b->bound, bound, NULL) < 0))
		return bench_fail("%s", scry_errmsg());
	for (int i = 0; i < count; i++)
		ret |= run_named(b, names[i]);
	if (!count)
		ret = run_all(b);
	scry_close(b->bound);
	scry_close(b->vm);
	return ret;
}

/* What is measured on two of something, in turn, in place of a VM. */
struct two {
	const char *cpu;
	double mib;
	bool exits;
};

static int run_two(struct bench *b, const struct two *two, const char *measured,
		   const char *bound)
{
	if (two->exits)
		return bench_exits(b, measured, bound);
	if (two->cpu) {
		b->wanted_most = 1.05;
		return bench_idle(b, two->cpu, measured, bound);
	}
	b->wanted_least = 0.8;
	return bench_speed(b, "dump.write", two->mib, measured, bound);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "runs", required_argument, NULL, 'r' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "speed", required_argument, NULL, 's' },
		{ "exits", no_argument, NULL, 'e' },
		{ "bound", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct bench b = { .runs = BENCH_RUNS };
	const char *bound = NULL;
	struct two two = { 0 };
	bool pair;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			b.json = true;
			break;
		case 'c':
			two.cpu = optarg;
			break;
		case 's':
			two.mib = strtod(optarg, NULL);
			break;
		case 'e':
			two.exits = true;
			break;
		case 'r':
			b.runs = atoi(optarg);
			break;
		case 'b':
			bound = optarg;
			break;
		default:
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	pair = two.cpu || two.mib || two.exits;
	if ((pair ? argc - optind != 2 : argc == optind) || b.runs < 1 || b.runs > BENCH_RUNS) {
		usage(stderr);
		return 2;
	}
	if (pair)
		return run_two(&b, &two, argv[optind], argv[optind + 1]) < 0;
	return run_on(&b, argv[optind], bound, argv + optind + 1, argc - optind - 1) < 0;
}
