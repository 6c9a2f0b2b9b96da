/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

/*
 * Driver `file`: a dump of a guest's memory.  All that is parsed is parsed at open,
 * from copies of the bytes, so that nothing a file says, or becomes later, is
 * trusted twice.
 */

#define STANDS "a dump stands still: nothing runs in it"
#define FIXED  "a dump is not changed"

static const char no_registers[] = "this file has no registers";

/* Why a dump cannot do that, whatever the file. */
static const char *never(enum scry_cap cap)
{
	switch (cap) {
	case SCRY_CAP_PHYS_WRITE:
	case SCRY_CAP_REGS_WRITE:
	case SCRY_CAP_MSR_WRITE:
	case SCRY_CAP_XSAVE_WRITE:
		return FIXED;
	default:
		return STANDS;
	}
}

static bool any_xsave(const struct dump_vm *d)
{
	for (unsigned i = 0; i < d->cpus; i++)
		if (d->cpu[i].xsave_size)
			return true;
	return false;
}

static const char *registers_note(const struct dump_vm *d)
{
	if (d->by_scry)
		return "";
	if (d->by_qemu)
		return "no debug registers, CR8 or XCR0; EFER is concluded from the others";
	return d->cpu[0].regs.cr3 ? "no system registers; CR3 is the kernel's, by VMCOREINFO" :
				    "no system registers";
}

static void set_registers(struct scry_vm *vm, const struct dump_vm *d)
{
	bool has = d->cpus > 0;
	char left_out[80] = "";

	if (d->cpus_left_out)
		snprintf(left_out, sizeof(left_out), "the first %u of %u", d->cpus,
			 d->cpus + d->cpus_left_out);
	scry_cap_set(vm, SCRY_CAP_VCPU_COUNT, has, has ? left_out : no_registers);
	scry_cap_set(vm, SCRY_CAP_REGS_READ, has, has ? registers_note(d) : no_registers);
	scry_cap_set(vm, SCRY_CAP_MSR_READ, has, !has ? no_registers : d->by_scry ?
		     "those that scry dump keeps" : "FS_BASE, GS_BASE and what else is in its notes");
	scry_cap_set(vm, SCRY_CAP_XSAVE_READ, any_xsave(d), any_xsave(d) ? "" :
		     "this file has no FPU state");
}

static void set_map(struct scry_vm *vm, const struct dump_vm *d)
{
	char text[128] = "";

	if (d->missing)
		snprintf(text, sizeof(text), "the file is shorter than its headers say, by %llu KiB",
			 (unsigned long long)(d->missing + 1023) >> 10);
	scry_cap_set(vm, SCRY_CAP_MEMORY_MAP, true, text);
}

static void set_caps(struct scry_vm *vm)
{
	const struct dump_vm *d = dump_of(vm);

	for (int cap = 0; cap < SCRY_CAP_COUNT; cap++)
		scry_cap_set(vm, cap, false, never(cap));
	scry_cap_set(vm, SCRY_CAP_MAX_GFN, true, "");
	set_map(vm, d);
	scry_cap_set(vm, SCRY_CAP_PHYS_READ, true, "");
	scry_cap_set(vm, SCRY_CAP_RAM_MAP, d->file.map != NULL, d->file.map ? "the file is mapped" :
		     d->file.zstd ? "the file is compressed" : "the file cannot be mapped");
	set_registers(vm, d);
}

static void describe(struct scry_vm *vm, const char *path)
{
	const struct dump_vm *d = dump_of(vm);
	const char *base = strrchr(path, '/');
	const char *by = d->by_scry ? " by scry" : d->by_qemu ? " by QEMU" :
			 d->vmcoreinfo ? " by kdump" : "";

	snprintf(vm->name, sizeof(vm->name), "%s", base && base[1] ? base + 1 : path);
	for (char *c = vm->name; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	snprintf(vm->hypervisor, sizeof(vm->hypervisor), "%s%s%s%s", d->format, by,
		 d->file.zstd ? ", compressed" : "", d->missing ? ", cut short" : "");
	vm->vcpus = d->cpus;
	vm->missing_bytes = d->missing;
	vm->ram_access = d->file.map ? SCRY_RAM_MAPPED : SCRY_RAM_MESSAGES;
	/* No vCPU ever runs: translations may be cached from the beginning. */
	atomic_store(&vm->cache_epoch, 1);
}

static void dump_close(struct scry_vm *vm)
{
	struct dump_vm *d = dump_of(vm);

	dump_file_close(&d->file);
	free(d->piece);
	free(d->cpu);
	free(d->vmcoreinfo);
	free(d);
}

static int dump_open(struct scry_vm *vm, const char *address)
{
	struct dump_vm *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return scry_fail(SCRY_E_NOMEM, "out of memory while opening %s", address);
	d->file.fd = -1;
	vm->driver_data = d;
	ret = dump_file_open(&d->file, address);
	if (!ret)
		ret = dump_parse(d);
	if (!ret)
		ret = dump_layout(d);
	if (!ret)
		ret = dump_file_map(&d->file);
	if (ret < 0) {
		dump_close(vm);
		return ret;
	}
	describe(vm, address);
	set_caps(vm);
	return 0;
}

static int dump_map(struct scry_vm *vm)
{
	static const uint64_t for_ever = SCRY_GUARD_ALIVE;
	struct dump_vm *d = dump_of(vm);
	const uint64_t *life = d->file.guard ? &d->file.guard->life : &for_ever;
	struct scry_mapped_region *regions;
	int ret;

	if (__atomic_load_n(life, __ATOMIC_SEQ_CST) != SCRY_GUARD_ALIVE)
		return scry_fail(SCRY_E_IO, "the file %s has been shortened, or cannot be read any more: "
				 "open it again", d->file.path);
	regions = calloc(d->pieces, sizeof(*regions));
	if (!regions)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	for (size_t i = 0; i < d->pieces; i++) {
		const struct dump_piece *p = &d->piece[i];

		regions[i].region.gpa = p->gpa;
		regions[i].region.size = p->size;
		if (d->file.map) {
			regions[i].host = d->file.map + p->offset;
			regions[i].region.flags = SCRY_REGION_MAPPED;
		}
	}
	ret = scry_ram_publish(vm, regions, d->pieces, life, SCRY_GUARD_ALIVE);
	free(regions);
	return ret;
}

static int dump_read(struct scry_vm *vm, const struct scry_map *map, const struct scry_piece *piece,
		     size_t count)
{
	struct dump_vm *d = dump_of(vm);
	int ret = 0;

	for (size_t i = 0; !ret && i < count; i++) {
		const struct dump_piece *p = &d->piece[piece[i].region - map->region];

		ret = dump_file_read(&d->file, p->offset + (piece[i].gpa - p->gpa), piece[i].buf,
				     piece[i].len);
	}
	return ret;
}

/* All of them do, always. */
static bool dump_vcpu_waits(struct scry_vm *vm, unsigned vcpu)
{
	(void)vm;
	(void)vcpu;
	return true;
}

static int dump_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs)
{
	*regs = dump_of(vm)->cpu[vcpu].regs;
	return 0;
}

static int dump_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value)
{
	const struct dump_cpu *cpu = &dump_of(vm)->cpu[vcpu];

	for (uint32_t i = 0; i < cpu->msr_count; i++) {
		if (cpu->msr[i].index == index) {
			*value = cpu->msr[i].value;
			return 0;
		}
	}
	return scry_fail(SCRY_E_REFUSED, "the dump %s does not hold MSR 0x%x", vm->name, index);
}

static int dump_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size)
{
	struct dump_vm *d = dump_of(vm);
	const struct dump_cpu *cpu = &d->cpu[vcpu];
	int ret;

	if (!cpu->xsave_size || cpu->xsave_size > INT32_MAX)
		return scry_fail(SCRY_E_UNSUPPORTED, "the dump %s has no FPU state of vCPU %u", vm->name,
				 vcpu);
	ret = dump_file_read(&d->file, cpu->xsave_offset, area,
			     size < cpu->xsave_size ? size : cpu->xsave_size);
	return ret < 0 ? ret : (int)cpu->xsave_size;
}

const struct scry_driver scry_driver_dump = {
	.scheme = "file",
	.open = dump_open,
	.close = dump_close,
	.map = dump_map,
	.read = dump_read,
	.vcpu_waits = dump_vcpu_waits,
	.regs_get = dump_regs_get,
	.msr_get = dump_msr_get,
	.xsave_get = dump_xsave_get,
};
