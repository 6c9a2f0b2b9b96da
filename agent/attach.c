/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "accel.h"
#include "agent/client/client.h"
#include "agent/client/identity.h"
#include "agent/client/listener.h"
#include "agent/client/service.h"
#include "agent/memory/memory_map.h"
#include "agent/qemu/cpu.h"
#include "agent/qemu/detour.h"
#include "agent/qemu/image.h"
#include "attach.h"
#include "protocol/attach.h"
#include "refuse.h"

/*
 * The agent comes to a QEMU that runs, and leaves it.  Once it has left, its code stays in
 * QEMU's memory, as a thread may be about to return through it, but nothing leads there.
 */

#define OPTIONS_MOST 16

const struct scry_attach_result *scry_agent_attach(const char *options)
	__attribute__((visibility("default")));

enum { ABSENT, PLUGIN, ATTACHED };
static _Atomic int how;
static struct scry_attach_result result;
static char words[1024];		/* its options */

bool attach_is_plugin(void)
{
	int absent = ABSENT;

	return atomic_compare_exchange_strong(&how, &absent, PLUGIN);
}

static int take_options(void)
{
	char *option[OPTIONS_MOST], *rest = NULL;
	int count = 0;

	for (char *w = strtok_r(words, "\n", &rest); w; w = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(w, "kvmi", 4) == 0)
			return refuse("KVMI is served only by an agent that is loaded when QEMU starts, "
				      "by -plugin");
		if (count < OPTIONS_MOST)
			option[count++] = w;
	}
	return identity_init(count, option);
}

static int look_around(void)
{
	if (image_init() < 0 || qemu_init() < 0 || cpu_layout_init() < 0 || accel_init() < 0)
		return -1;
	return accel->learn ? take_options() :
	       refuse("it can be loaded into a QEMU that runs only under KVM: start QEMU with -plugin, or "
		      "by scry run");
}

static int find_vcpus(void)
{
	int n;

	bql_lock();
	n = vcpu_find_all();
	qemu.bql_unlock();
	return n ? n : refuse("this machine has no vCPU: there is nothing to look into");
}

/*
 * What is detoured vCPUs execute with QEMU's big lock or without, other threads with it: the
 * code changes while neither can.
 */
static void lift(struct qemu_cpu *cpu, void *unused)
{
	(void)cpu;
	(void)unused;
	bql_lock();
	detours_lift();
	qemu.bql_unlock();
}

static void init(struct qemu_cpu *cpu, void *ret)
{
	(void)cpu;
	bql_lock();
	*(int *)ret = accel->init(0, vcpu_count);
	qemu.bql_unlock();
}

/* NULL, or why it cannot be undone. */
static const char *undo(void)
{
	const char *why;

	bql_lock();
	why = accel->leave();
	qemu.bql_unlock();
	if (!why)
		vcpu_run_exclusive(lift, NULL);
	return why;
}

static int enter(void)
{
	int ret;

	vcpu_run_exclusive(init, &ret);
	if (ret == 0)
		ret = accel->learn();
	if (ret < 0) {
		snprintf(result.text, sizeof(result.text), "%s", refusal());
		undo();
	}
	return ret;
}

static int begin(void)
{
	if (look_around() < 0)
		return -1;
	qemu.rcu_register_thread();
	if (find_vcpus() > 0 && service_open() == 0) {
		if (enter() == 0)
			return 0;
		service_close();
	}
	qemu.rcu_unregister_thread();
	return -1;
}

/* When it returns NULL, no vCPU is in the agent's code any more but on its way out. */
static const char *leave(void)
{
	const char *why = undo();

	if (why)
		return why;
	bql_lock();
	memory_map_unwatch();
	qemu.bql_unlock();
	service_close();
	qemu.rcu_unregister_thread();
	image_leave();
	return NULL;
}

static void *run(void *unused)
{
	int asker;

	(void)unused;
	if (begin() < 0) {
		image_leave();
		if (!result.text[0])
			snprintf(result.text, sizeof(result.text), "%s", refusal());
		atomic_store(&result.state, SCRY_ATTACH_REFUSED);
		atomic_store(&how, ABSENT);
		return NULL;
	}
	client_init();
	snprintf(result.name, sizeof(result.name), "%s", identity.name);
	snprintf(result.socket, sizeof(result.socket), "%s", identity.address.sun_path);
	atomic_store(&result.state, SCRY_ATTACH_DONE);
	for (const char *why = NULL;; service_stays(asker, why)) {
		asker = service_run();
		why = leave();
		if (!why)
			break;
	}
	atomic_store(&how, ABSENT);
	service_left(asker);
	return NULL;
}

const struct scry_attach_result *scry_agent_attach(const char *options)
{
	static struct scry_attach_result there = {
		.state = SCRY_ATTACH_REFUSED, .text = "the agent is in this QEMU already",
	};
	int absent = ABSENT;

	if (!atomic_compare_exchange_strong(&how, &absent, ATTACHED))
		return &there;
	result = (struct scry_attach_result){ .state = SCRY_ATTACH_WORKS };
	snprintf(words, sizeof(words), "%s", options);
	if (service_thread(run) < 0) {
		snprintf(result.text, sizeof(result.text), "%s", refusal());
		atomic_store(&result.state, SCRY_ATTACH_REFUSED);
		atomic_store(&how, ABSENT);
	}
	return &result;
}

/* QEMU ends. */
__attribute__((destructor)) static void unlink_socket(void)
{
	if (atomic_load(&how) == ATTACHED && atomic_load(&result.state) == SCRY_ATTACH_DONE)
		listener_unlink();
}
