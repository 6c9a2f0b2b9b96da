/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pingpong.h"
#include "protocol/futex.h"

/*
 * One slot, laid out as the agent's is: an event goes one way, an action the
 * other.  Each side spins, then sleeps on a futex.
 */
struct slot {
	_Alignas(64) _Atomic uint32_t event_seq;
	_Atomic uint32_t teller_sleeps;
	struct scry_event event;
	_Alignas(64) _Atomic uint32_t command;
	_Atomic uint32_t answerer_sleeps;
	uint32_t action;
};

struct pingpong {
	struct slot *slot;
	pid_t pid;
};

static void wait_change(_Atomic uint32_t *word, uint32_t seen, _Atomic uint32_t *sleeps)
{
	if (scry_spin_while(word, seen))
		return;
	atomic_store(sleeps, 1);
	while (atomic_load(word) == seen)
		scry_futex_wait(word, seen, 1000);
	atomic_store(sleeps, 0);
}

static void step(_Atomic uint32_t *word, uint32_t value, _Atomic uint32_t *other_sleeps)
{
	atomic_store(word, value);
	if (atomic_load(other_sleeps))
		scry_futex_wake(word);
}

static void answer_for_ever(struct slot *slot)
{
	struct scry_event event;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t seq = 1;; seq++) {
		wait_change(&slot->event_seq, seq - 1, &slot->answerer_sleeps);
		event = slot->event;
		__asm__ volatile("" : : "r"(&event) : "memory");
		slot->action = (uint32_t)event.sequence;
		step(&slot->command, seq, &slot->teller_sleeps);
	}
}

struct pingpong *pingpong_start(void)
{
	struct pingpong *p = malloc(sizeof(*p));

	if (!p) {
		bench_fail("out of memory");
		return NULL;
	}
	p->slot = mmap(NULL, sizeof(*p->slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	p->pid = p->slot == MAP_FAILED ? -1 : fork();
	if (!p->pid)
		answer_for_ever(p->slot);
	if (p->pid > 0)
		return p;
	bench_fail("cannot start another process");
	if (p->slot != MAP_FAILED)
		munmap(p->slot, sizeof(*p->slot));
	free(p);
	return NULL;
}

void pingpong_stop(struct pingpong *p)
{
	if (!p)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	munmap(p->slot, sizeof(*p->slot));
	free(p);
}

double pingpong_ns(struct pingpong *p, int ms)
{
	uint32_t seq = atomic_load(&p->slot->event_seq);
	struct scry_event event = { .kind = SCRY_EVENT_CPUID };
	struct samples samples = { .count = 0 };
	double now = bench_now(), end = now + ms / 1e3;

	do {
		double start = now;

		for (int i = 0; i < PINGPONG_BATCH; i++) {
			event.sequence = ++seq;
			p->slot->event = event;
			step(&p->slot->event_seq, seq, &p->slot->answerer_sleeps);
			wait_change(&p->slot->command, seq - 1, &p->slot->teller_sleeps);
		}
		now = bench_now();
		samples_add(&samples, (now - start) * 1e9 / PINGPONG_BATCH);
	} while (now < end);
	return bench_median(samples.value, samples.count);
}
