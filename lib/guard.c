/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "guard.h"

#define PAGE ((uintptr_t)4096)

/*
 * Nodes are never freed, only used again, so that the handler may follow the chain
 * in any thread at any moment.
 */
struct node {
	struct scry_guard guard;	/* what callers see */
	struct node *next;
	bool used;			/* under the lock */
	uint64_t *_Atomic other_life;	/* or NULL */
	_Atomic uintptr_t start, end;	/* end = 0: watches nothing */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct node *) nodes;
static unsigned in_use;			/* under the lock */
static struct sigaction before;		/* the handler that was there */

/* The guard of this address, or NULL.  A node that changes meanwhile is another's. */
static struct node *find(uintptr_t address)
{
	for (struct node *n = atomic_load(&nodes); n; n = n->next) {
		uintptr_t start = atomic_load(&n->start), end = atomic_load(&n->end);

		if (address >= start && address < end && atomic_load(&n->start) == start)
			return n;
	}
	return NULL;
}

static void pass_on(int signal, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(signal, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(signal);
	} else {
		/* The faulting instruction is tried again, and ends the process. */
		struct sigaction end = { .sa_handler = SIG_DFL };

		sigaction(signal, &end, NULL);
	}
}

static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	struct node *n = info->si_code > 0 ? find(address) : NULL;
	uint64_t *other = n ? atomic_load(&n->other_life) : NULL;
	int saved = errno;

	if (!n || mmap((void *)(address & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
		pass_on(signal, info, context);
		return;
	}
	__atomic_store_n(&n->guard.life, SCRY_GUARD_BROKEN, __ATOMIC_SEQ_CST);
	if (other)
		__atomic_store_n(other, SCRY_GUARD_BROKEN, __ATOMIC_SEQ_CST);
	errno = saved;
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &before);
}

static void uninstall(void)
{
	struct sigaction now;

	/* Unless the program has put its own there meanwhile. */
	if (!sigaction(SIGBUS, NULL, &now) && now.sa_flags & SA_SIGINFO &&
	    now.sa_sigaction == on_bus_error)
		sigaction(SIGBUS, &before, NULL);
}

static struct node *free_node(void)
{
	struct node *n = atomic_load(&nodes);

	while (n && n->used)
		n = n->next;
	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->next = atomic_load(&nodes);
	atomic_store(&nodes, n);
	return n;
}

struct scry_guard *scry_guard_begin(const void *map, size_t size, uint64_t *other_life)
{
	struct node *n;

	pthread_mutex_lock(&lock);
	n = free_node();
	if (n) {
		n->used = true;
		n->guard.life = SCRY_GUARD_ALIVE;
		atomic_store(&n->other_life, other_life);
		atomic_store(&n->start, (uintptr_t)map);
		/* The last page is mapped whole. */
		atomic_store(&n->end, ((uintptr_t)map + size + PAGE - 1) & ~(PAGE - 1));
		if (!in_use++)
			install();
	}
	pthread_mutex_unlock(&lock);
	return n ? &n->guard : NULL;
}

void scry_guard_end(struct scry_guard *guard)
{
	struct node *n = (struct node *)guard;

	if (!n)
		return;
	pthread_mutex_lock(&lock);
	atomic_store(&n->end, 0);
	atomic_store(&n->start, 0);
	n->used = false;
	if (!--in_use)
		uninstall();
	pthread_mutex_unlock(&lock);
}
