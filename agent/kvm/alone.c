/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "alone.h"

/*
 * An instruction that is stepped may come to a handler that nobody catches, which would run
 * on, and on, with the others held: QEMU's own kick, a signal, ends that.  On a busy host
 * a moment may be too short for the instruction itself, and the next is longer.
 */

#define QEMUS_KICK SIGUSR1
#define FIRST_NS   5000000ul
#define LAST_NS    640000000ul

static timer_t *own_timer(void)
{
	static __thread timer_t timer;
	static __thread enum { NOT_YET, MADE, FAILED } state;
	struct sigevent kick = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = QEMUS_KICK };

	if (state == NOT_YET) {
		kick._sigev_un._tid = gettid();
		state = timer_create(CLOCK_MONOTONIC, &kick, &timer) == 0 ? MADE : FAILED;
	}
	return state == MADE ? &timer : NULL;
}

static void set_timer(unsigned long ns)
{
	const struct itimerspec when = { .it_value.tv_nsec = (long)ns };
	timer_t *timer = own_timer();

	if (timer)
		timer_settime(*timer, 0, &when, NULL);
}

int alone_enter(struct kvcpu *k)
{
	int ret, err;

	if (!k->patience)
		k->patience = FIRST_NS;
	set_timer(k->patience);
	ret = kvm_enter(k);
	err = errno;
	set_timer(0);
	if (ret < 0 && err == EINTR && k->patience < LAST_NS)
		k->patience *= 2;
	else if (ret >= 0 && k->patience > FIRST_NS)
		k->patience /= 2;
	errno = err;
	return ret;
}

void alone_begin(struct kvcpu *k)
{
	qemu.cpu_exec_end(k->cpu);
	qemu.start_exclusive();
}

void alone_end(struct kvcpu *k)
{
	int err = errno;

	qemu.end_exclusive();
	qemu.cpu_exec_start(k->cpu);
	errno = err;
}
