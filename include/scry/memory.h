/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_MEMORY_H
#define SCRY_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include <scry/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scry_vm;

/*
 * Guest-physical memory.  Where guest RAM can be mapped, a read is a load from
 * the mapping: no copy is kept, no lock taken, no system call made.  Any
 * thread may make these calls.
 *
 * The functions marked `inline` are compiled into the caller; the library also
 * exports each under the same name, for bindings and debuggers.
 */

/*
 * The largest mapped stretch of guest RAM, as the inline functions see it.
 * Immutable: when the memory map changes the library publishes another one,
 * and keeps this one, and its mapping, until scry_close().
 *
 * *life changes when the memory map changes or the VM ends (the kernel writes
 * it when the VMM dies), so that a stale map is never used unnoticed.
 */
struct scry_ram {
	uint64_t gpa, size;
	unsigned char *host;
	const uint64_t *life;
	uint64_t life_seen;
};

/* How every struct scry_vm begins. */
struct scry_vm_head {
	const struct scry_ram *ram;	/* never NULL */
};

/*
 * scry_phys_ptr() for what the inline path does not know: the other regions,
 * a changed map, an ended VM.  NULL with scry_errmsg() set on failure.
 */
void *scry_phys_ptr_slow(struct scry_vm *vm, uint64_t gpa, size_t len);

/*
 * A pointer to len bytes of guest RAM at gpa in the shared mapping, or NULL
 * (scry_errmsg() says why) if they are not all inside one mapped region.  The
 * guest changes the bytes at any time: read each once.  The pointer stays
 * valid memory until scry_close(), but is guest memory only as long as the
 * memory map stays as it is.
 *
 * Bytes may be written through it, too, where there is SCRY_CAP_PHYS_WRITE (a
 * dump is mapped for reading only), but code so written may go unseen by a
 * hypervisor that translates code (QEMU's TCG): scry_write_phys() is safe.
 */
inline void *scry_phys_ptr(struct scry_vm *vm, uint64_t gpa, size_t len)
{
	const struct scry_ram *ram =
		__atomic_load_n(&((struct scry_vm_head *)vm)->ram, __ATOMIC_ACQUIRE);
	uint64_t offset = gpa - ram->gpa;

	if (__builtin_expect(offset < ram->size && len <= ram->size - offset &&
			     __atomic_load_n(ram->life, __ATOMIC_RELAXED) == ram->life_seen, 1))
		return ram->host + offset;
	return scry_phys_ptr_slow(vm, gpa, len);
}

/* Bytes that the guest may change at any time: volatile, so that each read is one. */
typedef uint64_t scry_u64_in_guest __attribute__((aligned(1), may_alias));

/* What scry_read_phys_u64() does where the mapping does not serve. */
int scry_read_phys_u64_slow(struct scry_vm *vm, uint64_t gpa, uint64_t *value);

/*
 * Read 8 bytes, little-endian, at any gpa (need not be aligned).  *life is
 * looked at after the bytes (x86 keeps the order of loads), so that they are
 * given out only if the map was true until then.
 */
inline int scry_read_phys_u64(struct scry_vm *vm, uint64_t gpa, uint64_t *value)
{
	const struct scry_ram *ram =
		__atomic_load_n(&((struct scry_vm_head *)vm)->ram, __ATOMIC_ACQUIRE);
	uint64_t offset = gpa - ram->gpa;

	if (__builtin_expect(offset < ram->size && ram->size - offset >= 8, 1)) {
		uint64_t bytes = *(const volatile scry_u64_in_guest *)(ram->host + offset);

		if (__builtin_expect(*(const volatile uint64_t *)ram->life == ram->life_seen, 1)) {
			*value = bytes;
			return 0;
		}
	}
	return scry_read_phys_u64_slow(vm, gpa, value);
}

/*
 * Read or write len bytes at gpa; regions that touch count as one.  All or
 * nothing: SCRY_E_ADDRESS, with nothing written, if any byte is in a hole
 * (scry_errmsg() names the first); SCRY_E_REFUSED for a write to ROM.  Code
 * that scry_write_phys() changes takes effect at once on every driver.
 */
int scry_read_phys(struct scry_vm *vm, uint64_t gpa, void *buf, size_t len);
int scry_write_phys(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len);

/* One piece of a vectored read or write. */
struct scry_iov {
	uint64_t gpa;
	void *buf;
	size_t len;
	int status;	/* set by the call: 0 or SCRY_E_* */
};

/*
 * Read or write several pieces in as few steps as the driver allows.  Each
 * piece succeeds or fails on its own.  Returns the number of pieces that
 * failed, or a negative code if the call as a whole could not be made.
 */
int scry_readv_phys(struct scry_vm *vm, struct scry_iov *iov, size_t count);
int scry_writev_phys(struct scry_vm *vm, struct scry_iov *iov, size_t count);

#ifdef __cplusplus
}
#endif
#endif
