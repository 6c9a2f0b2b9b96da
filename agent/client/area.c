/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/sealed.h"
#include "area.h"

static uint32_t generation = 1;
static uint32_t owner;

/*
 * When a thread ends, however it ends, the kernel marks the futexes in its
 * list of robust ones as ownerless: this thread's list holds life.owner alone.
 */
static struct robust_list entry;
static struct robust_list_head robust = { .list.next = &robust.list };

static void own(struct scry_agent_life *life)
{
	owner = (uint32_t)gettid();
	atomic_store(&life->owner, owner);
	atomic_store(&life->generation, generation);
	robust.futex_offset = (char *)&life->owner - (char *)&entry;
	entry.next = &robust.list;
	robust.list.next = &entry;
	syscall(SYS_set_robust_list, &robust, sizeof(robust));
}

static int open_files(struct area *area)
{
	int ends[2];

	/* Not an eventfd, whose flags its two sides share: a client could make the agent wait. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	area->bell = ends[0];
	area->client_bell = ends[1];
	area->fd = sealed_file("scry-agent", area->size);
	/* Rung once, so that the client's first poll does not wait for what came before it. */
	return area->fd < 0 || send(area->bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int area_make(struct area *area, unsigned vcpus)
{
	void *p = MAP_FAILED;

	area->shared = NULL;
	area->size = SCRY_AGENT_SHARED_HEAD + (uint64_t)vcpus * SCRY_AGENT_SLOT_SIZE;
	if (open_files(area) == 0)
		p = mmap(NULL, area->size, PROT_READ | PROT_WRITE, MAP_SHARED, area->fd, 0);
	if (p == MAP_FAILED) {
		area_drop(area);
		return -1;
	}
	area->shared = p;
	own(&area->shared->life);
	return 0;
}

void area_retire(struct area *area)
{
	robust.list.next = &robust.list;
	atomic_store(&area->shared->life.generation, 0);
}

void area_close_client_bell(struct area *area)
{
	if (area->client_bell >= 0)
		close(area->client_bell);
	area->client_bell = -1;
}

void area_drop(struct area *area)
{
	if (area->shared)
		munmap(area->shared, area->size);
	if (area->fd >= 0)
		close(area->fd);
	if (area->bell >= 0)
		close(area->bell);
	area_close_client_bell(area);
	*area = AREA_NONE;
}

struct scry_agent_slot *area_slot(const struct area *area, unsigned vcpu)
{
	return (struct scry_agent_slot *)((char *)area->shared + SCRY_AGENT_SHARED_HEAD +
					  (size_t)vcpu * SCRY_AGENT_SLOT_SIZE);
}

void area_step_generation(struct area *area)
{
	generation += generation == UINT32_MAX ? 2 : 1;
	if (area->shared)
		atomic_store(&area->shared->life.generation, generation);
}

uint64_t area_life(void)
{
	return (uint64_t)generation << 32 | owner;
}
