/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: hostile VM ROUNDS
 *
 * Linux in memory that lies: a copy of a guest's RAM is looked into as a dump with no
 * registers would be, first as it is, then with words of it changed at each reading. Any
 * answer will do, but a crash, a hang, or none at all from true memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/driver.h"
#include "lib/ram.h"

#define REGIONS 64
#define SECONDS 280		/* that it may take, as slow as the machine may be */

static struct scry_mapped_region regions[REGIONS];
static unsigned char *bytes[REGIONS];
static size_t count;

static uint64_t seed;
static unsigned often;		/* of 4096 readings so many are changed */
static uint64_t last_word;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Change a word to something that could be meant: another pointer, nothing, much. */
static void lie(unsigned char *buf, size_t len)
{
	size_t at = len > 8 ? next() % (len / 8) * 8 : 0, n = len - at < 8 ? len - at : 8;
	uint64_t word = 0;

	memcpy(&word, buf + at, n);
	switch (next() % 6) {
	case 0: word ^= UINT64_C(1) << next() % 64; break;
	case 1: word = 0; break;
	case 2: word = UINT64_MAX; break;
	case 3: word = next(); break;
	case 4: word += (next() % 512 - 256) * 8; break;
	default: word = last_word; break;
	}
	memcpy(buf + at, &word, n);
}

static int copy_read(struct scry_vm *vm, const struct scry_map *map, const struct scry_piece *piece,
		     size_t pieces)
{
	(void)vm;
	for (size_t i = 0; i < pieces; i++) {
		size_t r = (size_t)(piece[i].region - map->region);

		memcpy(piece[i].buf, bytes[r] + (piece[i].gpa - map->region[r].region.gpa), piece[i].len);
		if (piece[i].len && next() % 4096 < often)
			lie(piece[i].buf, piece[i].len);
		else if (piece[i].len == 8)
			memcpy(&last_word, piece[i].buf, 8);
	}
	return 0;
}

static const struct scry_driver driver = { .read = copy_read };
static const uint64_t life = 1;

static int die(const char *what)
{
	fprintf(stderr, "hostile: %s: %s\n", what, scry_errmsg());
	return EXIT_FAILURE;
}

static int copy_ram(const char *uri)
{
	struct scry_region map[REGIONS];
	struct scry_vm *vm;
	int n;

	if (scry_open(&vm, uri, NULL) < 0 || scry_pause(vm) < 0)
		return die(uri);
	n = scry_memory_map(vm, map, REGIONS);
	for (int i = 0; i < n && i < REGIONS; i++) {
		bytes[count] = malloc(map[i].size);
		if (!bytes[count] || scry_read_phys(vm, map[i].gpa, bytes[count], map[i].size) < 0)
			return die("copying RAM");
		regions[count++] = (struct scry_mapped_region){ .region = map[i] };
	}
	scry_close(vm);
	return 0;
}

static struct scry_vm *vm_new(void)
{
	struct scry_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		abort();
	vm->driver = &driver;
	strcpy(vm->name, "copy");
	pthread_mutex_init(&vm->map_lock, NULL);
	pthread_mutex_init(&vm->pause_lock, NULL);
	if (scry_ram_publish(vm, regions, count, &life, life) < 0)
		abort();
	return vm;
}

struct look {
	struct scry_linux *os;
	uint64_t tasks, maps, files, records, modules, members, sites, symbols, of_modules;
	uint64_t address;		/* of a symbol of a module */
};

static int on_map(const struct scry_linux_map *map, void *opaque)
{
	((struct look *)opaque)->maps += strlen(map->name) < SCRY_LINUX_PATH;
	return 0;
}

static int on_file(const struct scry_linux_file *file, void *opaque)
{
	((struct look *)opaque)->files += strlen(file->path) + strlen(file->socket.path) < 8192;
	return 0;
}

static int on_task(const struct scry_linux_task *task, void *opaque)
{
	struct look *look = opaque;
	char text[SCRY_LINUX_PATH];

	look->tasks++;
	scry_linux_maps(look->os, task, on_map, look);
	scry_linux_files(look->os, task, on_file, look);
	scry_linux_cmdline(look->os, task, text, sizeof(text));
	scry_linux_environ(look->os, task, text, sizeof(text));
	scry_linux_exe(look->os, task, text, sizeof(text));
	return 0;
}

static int on_record(const struct scry_linux_record *record, void *opaque)
{
	((struct look *)opaque)->records += strlen(record->text) <= record->length;
	return 0;
}

static int on_module(const struct scry_linux_module *module, void *opaque)
{
	((struct look *)opaque)->modules += strlen(module->name) < sizeof(module->name);
	return 0;
}

static int on_member(const struct scry_linux_member *member, void *opaque)
{
	((struct look *)opaque)->members += strlen(member->name) + strlen(member->type) > 0;
	return 0;
}

static int on_symbol(const struct scry_linux_symbol *symbol, void *opaque)
{
	((struct look *)opaque)->symbols += strlen(symbol->name) < 512;
	if (symbol->module) {
		((struct look *)opaque)->of_modules += strlen(symbol->module) < 64;
		((struct look *)opaque)->address = symbol->address;
	}
	return 0;
}

static int on_site(const struct scry_linux_site *site, void *opaque)
{
	struct look *look = opaque;

	look->sites += site->len > 0 && site->kind < SCRY_EVENT_COUNT;
	return 0;
}

static void look_at_all(struct look *look)
{
	struct scry_linux_symbol symbol;
	struct scry_linux_task task;
	uint64_t address;

	scry_linux_tasks(look->os, SCRY_LINUX_THREADS, on_task, look);
	scry_linux_task(look->os, 2, &task);
	scry_linux_modules(look->os, on_module, look);
	scry_linux_log(look->os, on_record, look);
	scry_linux_members(look->os, "task_struct", on_member, look);
	scry_linux_symbols(look->os, on_symbol, look);
	scry_linux_symbol(look->os, "no such symbol", &address);
	if (!scry_linux_symbol_at(look->os, look->address + 1, &symbol))
		on_symbol(&symbol, look);
}

/* As it is all must be there. */
static int check_true(struct scry_vm *vm)
{
	struct look look = { 0 };

	if (scry_linux_open(vm, &look.os) < 0)
		return die("the copy as it is");
	look_at_all(&look);
	if (scry_linux_sites(look.os, UINT32_MAX, on_site, &look) < 0)
		return die("sites");
	scry_linux_close(look.os);
	printf("%llu tasks, %llu mappings, %llu files, %llu records, %llu modules, %llu members, "
	       "%llu sites, %llu symbols, %llu of modules\n",
	       (unsigned long long)look.tasks, (unsigned long long)look.maps,
	       (unsigned long long)look.files, (unsigned long long)look.records,
	       (unsigned long long)look.modules, (unsigned long long)look.members,
	       (unsigned long long)look.sites, (unsigned long long)look.symbols,
	       (unsigned long long)look.of_modules);
	return look.tasks > 20 && look.maps > 5 && look.files > 2 && look.records > 100 &&
	       look.modules && look.members > 100 && look.sites > 100 && look.symbols > 10000 &&
	       look.of_modules ? 0 : die("too little is there");
}

/* Lies from the beginning on, or only once it is found. */
static void check_lies(struct scry_vm *vm, uint64_t round)
{
	struct look look = { 0 };

	seed = 0x9e3779b97f4a7c15 * (round + 1);
	often = round % 4 ? 0 : 1;
	if (scry_linux_open(vm, &look.os) < 0)
		return;
	often = round % 3 ? 8 : 100;
	look_at_all(&look);
	if (round % 32 == 5)	/* slow: all the text */
		scry_linux_sites(look.os, UINT32_MAX, on_site, &look);
	scry_linux_close(look.os);
}

int main(int argc, char **argv)
{
	struct scry_vm *vm;
	int ret;

	if (argc != 3) {
		fprintf(stderr, "usage: hostile VM ROUNDS\n");
		return 2;
	}
	seed = 1;
	if (copy_ram(argv[1]))
		return EXIT_FAILURE;
	alarm(SECONDS);
	vm = vm_new();
	ret = check_true(vm);
	for (uint64_t i = 0; !ret && i < strtoull(argv[2], NULL, 0); i++)
		check_lies(vm, i);
	scry_ram_free(vm);
	free(vm);
	for (size_t i = 0; i < count; i++)
		free(bytes[i]);
	return ret;
}
