/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_FUTEX_H
#define SCRY_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleep while *word is value, at most ms milliseconds; may return early. */
static inline void scry_futex_wait(_Atomic uint32_t *word, uint32_t value, int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

static inline void scry_futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static inline uint64_t scry_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * How long either side looks at a word before it sleeps.  Longer than a round
 * trip of a busy peer, short against a scheduler's time slice.
 */
#define SCRY_SPIN_NS 50000u

/* A loop that looks for something; zero-initialise. */
struct scry_spin {
	uint64_t end;
	unsigned turns;
};

/* Behind each look: may it look once more?  Yes for SCRY_SPIN_NS. */
static inline int scry_spin(struct scry_spin *spin)
{
	__builtin_ia32_pause();
	if (++spin->turns % 64)
		return 1;
	/* What is looked for mostly comes before the clock is first looked at. */
	if (!spin->end)
		spin->end = scry_now_ns() + SCRY_SPIN_NS;
	return scry_now_ns() <= spin->end;
}

/*
 * Whether to look before sleeping at all.  It is of no use where the other side waits for
 * the very processor on which this one looks, or is busy for longer: then it is tried
 * ever more seldom.  Zero-initialise; of one thread at a time.
 */
struct scry_habit {
	unsigned misses, skips;
};

#define SCRY_HABIT_MOST 8	/* every 2^8th time at the least */

static inline int scry_habit_looks(struct scry_habit *habit)
{
	if (!habit->skips)
		return 1;
	habit->skips--;
	return 0;
}

/* Behind a look: has something come? */
static inline void scry_habit_learn(struct scry_habit *habit, int came)
{
	if (came) {
		habit->misses = 0;
		return;
	}
	if (habit->misses < SCRY_HABIT_MOST)
		habit->misses++;
	habit->skips = (1u << habit->misses) - 1;
}

/* Spin until *word is not value, for SCRY_SPIN_NS at most: is it? */
static inline int scry_spin_while(_Atomic uint32_t *word, uint32_t value)
{
	struct scry_spin spin = { 0 };

	do
		if (atomic_load_explicit(word, memory_order_acquire) != value)
			return 1;
	while (scry_spin(&spin));
	return 0;
}

#endif
