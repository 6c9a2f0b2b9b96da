/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/command.h"
#include "common/hexdump.h"
#include "common/outfile.h"
#include "common/output.h"
#include "common/stop.h"
#include "common/target.h"

#define DEFAULT_LEN 256
#define CHUNK (UINT64_C(1) << 20)

struct request {
	struct place_opts place;
	uint64_t address, len;
	bool raw, json;
	const char *file;
};

typedef int (*chunk_fn)(uint64_t address, const uint8_t *bytes, size_t len, void *opaque);

/* Read chunk by chunk and hand each on; 0 or EXIT_FAILURE with the reason said. */
static int each_chunk(const struct place *place, const struct request *r, chunk_fn fn, void *opaque)
{
	uint8_t *buf = checked(malloc(CHUNK));
	struct progress progress;
	uint64_t done = 0;
	int ret = 0;

	progress_begin(&progress, "reading", r->len);
	/* A bar only where it does not stand between the lines of the output. */
	progress.on = progress.on && r->file;
	while (!ret && done < r->len) {
		size_t len = r->len - done < CHUNK ? (size_t)(r->len - done) : (size_t)CHUNK;

		ret = place_read(place, r->address + done, buf, len) < 0 ? -1 :
			fn(r->address + done, buf, len, opaque);
		done += len;
		progress_show(&progress, done);
		if (stop_asked())
			break;
	}
	progress_end(&progress);
	free(buf);
	if (ret < 0)
		return fail_lib();
	return !ret && done < r->len ? fail("interrupted") : ret;
}

static int dump_chunk(uint64_t address, const uint8_t *bytes, size_t len, void *opaque)
{
	(void)opaque;
	hexdump(address, bytes, len);
	return ferror(stdout) ? EXIT_FAILURE : 0;
}

static int write_chunk(uint64_t address, const uint8_t *bytes, size_t len, void *opaque)
{
	(void)address;
	return outfile_write(opaque, bytes, len);
}

static int read_raw(const struct place *place, const struct request *r)
{
	struct outfile file;

	if (outfile_open(&file, r->file))
		return EXIT_FAILURE;
	if (r->file)
		stop_on_signals();
	file.ends_on_stop = true;
	if (each_chunk(place, r, write_chunk, &file)) {
		outfile_abandon(&file);
		return EXIT_FAILURE;
	}
	return outfile_commit(&file);
}

struct json_state {
	const struct request *request;
	bool begun;
};

static void begin_json(struct json_state *state)
{
	if (!state->begun)
		printf("{ \"address\": \"0x%" PRIx64 "\", \"length\": %" PRIu64 ", \"data\": \"",
		       state->request->address, state->request->len);
	state->begun = true;
}

static int json_chunk(uint64_t address, const uint8_t *bytes, size_t len, void *opaque)
{
	struct json_state *state = opaque;

	(void)address;
	begin_json(state);
	for (size_t i = 0; i < len; i++)
		printf("%02x", bytes[i]);
	return ferror(stdout) ? EXIT_FAILURE : 0;
}

/* Printed as it is read: the data may be long. */
static int read_json(const struct place *place, const struct request *r)
{
	struct json_state state = { .request = r };

	if (each_chunk(place, r, json_chunk, &state))
		return EXIT_FAILURE;
	begin_json(&state);
	printf("\" }\n");
	return 0;
}

static const char *parse(struct args *args, struct request *r)
{
	const char *uri, *word;
	int key;

	while ((key = next_option(args)) >= 0) {
		if (place_option(args, &r->place, key))
			continue;
		if (key == 'r')
			r->raw = true;
		else if (key == 'o')
			r->file = optarg;
		else
			r->json = true;
	}
	place_check(args, &r->place);
	uri = next_word(args, "VM");
	r->address = number_arg(args, "address", next_word(args, "ADDR"));
	word = next_word_or_null(args);
	r->len = word ? number_arg(args, "length", word) : DEFAULT_LEN;
	no_more_words(args);
	if (r->len && r->address + (r->len - 1) < r->address)
		usage_error(args, "the range goes past the end of the address space");
	if (r->json && (r->raw || r->file))
		usage_error(args, "--json goes with neither --raw nor --output");
	if (r->raw && !r->file && isatty(STDOUT_FILENO))
		usage_error(args, "--raw would write bytes to this terminal: name a file with -o");
	return uri;
}

static int read_range(const struct place *place, const struct request *r)
{
	if (r->raw || r->file)
		return read_raw(place, r);
	return r->json ? read_json(place, r) : each_chunk(place, r, dump_chunk, NULL);
}

static int read_memory(struct args *args)
{
	struct request r = { 0 };
	const char *uri = parse(args, &r);
	struct scry_vm *vm;
	struct place place;
	int ret;

	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	ret = place_open(vm, &r.place, &place);
	if (!ret) {
		/* First: half of an output would be printed before the failure. */
		ret = place_check_range(&place, r.address, r.len);
		if (!ret)
			ret = read_range(&place, &r);
		place_close(&place);
	}
	scry_close(vm);
	return ret;
}

const struct command cmd_read = {
	.name = "read",
	.summary = "read guest memory: hex dump, or raw to a file",
	.usage = "[-V [--vcpu N | --cr3 ROOT]] [--pause] [--raw] [-o FILE] [--json] VM ADDR [LEN]",
	.about = "Reads LEN bytes (default: 256) at ADDR, a guest-physical address unless -V\n"
		 "is given, and prints them like xxd. With -o they go to FILE as they are,\n"
		 "which appears only when it is complete. The guest goes on meanwhile, unless\n"
		 "--pause is given.",
	.opts = (const struct opt[]){
		OPT_VIRTUAL,
		OPT_PLACE,
		{ 'r', "raw", NULL, "the bytes as they are, to standard output" },
		{ 'o', "output", "FILE", "the bytes as they are, to FILE" },
		OPT_JSON,
		{ 0 },
	},
	.example = "scry read web 0x100000 4k\n"
		   "scry read web -V 0xffffffffab600080 64\n"
		   "scry read web 0 640k -o low.bin",
	.run = read_memory,
};
