/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LIB_VM_H
#define SCRY_LIB_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <scry/scry.h>

struct scry_driver;

#define SCRY_MAX_VCPUS 64

struct scry_cap_state {
	bool supported;
	char reason[160];	/* why not, or a note */
};

/* A region of the published map: scry_region and where its bytes are. */
struct scry_mapped_region {
	struct scry_region region;
	unsigned char *host;	/* in this process, or NULL */
	uint64_t vmm_host;	/* in the VMM's process, or 0 */
	bool own;		/* the handle's own frames (view.h), not the guest's: come last */
};

/*
 * One version of the memory map.  Immutable once published; all versions are
 * kept until scry_close(), so that readers need no lock.
 */
struct scry_map {
	struct scry_ram ram;		/* largest mapped region; must come first */
	struct scry_map *previous;
	size_t count;
	struct scry_mapped_region region[];	/* by ascending gpa, none overlaps */
};

struct scry_vm {
	struct scry_vm_head head;	/* head.ram is the current struct scry_map */
	const struct scry_driver *driver;
	void *driver_data;

	/* Filled by the driver's open(). */
	struct scry_cap_state caps[SCRY_CAP_COUNT];
	unsigned vcpus;
	int pid;			/* VMM process, or 0 */
	char name[64];
	char hypervisor[96];
	enum scry_ram_access ram_access;
	uint64_t missing_bytes;		/* of a dump that was cut short */
	int timeout_ms;			/* from the caller's options, never 0 */
	uint32_t reply_timeout_ms;	/* the same; 0 = for ever */

	pthread_mutex_t map_lock;	/* publishing a map */

	pthread_mutex_t pause_lock;	/* all below */
	unsigned vm_pauses;
	unsigned vcpu_pauses[SCRY_MAX_VCPUS];
	struct scry_as *spaces;		/* open address spaces, to end their caches' life */
	/* Steps when cached translations end; odd = all vCPUs are paused, caching is right. */
	_Atomic uint64_t cache_epoch;
};

static inline const struct scry_map *scry_current_map(const struct scry_vm *vm)
{
	return (const struct scry_map *)__atomic_load_n(&vm->head.ram, __ATOMIC_ACQUIRE);
}

/*
 * Publish a copy of regions (by ascending gpa, checked by the caller) as the
 * VM's map of that life value.  Called by drivers' map() with map_lock held.
 */
int scry_ram_publish(struct scry_vm *vm, const struct scry_mapped_region *regions, size_t count,
		     const uint64_t *life, uint64_t life_seen);

/* Note a failure: stores the sentence for scry_errmsg() and returns code. */
int scry_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Mark a capability as there (with a note, or "") or missing (with the reason). */
void scry_cap_set(struct scry_vm *vm, enum scry_cap cap, bool supported, const char *reason);

/* 0, or a failure whose sentence says what is missing. */
int scry_need(const struct scry_vm *vm, enum scry_cap cap);
int scry_check_vcpu(const struct scry_vm *vm, unsigned vcpu);
int scry_check_vcpus(const struct scry_vm *vm, uint64_t vcpus);	/* a mask of them */

/* Could scry_write_phys() write all of it? */
int scry_check_writable(struct scry_vm *vm, uint64_t gpa, size_t len);

/* The list vm->spaces, and the end of one's cached translations (any thread). */
struct scry_as *scry_as_next(struct scry_as *as);
void scry_as_forget(struct scry_as *as);

/* End the life of every cached translation (memory written, or a vCPU may run). */
void scry_caches_end(struct scry_vm *vm);

#endif
