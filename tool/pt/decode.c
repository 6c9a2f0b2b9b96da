/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <Zydis/Zydis.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/message.h"
#include "../common/term.h"
#include "path.h"
#include "pt.h"

/* Instructions one behind the other. */
struct run {
	uint64_t first, next, count;
};

struct decoding {
	const struct pt_decode *decode;
	struct run run;
	bool began;		/* there was anything to show */
	uint64_t insns, runs, interrupts, lost, errors;
};

static void print_run(struct decoding *d)
{
	struct run *run = &d->run;

	if (!run->count)
		return;
	d->runs++;
	if (d->decode->json)
		printf("{\"run\": \"0x%" PRIx64 "\", \"end\": \"0x%" PRIx64 "\", \"insns\": %" PRIu64
		       "}\n", run->first, run->next, run->count);
	else
		printf("%-9s  %016" PRIx64 "  to %016" PRIx64 ", %" PRIu64 " instruction%s\n", "run",
		       run->first, run->next, run->count, run->count == 1 ? "" : "s");
	run->count = 0;
}

static void add_to_run(struct decoding *d, const struct path_item *item)
{
	if (d->run.count && d->run.next != item->ip)
		print_run(d);
	if (!d->run.count)
		d->run.first = item->ip;
	d->run.next = item->ip + item->size;
	d->run.count++;
}

static void disassemble(const struct path_item *item, char *text, size_t size)
{
	ZydisMachineMode mode = item->bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 :
				item->bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32 :
						   ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth stack = item->bits == 64 ? ZYDIS_STACK_WIDTH_64 :
				item->bits == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, stack)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, item->bytes, item->size, &insn, operands)) ||
	    !ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT)) ||
	    !ZYAN_SUCCESS(ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE,
						    ZYAN_FALSE)) ||
	    !ZYAN_SUCCESS(ZydisFormatterSetProperty(
		    &formatter, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED)) ||
	    !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &insn, operands,
							  insn.operand_count_visible, text, size,
							  item->ip, ZYAN_NULL)))
		snprintf(text, size, "?");
}

static void print_insn(const struct decoding *d, const struct path_item *item)
{
	char text[128];

	disassemble(item, text, sizeof(text));
	if (d->decode->json)
		printf("{\"insn\": \"0x%" PRIx64 "\", \"size\": %u, \"text\": \"%s\"}\n", item->ip,
		       item->size, text);
	else
		printf("%-9s  %016" PRIx64 "  %s\n", "", item->ip, text);
}

static void print_at(const struct decoding *d, const char *what, enum colour c, uint64_t ip)
{
	if (d->decode->json)
		printf("{\"%s\": \"0x%" PRIx64 "\"}\n", what, ip);
	else
		printf("%s%-9s%s  %016" PRIx64 "\n", colour(c), what, colour(PLAIN), ip);
}

static void print_interrupt(const struct decoding *d, const struct path_item *item)
{
	if (d->decode->json)
		printf("{\"interrupt\": \"0x%" PRIx64 "\", \"to\": \"0x%" PRIx64 "\"}\n", item->ip,
		       item->to);
	else
		printf("%s%-9s%s  %016" PRIx64 "  to %016" PRIx64 "\n", colour(YELLOW), "interrupt",
		       colour(PLAIN), item->ip, item->to);
}

static void print_error(const struct decoding *d, const struct path_item *item)
{
	if (d->decode->json)
		printf("{\"error\": \"%s\", \"offset\": %" PRIu64 ", \"ip\": \"0x%" PRIx64
		       "\", \"cr3\": \"0x%" PRIx64 "\"}\n", item->why, item->offset, item->ip,
		       item->cr3);
	else if (item->ip)
		printf("%s%-9s%s  %016" PRIx64 "  no code there now, with cr3 0x%" PRIx64 "\n",
		       colour(RED), "error", colour(PLAIN), item->ip, item->cr3);
	else
		printf("%s%-9s%s  at byte %" PRIu64 " of the packets: %s\n", colour(RED), "error",
		       colour(PLAIN), item->offset, item->why);
}

static void print_skipped(const struct decoding *d, const struct path_item *item)
{
	if (d->decode->json)
		printf("{\"skipped\": %" PRIu64 "}\n", item->skipped);
	else
		printf("%s%-9s%s  %" PRIu64 " bytes of packets, to the next PSB\n", colour(RED),
		       "skipped", colour(PLAIN), item->skipped);
}

static void print_lost(const struct decoding *d)
{
	if (d->decode->json)
		printf("{\"lost\": true}\n");
	else
		printf("%slost%s       packets\n", colour(RED), colour(PLAIN));
}

static int print_item(const struct path_item *item, void *opaque)
{
	struct decoding *d = opaque;

	d->began = true;
	if (item->kind == PATH_INSN) {
		d->insns++;
		if (d->decode->insns)
			print_insn(d, item);
		else
			add_to_run(d, item);
		return ferror(stdout);
	}
	print_run(d);
	if (item->kind == PATH_ENABLED)
		print_at(d, "enabled", GREEN, item->ip);
	else if (item->kind == PATH_DISABLED)
		print_at(d, "disabled", GREEN, item->ip);
	else if (item->kind == PATH_CR3)
		print_at(d, "cr3", CYAN, item->cr3);
	else if (item->kind == PATH_INTERRUPT)
		print_interrupt(d, item);
	else if (item->kind == PATH_LOST)
		print_lost(d);
	else if (item->kind == PATH_SKIPPED)
		print_skipped(d, item);
	else
		print_error(d, item);
	d->interrupts += item->kind == PATH_INTERRUPT;
	d->lost += item->kind == PATH_LOST;
	d->errors += item->kind == PATH_ERROR;
	return ferror(stdout);
}

static void print_summary(const struct decoding *d)
{
	if (d->decode->json)
		printf("{\"summary\": {\"insns\": %" PRIu64 ", \"runs\": %" PRIu64
		       ", \"interrupts\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"errors\": %" PRIu64
		       "}}\n", d->insns, d->runs, d->interrupts, d->lost, d->errors);
	else
		printf("\n%s%" PRIu64 " instructions, %" PRIu64 " interrupts and exceptions; packets "
		       "lost %" PRIu64 " times, %" PRIu64 " errors%s\n", colour(BOLD), d->insns,
		       d->interrupts, d->lost, d->errors, colour(PLAIN));
}

static int decode_packets(struct scry_vm *vm, const struct pt_decode *decode,
			  const uint8_t *packets, size_t len)
{
	struct decoding d = { .decode = decode };

	if (path_decode(vm, packets, len, print_item, &d) < 0)
		return fail("out of memory");
	print_run(&d);
	if (!d.began)
		return fail("%s has no Intel PT packets from which to begin (no PSB)", decode->file);
	print_summary(&d);
	return d.errors ? EXIT_FAILURE : 0;
}

static int decode_file(struct scry_vm *vm, const struct pt_decode *decode, int fd, size_t len)
{
	void *packets = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	int ret;

	if (packets == MAP_FAILED)
		return fail("cannot map %s: %s", decode->file, strerror(errno));
	ret = decode_packets(vm, decode, packets, len);
	munmap(packets, len);
	return ret;
}

int pt_decode(struct scry_vm *vm, const struct pt_decode *decode)
{
	int fd = open(decode->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	struct stat st;

	if (fd < 0)
		return fail("cannot open %s: %s", decode->file, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size)
		ret = fail("%s is no regular file, or empty: nothing was traced", decode->file);
	else
		ret = decode_file(vm, decode, fd, (size_t)st.st_size);
	close(fd);
	return ret;
}
