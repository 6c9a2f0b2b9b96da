/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "ram.h"
#include "uri.h"
#include "vm.h"

#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_REPLY_TIMEOUT_MS 60000

const char *scry_version(void)
{
	return SCRY_VERSION;
}

static uint32_t reply_timeout(const struct scry_open_opts *opts)
{
	if (!opts || !opts->reply_timeout_ms)
		return DEFAULT_REPLY_TIMEOUT_MS;
	return opts->reply_timeout_ms < 0 ? 0 : (uint32_t)opts->reply_timeout_ms;
}

static struct scry_vm *vm_new(const struct scry_driver *driver, const struct scry_open_opts *opts)
{
	struct scry_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->driver = driver;
	vm->timeout_ms = opts && opts->timeout_ms > 0 ? opts->timeout_ms : DEFAULT_TIMEOUT_MS;
	vm->reply_timeout_ms = reply_timeout(opts);
	pthread_mutex_init(&vm->map_lock, NULL);
	pthread_mutex_init(&vm->pause_lock, NULL);
	return vm;
}

static void vm_free(struct scry_vm *vm)
{
	scry_ram_free(vm);
	pthread_mutex_destroy(&vm->pause_lock);
	pthread_mutex_destroy(&vm->map_lock);
	free(vm);
}

static int open_uri(struct scry_vm **vm, const char *uri, const struct scry_open_opts *opts)
{
	const struct scry_driver *driver;
	const char *address;
	struct scry_vm *new;
	int ret = scry_uri_parse(uri, &driver, &address);

	if (ret < 0)
		return ret;
	new = vm_new(driver, opts);
	if (!new)
		return scry_fail(SCRY_E_NOMEM, "out of memory while opening %s", uri);
	ret = driver->open(new, address);
	if (ret < 0) {
		vm_free(new);
		return ret;
	}
	ret = scry_ram_refresh(new);
	if (ret < 0) {
		driver->close(new);
		vm_free(new);
		return ret;
	}
	*vm = new;
	return 0;
}

struct named {
	const char *name;
	char uri[128];
};

static int is_named(const struct scry_vm_entry *entry, void *opaque)
{
	struct named *named = opaque;

	if (strcmp(entry->name, named->name))
		return 0;
	return snprintf(named->uri, sizeof(named->uri), "%s", entry->uri) < (int)sizeof(named->uri);
}

int scry_open(struct scry_vm **vm, const char *uri, const struct scry_open_opts *opts)
{
	struct named named = { .name = uri };
	char why[512];
	int ret;

	if (!vm)
		return scry_fail(SCRY_E_INVAL, "scry_open() needs a place for the handle");
	*vm = NULL;
	if (opts && opts->sz < sizeof(*opts))
		return scry_fail(SCRY_E_INVAL, "scry_open_opts.sz must be sizeof(struct "
				 "scry_open_opts)");
	ret = open_uri(vm, uri, opts);
	if (ret != SCRY_E_NOTFOUND || strpbrk(uri, ":/"))
		return ret;
	/* A name alone may be another hypervisor's VM. */
	snprintf(why, sizeof(why), "%s", scry_errmsg());
	if (scry_list(is_named, &named) > 0)
		return open_uri(vm, named.uri, opts);
	return scry_fail(ret, "%s", why);
}

void scry_close(struct scry_vm *vm)
{
	if (!vm)
		return;
	vm->driver->close(vm);
	vm_free(vm);
}

int scry_list(scry_list_fn fn, void *opaque)
{
	int ret = 0;

	for (const struct scry_driver *const *d = scry_drivers; *d && !ret; d++)
		if ((*d)->list)
			ret = (*d)->list(fn, opaque);
	return ret;
}

int scry_vcpu_count(struct scry_vm *vm)
{
	return (int)vm->vcpus;
}

int scry_check_vcpu(const struct scry_vm *vm, unsigned vcpu)
{
	if (vcpu < vm->vcpus)
		return 0;
	return scry_fail(SCRY_E_INVAL, "there is no vCPU %u: VM %s has %u, counted from 0", vcpu,
			 vm->name, vm->vcpus);
}

int scry_check_vcpus(const struct scry_vm *vm, uint64_t vcpus)
{
	if (vm->vcpus >= 64 || !(vcpus >> vm->vcpus))
		return 0;
	return scry_check_vcpu(vm, (unsigned)(63 - __builtin_clzll(vcpus)));
}

int scry_info(struct scry_vm *vm, struct scry_info *info)
{
	size_t size = info ? info->sz : 0;
	struct scry_info full = { .sz = size };
	int ret;

	if (size < sizeof(info->sz) || size > sizeof(full))
		return scry_fail(SCRY_E_INVAL, "scry_info.sz must be sizeof(struct scry_info)");
	ret = scry_max_gfn(vm, &full.max_gfn);
	if (ret < 0)
		return ret;
	strncpy(full.driver, vm->driver->scheme, sizeof(full.driver) - 1);
	memcpy(full.name, vm->name, sizeof(full.name));
	memcpy(full.hypervisor, vm->hypervisor, sizeof(full.hypervisor));
	full.pid = vm->pid;
	full.vcpus = vm->vcpus;
	full.ram_bytes = scry_ram_bytes(vm);
	full.ram_access = vm->ram_access;
	full.missing_bytes = vm->missing_bytes;
	memcpy(info, &full, size);
	return 0;
}
