/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TARGET_H
#define TOOL_TARGET_H

#include <scry/scry.h>

#include "command.h"

/* Open the VM that a word names: 0, or EXIT_FAILURE with the reason said. */
int open_vm(const char *uri, struct scry_vm **vm);

/* Of a dump of which the end is missing: that, as a sentence.  NULL of any other VM. */
const char *dump_cut_short(struct scry_vm *vm);

/* The words of a command that takes VM and --json and nothing more: VM's. */
const char *vm_word(struct args *args, bool *json);

/*
 * All of a command that takes VM and --json and nothing more: fn is called with
 * the open VM, and gives the exit status.
 */
int with_vm(struct args *args, int (*fn)(struct scry_vm *vm, bool json));

/* What scry_list() says of one VM, kept. */
struct vm_found {
	char name[64];
	int pid, client_pid;
};

/* The running VM that a word names, by name, qemu:NAME or PID: 1, 0 or a library error. */
int find_vm(const char *word, struct vm_found *found);

/* Where to read or write: guest-physical memory, or an address space. */
struct place {
	struct scry_vm *vm;
	struct scry_as *as;	/* NULL = physical */
	bool paused;
};

/* The options that choose a place. */
struct place_opts {
	bool is_virtual, has_vcpu, has_root, pause;
	unsigned vcpu;
	uint64_t root;
};

#define OPT_VIRTUAL { 'V', "virtual", NULL, "ADDR is virtual, in the address space of a vCPU" }
#define OPT_PLACE \
	{ KEY_VCPU, "vcpu", "N", "with -V: the vCPU (default: 0)" }, \
	{ KEY_CR3, "cr3", "ROOT", "with -V: another paging root than the vCPU's CR3" }, \
	{ KEY_PAUSE, "pause", NULL, "hold the VM meanwhile" }

/* Is the option one of these?  Then it is noted. */
bool place_option(struct args *args, struct place_opts *opts, int key);

/* Ends in usage_error() if they do not go together. */
void place_check(struct args *args, const struct place_opts *opts);

/* 0, or EXIT_FAILURE with the reason said. */
int place_open(struct scry_vm *vm, const struct place_opts *opts, struct place *place);
void place_close(struct place *place);

/*
 * Can all of it be read, as the guest is now?  0, or EXIT_FAILURE with the reason
 * said.  The range must not go past the end of the address space.
 */
int place_check_range(const struct place *place, uint64_t address, uint64_t len);
int place_read(const struct place *place, uint64_t address, void *buf, size_t len);
int place_write(const struct place *place, uint64_t address, const void *buf, size_t len);

#endif
