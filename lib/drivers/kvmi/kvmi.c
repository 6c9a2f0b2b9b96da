/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <scry/paging.h>

#include "../../../protocol/futex.h"
#include "../../guard.h"
#include "../../peer.h"
#include "kvmi.h"
#include "rx.h"

/* Which generation speaks?  Both say "version 1" to the same question. */
static int ask_version(struct kvmi_vm *k)
{
	struct kvmi_call call = kvmi_vm_call(KVMI_GET_VERSION, NULL, 0);
	struct kvmi_v7_version_reply v7;
	struct kvmi_v12_version_reply v12;
	int ret;

	call.reply = &v7;
	call.reply_min = call.reply_max = sizeof(v7);
	ret = kvmi_call(k, &call);
	if (ret == SCRY_E_GONE && k->ended == SCRY_E_GONE)
		return scry_fail(SCRY_E_PERM, "VM %s came to the socket and hung up at the first "
				 "question: its QEMU wants a key, or another one (kvmi:PATH,key=SECRET "
				 "or ,key-file=FILE, whose last newline counts), or its kernel lets nobody look "
				 "(kvm.introspection=0)", k->vm->name);
	if (ret < 0)
		return ret;
	memcpy(&v12, &v7, sizeof(v12));
	if (v7.version != 1 || (v12.max_message && v12.max_message != KVMI_PAYLOAD_MOST))
		return scry_fail(SCRY_E_VERSION, "the kernel of VM %s speaks a KVMI (version %u, "
				 "messages of %u bytes) that is neither v7's nor v12's", k->vm->name,
				 v7.version, v12.max_message);
	k->generation = v12.max_message ? KVMI_V12 : KVMI_V7;
	k->eptp = k->generation == KVMI_V7 && v7.eptp;
	k->has_step = k->generation == KVMI_V7 ? v7.singlestep : v12.singlestep;
	/* What QEMU is and what the kernel is belong together, but it is the kernel that counts. */
	snprintf(k->vm->hypervisor, sizeof(k->vm->hypervisor), "KVM with KVMI %s",
		 k->generation == KVMI_V7 ? "v7" : "v12");
	return 0;
}

static int ask_vcpus(struct kvmi_vm *k)
{
	struct kvmi_call call = kvmi_vm_call(KVMI_GET_INFO, NULL, 0);
	struct kvmi_info_reply info;
	int ret;

	call.reply = &info;
	call.reply_min = call.reply_max = sizeof(info);
	ret = kvmi_call(k, &call);
	if (ret < 0)
		return ret;
	if (!info.vcpus || info.vcpus > SCRY_MAX_VCPUS)
		return scry_fail(SCRY_E_PROTOCOL, "the kernel says that VM %s has %u vCPUs",
				 k->vm->name, info.vcpus);
	k->vm->vcpus = info.vcpus;
	return 0;
}

/* To be told when QEMU wants its VM back, and of vCPUs that are added. */
static int watch_vm(struct kvmi_vm *k)
{
	static const enum kvmi_event events[] = { KVMI_EVENT_UNHOOK, KVMI_EVENT_CREATE_VCPU };
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(events) / sizeof(events[0]); i++) {
		struct kvmi_call call = kvmi_events_call(k->generation, events[i], -1, true);

		if (k->event[events[i]] && k->command[KVMI_VM_CONTROL_EVENTS])
			ret = kvmi_call(k, &call);
	}
	return ret;
}

static void init_locks(struct kvmi_vm *k)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->turn, &monotonic);
	pthread_cond_init(&k->keep, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static struct kvmi_vm *kvmi_new(struct scry_vm *vm)
{
	struct kvmi_vm *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->vm = vm;
	k->socket = k->listener = k->wake = k->epoll = -1;
	k->stepping = -1;
	k->life = SCRY_GUARD_ALIVE;
	k->view[0].exists = true;
	k->rx = malloc(KVMI_RX_SIZE);
	k->vcpu = calloc(SCRY_MAX_VCPUS, sizeof(*k->vcpu));
	init_locks(k);
	vm->driver_data = k;
	return k;
}

static void kvmi_free(struct kvmi_vm *k)
{
	const int fds[] = { k->socket, k->wake, k->epoll };

	kvmi_unlisten(k);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	scry_as_free(k->as);
	kvmi_views_drop(k);
	scry_files_unmap(&k->files);
	pthread_cond_destroy(&k->keep);
	pthread_cond_destroy(&k->turn);
	pthread_mutex_destroy(&k->lock);
	free(k->breaks);
	free(k->vcpu);
	free(k->rx);
	free(k);
}

/*
 * The hang-up has the kernel put everything back.  Events are answered first, for
 * with some go registers that were set.
 */
static void kvmi_close(struct scry_vm *vm)
{
	struct kvmi_vm *k = kvmi_of(vm);

	pthread_mutex_lock(&k->lock);
	for (unsigned i = 0; !k->ended && i < vm->vcpus; i++)
		if (k->vcpu[i].waits && k->vcpu[i].regs_set) {
			k->vcpu[i].over = (struct kvmi_over){ 0 };
			kvmi_pass_locked(k, i);
		}
	kvmi_end(k, SCRY_E_GONE, "closed");
	pthread_mutex_unlock(&k->lock);
	kvmi_keeper_stop(k);
	kvmi_free(k);
}

static int kvmi_open(struct scry_vm *vm, const char *address)
{
	struct kvmi_vm *k = kvmi_new(vm);
	int ret = 0;

	if (!k)
		return scry_fail(SCRY_E_NOMEM, "out of memory while opening %s", address);
	if (!k->rx || !k->vcpu)
		ret = scry_fail(SCRY_E_NOMEM, "out of memory while opening %s", address);
	if (!ret)
		ret = kvmi_listen(k, address);
	k->open_end = scry_now_ns() + KVMI_OPEN_TIMES * (uint64_t)vm->timeout_ms * 1000000u;
	if (!ret)
		ret = ask_version(k);
	if (!ret)
		ret = kvmi_caps(k);
	if (!ret)
		ret = ask_vcpus(k);
	if (!ret)
		ret = watch_vm(k);
	if (!ret)
		ret = kvmi_map(vm);
	k->open_end = 0;
	if (!ret)
		ret = kvmi_keeper_start(k);
	if (ret < 0)
		kvmi_free(k);
	return ret;
}

const struct scry_driver scry_driver_kvmi = {
	.scheme = "kvmi",
	.open = kvmi_open,
	.close = kvmi_close,
	.map = kvmi_map,
	.read = kvmi_read,
	.write = kvmi_write,
	.vcpu_stop = kvmi_vcpu_stop,
	.vcpu_go = kvmi_vcpu_go,
	.vcpu_waits = kvmi_vcpu_waits,
	.regs_get = kvmi_regs_get,
	.regs_set = kvmi_regs_set,
	.inject = kvmi_inject,
	.msr_get = kvmi_msr_get,
	.xsave_get = kvmi_xsave_get,
	.xsave_set = kvmi_xsave_set,
	.subscribe = kvmi_subscribe,
	.unsubscribe = kvmi_unsubscribe,
	.event_wait = kvmi_event_wait,
	.event_times = kvmi_event_times,
	.event_fd = kvmi_event_fd,
	.reply = kvmi_reply,
	.view_create = kvmi_view_create,
	.view_destroy = kvmi_view_destroy,
	.view_protect = kvmi_view_protect,
	.view_remap = kvmi_view_remap,
	.view_switch = kvmi_view_switch,
	.frame_create = kvmi_frame_create,
	.frame_destroy = kvmi_frame_destroy,
	.breakpoint_add = kvmi_breakpoint_add,
	.breakpoint_remove = kvmi_breakpoint_remove,
};
