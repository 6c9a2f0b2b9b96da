/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../peer.h"
#include "qemu_ram.h"

/*
 * On a PC QEMU's RAM is one block: what is below 4 GiB, then what is above, at the
 * block's offset that the part below has as its size.
 */
#define GIB4 (UINT64_C(1) << 32)

struct block {
	uint64_t low, size;		/* bytes below 4 GiB, and in all */
	uint64_t address;		/* in QEMU's process */
	uint64_t offset, device, inode;	/* in a file, if that is not 0 */
	int fd;				/* open for reading and writing, or -1 */
};

static uint64_t offset_of(const struct block *b, uint64_t gpa)
{
	return gpa < GIB4 ? gpa : b->low + (gpa - GIB4);
}

/* How large the block must be, by where memory was found. */
static void measure(struct block *b, const struct scry_mapped_region *region, size_t count)
{
	uint64_t largest = 0;

	b->low = b->size = 0;
	for (size_t i = 0; i < count; i++) {
		const struct scry_region *r = &region[i].region;

		if (r->gpa >= GIB4) {
			b->size = r->gpa + r->size - GIB4;
		} else if (r->size >= largest) {
			largest = r->size;
			b->low = r->gpa + r->size;
		}
	}
	b->size += b->low;
}

/* A part of what may be the block; zeros count as well as a failure. */
static bool look(const struct kvmi_vm *k, const struct block *b, uint64_t offset, void *buf,
		 size_t len)
{
	struct iovec local = { buf, len };
	struct iovec remote = { (void *)(uintptr_t)(b->address + offset), len };

	/* A hole of a file stays one if it is read so. */
	if (b->fd >= 0)
		return pread(b->fd, buf, len, (off_t)(b->offset + offset)) == (ssize_t)len;
	return process_vm_readv(k->vm->pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static bool is_zero(const unsigned char *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

/* Does the kernel say the same of that page?  The guest may write it meanwhile. */
static bool same_page(struct kvmi_vm *k, const struct block *b, uint64_t gpa)
{
	unsigned char there[KVMI_PAGE], told[KVMI_PAGE];

	for (int tries = 0; tries < 4; tries++) {
		struct kvmi_call call = kvmi_memory_call(KVMI_READ_PHYSICAL, gpa, KVMI_PAGE);

		call.reply = told;
		call.reply_min = call.reply_max = KVMI_PAGE;
		if (kvmi_calls(k, &call, 1) < 0 || call.err ||
		    !look(k, b, offset_of(b, gpa), there, sizeof(there)))
			return false;
		if (!memcmp(there, told, sizeof(there)))
			return true;
	}
	return false;
}

/* Pages looked at in a region, and those of them, not zero, that are compared. */
#define LOOKS    8192u
#define COMPARED 24u
#define LEAST    6u

/*
 * Does this region lie there?  So many pages that hold something are what the
 * kernel says, and of those that are not (the guest writes them all the time) there
 * are few.
 */
static bool holds_region(struct kvmi_vm *k, const struct block *b, const struct scry_region *r)
{
	uint64_t pages = r->size >> 12, stride = pages > LOOKS ? pages / LOOKS : 1, next = 0;
	unsigned same = 0, other = 0;
	unsigned char begin[512];

	for (uint64_t page = 0; page < pages && same + other < COMPARED; page++) {
		uint64_t gpa = r->gpa + (page << 12);

		/* The first pages all, for small guests. */
		if (page > 1024 && page < next)
			continue;
		next = page + stride;
		if (!look(k, b, offset_of(b, gpa), begin, sizeof(begin)))
			return false;
		if (is_zero(begin, sizeof(begin)))
			continue;
		if (same_page(k, b, gpa))
			same++;
		else
			other++;
	}
	return same >= LEAST && other * 8 <= same;
}

static bool is_candidate(const char *line, struct block *b)
{
	unsigned long long start, end, offset, inode;
	unsigned major, minor;
	char perms[8];

	if (sscanf(line, "%llx-%llx %7s %llx %x:%x %llu", &start, &end, perms, &offset, &major,
		   &minor, &inode) != 7 || strncmp(perms, "rw", 2) || end - start < b->size)
		return false;
	/* Of a file the mapping is RAM alone; what is anonymous may have grown together. */
	if (inode && end - start != b->size)
		return false;
	b->address = start;
	b->offset = offset;
	b->device = makedev(major, minor);
	/* What is written to a private mapping is not in its file: that one is of no use. */
	b->inode = perms[3] == 's' ? inode : 0;
	return true;
}

/* Only as that file; in QEMU's process another may take its number at any moment. */
static int open_if(const char *path, const struct block *b)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_dev == b->device &&
	    st.st_ino == b->inode)
		return fd;
	close(fd);
	return -1;
}

/* Its file, as QEMU has it open. */
static int open_file(const struct kvmi_vm *k, const struct block *b)
{
	char path[300];
	struct dirent *e;
	struct stat st;
	int fd = -1;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", k->vm->pid);
	d = opendir(path);
	while (d && fd < 0 && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", k->vm->pid, e->d_name);
		if (!stat(path, &st) && S_ISREG(st.st_mode) && st.st_dev == b->device &&
		    st.st_ino == b->inode)
			fd = open_if(path, b);
	}
	if (d)
		closedir(d);
	return fd;
}

/* Note where a region is, if it is there. */
static bool place_region(struct kvmi_vm *k, const struct block *b, struct scry_mapped_region *r)
{
	uint64_t offset = offset_of(b, r->region.gpa);

	if (r->region.gpa < KVMI_RAM_BEGIN || offset >= b->size ||
	    r->region.size > b->size - offset || !holds_region(k, b, &r->region))
		return false;
	r->vmm_host = b->address + offset;
	if (b->fd >= 0)
		r->host = scry_files_map(&k->files, b->fd, b->offset + offset, r->region.size,
					 (uint64_t *)&k->life);
	if (r->host)
		r->region.flags |= SCRY_REGION_MAPPED;
	return true;
}

static bool try_block(struct kvmi_vm *k, struct block *b, struct scry_mapped_region *region,
		      size_t count)
{
	bool any = false;

	b->fd = b->inode ? open_file(k, b) : -1;
	for (size_t i = 0; i < count; i++)
		any = place_region(k, b, &region[i]) || any;
	if (b->fd >= 0)
		close(b->fd);
	return any;
}

/* errno if QEMU's process may not be looked into. */
static int seek(struct kvmi_vm *k, struct scry_mapped_region *region, size_t count, bool *found)
{
	char path[64], line[512];
	struct block b;
	FILE *f;

	*found = false;
	measure(&b, region, count);
	snprintf(path, sizeof(path), "/proc/%d/maps", k->vm->pid);
	f = k->vm->pid > 0 && b.size ? fopen(path, "re") : NULL;
	if (!f)
		return errno ? errno : ESRCH;
	errno = 0;
	while (!*found && fgets(line, sizeof(line), f))
		if (is_candidate(line, &b))
			*found = try_block(k, &b, region, count);
	fclose(f);
	return 0;
}

static void say(struct kvmi_vm *k, enum scry_ram_access access, const char *how,
		const char *why_not_mapped)
{
	k->vm->ram_access = access;
	scry_cap_set(k->vm, SCRY_CAP_PHYS_READ, true, how);
	scry_cap_set(k->vm, SCRY_CAP_RAM_MAP, access == SCRY_RAM_MAPPED, why_not_mapped);
}

void kvmi_find_ram(struct kvmi_vm *k, struct scry_mapped_region *region, size_t count)
{
	bool found, mapped = false;
	int err;

	errno = 0;
	err = k->vm->caps[SCRY_CAP_PHYS_READ].supported ? seek(k, region, count, &found) : EPERM;
	for (size_t i = 0; i < count; i++)
		mapped = mapped || region[i].host;
	k->can_peek = !err && found;
	if (!k->vm->caps[SCRY_CAP_PHYS_READ].supported)
		return;
	if (mapped)
		say(k, SCRY_RAM_MAPPED, "by loads from a mapping of QEMU's RAM", "");
	else if (!err && found)
		say(k, SCRY_RAM_PROCESS, "by process_vm_readv on QEMU, since its RAM is not shared "
		    "(-object memory-backend-memfd,share=on makes it so)",
		    "QEMU's RAM is not shared, or its file cannot be opened");
	else
		say(k, SCRY_RAM_MESSAGES, err ? "by messages, since QEMU's process may not be looked "
		    "into: be root, or its user with ptrace allowed" :
		    "by messages, since guest RAM was not recognised in QEMU's memory",
		    "guest RAM was not found in QEMU's process");
}
