/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Walks and virtual reads over whatever memory: they must end, touch nothing
 * else, and find what the reference finds, cached or not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/driver.h"
#include "lib/ram.h"
#include "reference.h"

#define PAGES 16u
#define SIZE  (PAGES * 4096u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What an input begins with; pokes follow. */
struct input {
	uint8_t mode, switches, root, length;
	uint32_t reserved;
	uint64_t gva;
};

/* An 8-byte word of memory; the frame is kept inside memory unless bit 15 of `at` is set. */
struct poke {
	uint16_t at;
	uint8_t frame, reserved;
	uint32_t low;
	uint64_t word;
};

static int no_stop(struct scry_vm *vm, unsigned vcpu)
{
	(void)vm;
	(void)vcpu;
	return 0;
}

static const struct scry_driver driver = { .vcpu_stop = no_stop, .vcpu_go = no_stop };
static const uint64_t life = 1;

static struct scry_vm *vm_new(unsigned char *memory)
{
	const struct scry_mapped_region region = {
		.region = { 0, SIZE, SCRY_REGION_MAPPED, 0 }, .host = memory,
	};
	struct scry_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		abort();
	vm->driver = &driver;
	vm->vcpus = 1;
	vm->caps[SCRY_CAP_PAUSE].supported = true;
	pthread_mutex_init(&vm->map_lock, NULL);
	pthread_mutex_init(&vm->pause_lock, NULL);
	if (scry_ram_publish(vm, &region, 1, &life, life) < 0)
		abort();
	return vm;
}

static void vm_free(struct scry_vm *vm)
{
	scry_ram_free(vm);
	pthread_mutex_destroy(&vm->pause_lock);
	pthread_mutex_destroy(&vm->map_lock);
	free(vm);
}

static void fill(unsigned char *memory, const uint8_t *data, size_t size)
{
	struct poke poke;

	for (; size >= sizeof(poke); data += sizeof(poke), size -= sizeof(poke)) {
		memcpy(&poke, data, sizeof(poke));
		if (!(poke.at & 0x8000)) {
			poke.word &= ~UINT64_C(0xffffffffff000);
			poke.word |= (uint64_t)(poke.frame % PAGES) << 12;
		}
		memcpy(memory + poke.at % (SIZE / 8) * 8, &poke.word, 8);
	}
}

static void check(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void check_walk(struct scry_as *as, const struct reference_space *space, uint64_t gva)
{
	struct scry_walk w, r;
	uint64_t gpa = 0;
	int ret;

	reference_walk(space, gva, &r);
	check(scry_walk(as, gva, &w) == 0, "walk is made");
	check(w.fault == r.fault, "same fault");
	check(w.levels == r.levels, "same levels");
	check(w.gpa == r.gpa && w.page_size == r.page_size, "same page");
	check(w.flags == r.flags && w.pkey == r.pkey, "same flags");
	ret = scry_translate(as, gva, &gpa);
	check(ret == (r.fault ? SCRY_E_NOTMAPPED : 0), "same outcome of translate");
	check(ret || gpa == r.gpa, "same translation");
}

/* What a read of len bytes must give: the number of bytes until one is not there. */
static size_t reference_read(const struct reference_space *space, uint64_t gva, uint8_t *buf,
			     size_t len)
{
	struct scry_walk w;

	for (size_t i = 0; i < len; i++) {
		if (gva + i < gva)
			return i;
		reference_walk(space, gva + i, &w);
		if (w.fault || w.gpa >= space->size)
			return i;
		buf[i] = space->memory[w.gpa];
	}
	return len;
}

static void check_reads(struct scry_as *as, const struct reference_space *space, uint64_t gva,
			size_t len)
{
	uint8_t expected[512], found[512];
	size_t there = reference_read(space, gva, expected, len);
	int ret = scry_read_virt(as, gva, found, len);
	uint64_t value;

	check((ret == 0) == (there == len), "same outcome of a read");
	check(ret || !memcmp(expected, found, len), "same bytes");
	ret = scry_read_virt_u64(as, gva, &value);
	if (len >= 8)
		check((ret == 0) == (there >= 8), "same outcome of a read of 8");
	if (len >= 8 && !ret)
		check(!memcmp(expected, &value, 8), "same 8 bytes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scry_as_opts opts = { .sz = sizeof(opts) };
	unsigned char *memory = calloc(1, SIZE);
	struct reference_space space;
	struct input input;
	struct scry_vm *vm;
	struct scry_as *as;

	if (size < sizeof(input) || !memory) {
		free(memory);
		return 0;
	}
	memcpy(&input, data, sizeof(input));
	fill(memory, data + sizeof(input), size - sizeof(input));
	vm = vm_new(memory);
	opts.mode = input.mode % (SCRY_PAGING_5LEVEL + 1);
	opts.pse = input.switches & 1;
	opts.nxe = input.switches >> 1 & 1;
	if (scry_as_open(vm, (uint64_t)input.root << 8, &opts, &as) < 0)
		abort();
	space = (struct reference_space){ memory, SIZE, opts.mode, opts.pse, opts.nxe,
					  scry_as_root(as) };
	check_walk(as, &space, input.gva);
	check_reads(as, &space, input.gva, input.length);
	/* Paused, twice: the second time from the cache. */
	check(scry_pause(vm) == 0, "pause");
	check_reads(as, &space, input.gva, input.length);
	check_reads(as, &space, input.gva, input.length);
	scry_as_free(as);
	vm_free(vm);
	free(memory);
	return 0;
}
