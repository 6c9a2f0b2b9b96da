/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/command.h"
#include "common/parse.h"
#include "common/target.h"

/* All is held in memory, so that a write is all or nothing. */
#define MOST (UINT64_C(1) << 30)

enum { KEY_HEX = KEY_FIRST_OWN, KEY_STRING };

struct request {
	struct place_opts place;
	uint64_t address;
	const char *hex, *string, *file;
	uint8_t *bytes;
	size_t len;
};

/* All of fd; -1 with errno. */
static int read_all(int fd, struct request *r)
{
	size_t room = 0;
	ssize_t n;

	do {
		if (r->len == room) {
			if (room >= MOST) {
				errno = EFBIG;
				return -1;
			}
			room = room ? 2 * room : 65536;
			r->bytes = checked(realloc(r->bytes, room));
		}
		n = read(fd, r->bytes + r->len, room - r->len);
		if (n > 0)
			r->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -1 : 0;
}

static int read_file(struct request *r)
{
	int fd = r->file ? open(r->file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	int ret = 0;

	if (fd < 0 || read_all(fd, r) < 0)
		ret = fail("cannot read %s: %s", r->file ? r->file : "standard input",
			   strerror(errno));
	if (r->file && fd >= 0)
		close(fd);
	return ret;
}

/* Get the bytes from where the options say. */
static int get_bytes(struct args *args, struct request *r)
{
	if (r->hex) {
		r->bytes = checked(malloc(strlen(r->hex) + 1));
		if (!parse_hex_bytes(r->hex, r->bytes, &r->len))
			usage_error(args, "'%s' are not bytes in hex: use forms like 90c3 or "
					  "'90 c3'", r->hex);
		return 0;
	}
	if (r->string) {
		r->bytes = checked((uint8_t *)strdup(r->string));
		r->len = strlen(r->string);
		return 0;
	}
	if (!r->file && isatty(STDIN_FILENO))
		usage_error(args, "nothing to write: give --hex, --string or --file, or pipe the "
				  "bytes in");
	return read_file(r);
}

static const char *parse(struct args *args, struct request *r)
{
	const char *uri;
	int key;

	while ((key = next_option(args)) >= 0) {
		if (place_option(args, &r->place, key))
			continue;
		if (key == KEY_HEX)
			r->hex = optarg;
		else if (key == KEY_STRING)
			r->string = optarg;
		else
			r->file = optarg;
	}
	if (!!r->hex + !!r->string + !!r->file > 1)
		usage_error(args, "--hex, --string and --file exclude each other");
	place_check(args, &r->place);
	uri = next_word(args, "VM");
	r->address = number_arg(args, "address", next_word(args, "ADDR"));
	no_more_words(args);
	return uri;
}

static int write_bytes(const char *uri, const struct request *r)
{
	struct scry_vm *vm;
	struct place place;
	int ret;

	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	ret = place_open(vm, &r->place, &place);
	if (!ret) {
		if (place_write(&place, r->address, r->bytes, r->len) < 0)
			ret = fail_lib();
		place_close(&place);
	}
	scry_close(vm);
	return ret;
}

static int write_memory(struct args *args)
{
	struct request r = { 0 };
	const char *uri = parse(args, &r);
	int ret = get_bytes(args, &r);

	if (!ret && !r.len)
		ret = fail("there are no bytes to write");
	if (!ret)
		ret = write_bytes(uri, &r);
	free(r.bytes);
	return ret;
}

const struct command cmd_write = {
	.name = "write",
	.summary = "write guest memory",
	.usage = "[OPTIONS] (--hex BYTES | --string TEXT | --file FILE) VM ADDR\n"
		 "[OPTIONS] VM ADDR < FILE",
	.about = "Writes bytes at ADDR, a guest-physical address unless -V is given: all of\n"
		 "them, or, if some have no place there, none. Code that is written takes\n"
		 "effect at once. The guest goes on meanwhile, unless --pause is given.",
	.opts = (const struct opt[]){
		OPT_VIRTUAL,
		OPT_PLACE,
		{ KEY_HEX, "hex", "BYTES", "the bytes as hex digits" },
		{ KEY_STRING, "string", "TEXT", "the bytes of TEXT, with no zero behind them" },
		{ 'f', "file", "FILE", "the bytes of FILE" },
		{ 0 },
	},
	.example = "scry write web 0x100000 --hex 90c3\n"
		   "scry write web -V 0xffff888000100000 --file patch.bin",
	.run = write_memory,
};
