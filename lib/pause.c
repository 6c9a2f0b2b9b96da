/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"
#include "stopped.h"
#include "vm.h"

/* All of this file runs with pause_lock held but for the public functions. */

static bool is_paused(const struct scry_vm *vm, unsigned vcpu)
{
	return vm->vm_pauses || vm->vcpu_pauses[vcpu];
}

static bool all_paused(const struct scry_vm *vm)
{
	for (unsigned i = 0; i < vm->vcpus; i++)
		if (!is_paused(vm, i))
			return false;
	return true;
}

/* The epoch changes before life_seen does: see scry_tlb_fill(). */
static void caches_next_epoch(struct scry_vm *vm, uint64_t step)
{
	atomic_fetch_add(&vm->cache_epoch, step);
	for (struct scry_as *as = vm->spaces; as; as = scry_as_next(as))
		scry_as_forget(as);
}

static void caches_begin_if_all_paused(struct scry_vm *vm)
{
	if (all_paused(vm) && !(vm->cache_epoch & 1))
		caches_next_epoch(vm, 1);
}

static void caches_stop(struct scry_vm *vm)
{
	if (vm->cache_epoch & 1)
		caches_next_epoch(vm, 1);
}

void scry_caches_end(struct scry_vm *vm)
{
	pthread_mutex_lock(&vm->pause_lock);
	if (vm->cache_epoch & 1)
		caches_next_epoch(vm, 2);
	pthread_mutex_unlock(&vm->pause_lock);
}

static int vcpu_pause(struct scry_vm *vm, unsigned vcpu)
{
	int ret = is_paused(vm, vcpu) ? 0 : vm->driver->vcpu_stop(vm, vcpu);

	if (ret < 0)
		return ret;
	vm->vcpu_pauses[vcpu]++;
	caches_begin_if_all_paused(vm);
	return 0;
}

static int vcpu_resume(struct scry_vm *vm, unsigned vcpu)
{
	if (!vm->vcpu_pauses[vcpu])
		return scry_fail(SCRY_E_STATE, "vCPU %u of VM %s was not paused", vcpu, vm->name);
	vm->vcpu_pauses[vcpu]--;
	if (is_paused(vm, vcpu))
		return 0;
	caches_stop(vm);
	return vm->driver->vcpu_go(vm, vcpu);
}

int scry_vcpu_hold(struct scry_vm *vm, unsigned vcpu)
{
	int ret;

	pthread_mutex_lock(&vm->pause_lock);
	ret = vcpu_pause(vm, vcpu);
	pthread_mutex_unlock(&vm->pause_lock);
	return ret;
}

int scry_vcpu_pause(struct scry_vm *vm, unsigned vcpu)
{
	int ret = scry_check_vcpu(vm, vcpu);

	if (!ret)
		ret = scry_need(vm, SCRY_CAP_VCPU_PAUSE);
	return ret < 0 ? ret : scry_vcpu_hold(vm, vcpu);
}

int scry_vcpu_resume(struct scry_vm *vm, unsigned vcpu)
{
	int ret = scry_check_vcpu(vm, vcpu);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&vm->pause_lock);
	ret = vcpu_resume(vm, vcpu);
	pthread_mutex_unlock(&vm->pause_lock);
	return ret;
}

/* Let vCPUs below `end` go that only the pause of the whole VM would hold. */
static int release(struct scry_vm *vm, unsigned end)
{
	int ret = 0;

	for (unsigned i = 0; i < end; i++) {
		int one = vm->vcpu_pauses[i] ? 0 : vm->driver->vcpu_go(vm, i);

		if (one < 0)
			ret = one;
	}
	return ret;
}

static int stop_all(struct scry_vm *vm)
{
	for (unsigned i = 0; i < vm->vcpus; i++) {
		int ret = vm->vcpu_pauses[i] ? 0 : vm->driver->vcpu_stop(vm, i);

		if (ret < 0) {
			release(vm, i);
			return ret;
		}
	}
	return 0;
}

static int set_clocks(struct scry_vm *vm, int stopped)
{
	return vm->driver->clocks ? vm->driver->clocks(vm, stopped) : 0;
}

static int vm_pause(struct scry_vm *vm)
{
	int ret = 0;

	if (!vm->vm_pauses) {
		ret = stop_all(vm);
		if (!ret) {
			ret = set_clocks(vm, 1);
			if (ret < 0)
				release(vm, vm->vcpus);
		}
	}
	if (ret < 0)
		return ret;
	vm->vm_pauses++;
	caches_begin_if_all_paused(vm);
	return 0;
}

static int vm_resume(struct scry_vm *vm)
{
	int clocks, go;

	if (!vm->vm_pauses)
		return scry_fail(SCRY_E_STATE, "VM %s was not paused by this client", vm->name);
	if (--vm->vm_pauses)
		return 0;
	if (!all_paused(vm))
		caches_stop(vm);
	clocks = set_clocks(vm, 0);
	go = release(vm, vm->vcpus);
	return clocks < 0 ? clocks : go;
}

int scry_pause(struct scry_vm *vm)
{
	int ret = scry_need(vm, SCRY_CAP_PAUSE);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&vm->pause_lock);
	ret = vm_pause(vm);
	pthread_mutex_unlock(&vm->pause_lock);
	return ret;
}

int scry_resume(struct scry_vm *vm)
{
	int ret;

	pthread_mutex_lock(&vm->pause_lock);
	ret = vm_resume(vm);
	pthread_mutex_unlock(&vm->pause_lock);
	return ret;
}
