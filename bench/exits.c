/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What an exit of the VM costs that is QEMU's business, with the agent, which is asked for
 * nothing, and without it: two probes that do nothing else, of which one stands still
 * while the other is measured.  Both are told what to do through the files of their RAM.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "loop.h"

#define PORT     0x80	/* QEMU's own, not KVM's */
#define MAPPED   (PROBE_VCPU_GPA + PROBE_VCPU_SIZE)
#define BOOT_S   120
#define WARM_MS  5
#define RUN_MS   150

struct guest {
	pid_t pid;
	unsigned char *ram;
	volatile struct probe_vcpu *vcpu;
};

struct pair {
	struct guest with, without;
};

static void sleep_for(int ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000L };

	nanosleep(&ts, NULL);
}

/* "PID:FILE" */
static int attach(struct guest *g, const char *text)
{
	char *file;
	void *p = MAP_FAILED;
	int fd;

	g->pid = (pid_t)strtol(text, &file, 10);
	if (g->pid <= 0 || *file != ':')
		return bench_fail("'%s' is not PID:FILE of a guest", text);
	fd = open(file + 1, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		p = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (p == MAP_FAILED)
		return bench_fail("cannot map the guest's RAM, %s", file + 1);
	g->ram = p;
	g->vcpu = (volatile struct probe_vcpu *)(g->ram + PROBE_VCPU_GPA);
	return 0;
}

static int start(const struct guest *g)
{
	const volatile struct probe_header *header = (void *)(g->ram + PROBE_GPA);
	const struct probe_op out = LOOP_OP(OUT, .arg = PORT, .size = 1);
	double end = bench_now() + BOOT_S;

	while (header->magic != PROBE_MAGIC) {
		if (bench_now() > end)
			return bench_fail("the probe does not come up");
		sleep_for(10);
	}
	memcpy((void *)&g->vcpu->op[0], &out, sizeof(out));
	g->vcpu->repeat = UINT64_MAX;
	g->vcpu->op_count = 1;
	g->vcpu->stop = 0;
	__atomic_store_n(&g->vcpu->sequence, g->vcpu->sequence + 1, __ATOMIC_SEQ_CST);
	return kill(g->pid, SIGSTOP);
}

/* Nanoseconds of a round. */
static double measure(const struct guest *g)
{
	uint64_t first, last;
	double began, ended;

	kill(g->pid, SIGCONT);
	sleep_for(WARM_MS);
	first = g->vcpu->rounds;
	began = bench_now();
	sleep_for(RUN_MS);
	last = g->vcpu->rounds;
	ended = bench_now();
	kill(g->pid, SIGSTOP);
	return last == first ? bench_fail("the guest's loop does not go on") :
			       (ended - began) * 1e9 / (double)(last - first);
}

static double with_agent(void *arg)
{
	return measure(&((const struct pair *)arg)->with);
}

static double without_agent(void *arg)
{
	return measure(&((const struct pair *)arg)->without);
}

static void detach(struct guest *g)
{
	if (!g->ram)
		return;
	kill(g->pid, SIGCONT);
	munmap(g->ram, MAPPED);
}

int bench_exits(const struct bench *b, const char *with, const char *without)
{
	struct pair pair = { 0 };
	int ret = -1;

	if (attach(&pair.with, with) == 0 && attach(&pair.without, without) == 0 &&
	    start(&pair.with) == 0 && start(&pair.without) == 0)
		ret = bench_pairs(b, "kvm.exit", "ns", with_agent, without_agent, &pair);
	detach(&pair.with);
	detach(&pair.without);
	return ret;
}
