/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <scry/view.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/qemu/qemu.h"
#include "agent/sealed.h"
#include "frame.h"

#define PAGE  4096u
#define BYTES ((uint64_t)SCRY_FRAMES * PAGE)

/* QEMU's MemoryRegion is of a few hundred bytes, begins zeroed, and stays where it is. */
static _Alignas(64) unsigned char region_bytes[4096];
#define region ((struct qemu_region *)region_bytes)

static struct {
	int fd;
	char *memory;			/* NULL: not made yet */
	bool shown;			/* in the machine's address space */
	bool used[SCRY_FRAMES];
} frames = { .fd = -1 };

static bool make(void)
{
	void *p = MAP_FAILED;
	int fd;

	if (frames.memory)
		return true;
	fd = sealed_file("scry-frames", BYTES);
	if (fd >= 0)
		p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	frames.fd = fd;
	frames.memory = p;
	bql_lock();
	qemu.memory_region_init_ram_ptr(region, NULL, "scry-frames", BYTES, p);
	qemu.bql_unlock();
	return true;
}

static void show(bool shown)
{
	if (shown == frames.shown)
		return;
	bql_lock();
	if (shown)
		qemu.memory_region_add_subregion(qemu.get_system_memory(), FRAMES_BASE, region);
	else
		qemu.memory_region_del_subregion(qemu.get_system_memory(), region);
	frames.shown = shown;
	qemu.bql_unlock();
}

/* All of them that are free hold zeroes. */
static void zero(unsigned first, unsigned count)
{
	fallocate(frames.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first * PAGE,
		  (off_t)count * PAGE);
}

uint64_t frame_create(void)
{
	unsigned n = 0;

	while (n < SCRY_FRAMES && frames.used[n])
		n++;
	if (n == SCRY_FRAMES || !make())
		return 0;
	show(true);
	zero(n, 1);		/* whoever had it may have written since */
	frames.used[n] = true;
	return FRAMES_BASE / PAGE + n;
}

bool frame_destroy(uint64_t gfn)
{
	uint64_t n = gfn - FRAMES_BASE / PAGE;

	if (n >= SCRY_FRAMES || !frames.used[n])
		return false;
	frames.used[n] = false;
	zero((unsigned)n, 1);
	return true;
}

void *frame_memory(uint64_t gpa)
{
	return frames.memory + (gpa - FRAMES_BASE);
}

bool frame_at(uint64_t gpa, int *fd)
{
	*fd = frames.fd;
	return frames.memory && gpa - FRAMES_BASE < BYTES;
}

void frame_reset(void)
{
	if (!frames.shown)
		return;
	show(false);
	zero(0, SCRY_FRAMES);
	for (unsigned n = 0; n < SCRY_FRAMES; n++)
		frames.used[n] = false;
}
