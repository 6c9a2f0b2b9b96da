/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../common/msrname.h"
#include "../common/parse.h"
#include "expr.h"

#define WORDS     3	/* NAME:FILTER:DIRECTION */
#define WORD_SIZE 48

/* An expression taken apart at its colons. */
struct expression {
	char word[WORDS][WORD_SIZE];
	unsigned count;
};

const char *interrupt_type_name(enum scry_interrupt_type type)
{
	static const char *const names[] = {
		[SCRY_INTERRUPT_EXCEPTION] = "exception", [SCRY_INTERRUPT_SOFTWARE] = "software",
		[SCRY_INTERRUPT_HARDWARE] = "hardware", [SCRY_INTERRUPT_NMI] = "nmi",
	};

	return names[type];
}

const char *shutdown_type_name(enum scry_shutdown_type type)
{
	static const char *const names[] = {
		[SCRY_SHUTDOWN_RESET] = "reset", [SCRY_SHUTDOWN_OFF] = "off",
		[SCRY_SHUTDOWN_TRIPLE_FAULT] = "triple-fault",
	};

	return names[type];
}

static struct scry_subscription subscription(enum scry_event_kind kind)
{
	return (struct scry_subscription){ .sz = sizeof(struct scry_subscription), .kind = kind };
}

static bool split(const char *text, struct expression *e)
{
	e->count = 0;
	for (;;) {
		size_t len = strcspn(text, ":");

		if (e->count == WORDS || !len || len >= WORD_SIZE)
			return false;
		memcpy(e->word[e->count], text, len);
		e->word[e->count++][len] = '\0';
		if (!text[len])
			return true;
		text += len + 1;
	}
}

/* Take letters of `known` off the end, if these are there: their accesses, or those for none. */
static uint32_t take_access(struct expression *e, const char *known, uint32_t none)
{
	static const char letters[] = "rwx";
	static const uint32_t bits[] = { SCRY_READ, SCRY_WRITE, SCRY_EXEC };
	const char *word = e->word[e->count - 1];
	uint32_t access = 0;

	if (e->count < 2 || strspn(word, known) != strlen(word))
		return none;
	for (; *word; word++)
		access |= bits[strchr(letters, *word) - letters];
	e->count--;
	return access;
}

static bool parse_u32(const char *text, uint32_t *value)
{
	uint64_t number;

	if (!parse_u64(text, &number) || number > UINT32_MAX)
		return false;
	*value = (uint32_t)number;
	return true;
}

/* One subscription or two: for reading, for writing, or both, alike but for the kind. */
static int two_kinds(struct scry_subscription like, enum scry_event_kind read,
		     enum scry_event_kind write, uint32_t direction,
		     struct scry_subscription subs[2])
{
	int n = 0;

	if (direction & SCRY_READ) {
		subs[n] = like;
		subs[n++].kind = read;
	}
	if (direction & SCRY_WRITE) {
		subs[n] = like;
		subs[n++].kind = write;
	}
	return n;
}

/* cpuid[:LEAF[.SUBLEAF]] */
static int parse_cpuid(struct expression *e, struct scry_subscription *sub)
{
	char *dot = e->count > 1 ? strchr(e->word[1], '.') : NULL;

	*sub = subscription(SCRY_EVENT_CPUID);
	if (e->count == 1)
		return 1;
	if (dot) {
		*dot = '\0';
		sub->cpuid.use_subleaf = 1;
		if (!parse_u32(dot + 1, &sub->cpuid.subleaf))
			return 0;
	}
	sub->cpuid.use_leaf = 1;
	return e->count == 2 && parse_u32(e->word[1], &sub->cpuid.leaf);
}

/* msr[:MSR][:r|w|rw], rdmsr[:MSR], wrmsr[:MSR] */
static int parse_msrs(struct expression *e, struct scry_subscription subs[2])
{
	struct scry_subscription like = subscription(SCRY_EVENT_MSR_READ);
	uint32_t direction = SCRY_READ | SCRY_WRITE;

	if (!strcmp(e->word[0], "msr"))
		direction = take_access(e, "rw", direction);
	else
		direction = e->word[0][0] == 'r' ? SCRY_READ : SCRY_WRITE;
	if (e->count > 2 || (e->count == 2 && !parse_msr(e->word[1], &like.msr.index[0])))
		return 0;
	like.msr.count = e->count - 1;
	return two_kinds(like, SCRY_EVENT_MSR_READ, SCRY_EVENT_MSR_WRITE, direction, subs);
}

/* crN[:r|w|rw]; what is mostly asked for is writing. */
static int parse_cr(struct expression *e, struct scry_subscription subs[2])
{
	struct scry_subscription like = subscription(SCRY_EVENT_CR_WRITE);
	uint32_t direction = take_access(e, "rw", SCRY_WRITE);

	if (e->count > 1 || !strchr("02348", e->word[0][2]))
		return 0;
	like.cr.cr = (uint32_t)(e->word[0][2] - '0');
	return two_kinds(like, SCRY_EVENT_CR_READ, SCRY_EVENT_CR_WRITE, direction, subs);
}

/* dr[:r|w|rw], drN[:r|w|rw] */
static int parse_dr(struct expression *e, struct scry_subscription subs[2])
{
	struct scry_subscription like = subscription(SCRY_EVENT_DR_WRITE);
	uint32_t direction = take_access(e, "rw", SCRY_READ | SCRY_WRITE);
	char digit = e->word[0][2];

	if (e->count > 1 || (digit && !strchr("012367", digit)))
		return 0;
	if (digit)
		like.dr.mask = 1u << (digit - '0');
	return two_kinds(like, SCRY_EVENT_DR_READ, SCRY_EVENT_DR_WRITE, direction, subs);
}

/* desc[:TABLE][:r|w|rw] */
static int parse_desc(struct expression *e, struct scry_subscription *sub)
{
	static const char *const tables[] = { "gdtr", "idtr", "ldtr", "tr" };

	*sub = subscription(SCRY_EVENT_DESCRIPTOR);
	sub->desc.access = take_access(e, "rw", 0);
	for (unsigned i = 0; e->count == 2 && i < 4; i++)
		if (!strcmp(e->word[1], tables[i]))
			sub->desc.tables = 1u << i;
	return e->count == 1 || (e->count == 2 && sub->desc.tables);
}

/* io[:PORT[-PORT]][:r|w|rw] */
static int parse_io(struct expression *e, struct scry_subscription *sub)
{
	uint64_t first, last;

	*sub = subscription(SCRY_EVENT_IO);
	sub->io.access = take_access(e, "rw", 0);
	if (e->count == 1)
		return 1;
	if (e->count > 2 || !parse_range(e->word[1], &first, &last) || last > 0xffff)
		return 0;
	sub->io.use_range = 1;
	sub->io.first = (uint32_t)first;
	sub->io.last = (uint32_t)last;
	return 1;
}

/* mem[:ADDRESS[-ADDRESS]][:rwx] */
static int parse_mem(struct expression *e, struct scry_subscription *sub)
{
	*sub = subscription(SCRY_EVENT_MEMORY);
	sub->memory.access = take_access(e, "rwx", SCRY_READ | SCRY_WRITE | SCRY_EXEC);
	sub->memory.last = UINT64_MAX;
	if (e->count == 1)
		return 1;
	sub->memory.use_range = 1;
	return e->count == 2 && parse_range(e->word[1], &sub->memory.first, &sub->memory.last);
}

/* shutdown[:TYPE] */
static int parse_shutdown(const struct expression *e, struct scry_subscription *sub)
{
	*sub = subscription(SCRY_EVENT_SHUTDOWN);
	for (unsigned i = 0; e->count == 2 && i <= SCRY_SHUTDOWN_TRIPLE_FAULT; i++)
		if (!strcmp(e->word[1], shutdown_type_name(i)))
			sub->shutdown.types = 1u << i;
	return e->count == 1 || sub->shutdown.types;
}

/* int[:VECTOR|TYPE] */
static int parse_int(struct expression *e, struct scry_subscription *sub)
{
	uint64_t vector;

	*sub = subscription(SCRY_EVENT_INTERRUPT);
	if (e->count == 1)
		return 1;
	for (unsigned i = 0; i <= SCRY_INTERRUPT_NMI; i++)
		if (!strcmp(e->word[1], interrupt_type_name(i)))
			sub->interrupt.types = 1u << i;
	if (e->count > 2 || sub->interrupt.types)
		return e->count == 2;
	if (!parse_u64(e->word[1], &vector) || vector > 255)
		return 0;
	sub->interrupt.vectors[vector / 64] = UINT64_C(1) << vector % 64;
	return 1;
}

/* step[:COUNT|FIRST-LAST][:noint] */
static int parse_step(struct expression *e, struct scry_subscription *sub)
{
	*sub = subscription(SCRY_EVENT_STEP);
	if (e->count > 1 && !strcmp(e->word[e->count - 1], "noint")) {
		sub->step.block_interrupts = 1;
		e->count--;
	}
	if (e->count != 2)
		return e->count == 1;
	if (!strchr(e->word[1], '-'))
		return parse_u64(e->word[1], &sub->step.count) && sub->step.count;
	sub->step.use_range = 1;
	return parse_range(e->word[1], &sub->step.first, &sub->step.last);
}

/* Events that need no filter: their names are the library's. */
static int parse_plain(const struct expression *e, struct scry_subscription *sub)
{
	static const enum scry_event_kind plain[] = {
		SCRY_EVENT_INT3, SCRY_EVENT_XSETBV, SCRY_EVENT_HYPERCALL, SCRY_EVENT_HLT,
		SCRY_EVENT_RDTSC, SCRY_EVENT_INVLPG, SCRY_EVENT_SYSCALL, SCRY_EVENT_START,
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (e->count == 1 && !strcmp(e->word[0], scry_event_name(plain[i]))) {
			*sub = subscription(plain[i]);
			return 1;
		}
	}
	return 0;
}

int parse_event(const char *text, struct scry_subscription subs[2])
{
	struct expression e;
	const char *name = e.word[0];

	if (!split(text, &e))
		return 0;
	if (!strcmp(name, "cpuid"))
		return parse_cpuid(&e, &subs[0]);
	if (!strcmp(name, "msr") || !strcmp(name, "rdmsr") || !strcmp(name, "wrmsr"))
		return parse_msrs(&e, subs);
	if (!strncmp(name, "cr", 2) && strlen(name) == 3)
		return parse_cr(&e, subs);
	if (!strncmp(name, "dr", 2) && strlen(name) <= 3)
		return parse_dr(&e, subs);
	if (!strcmp(name, "desc"))
		return parse_desc(&e, &subs[0]);
	if (!strcmp(name, "int"))
		return parse_int(&e, &subs[0]);
	if (!strcmp(name, "step"))
		return parse_step(&e, &subs[0]);
	if (!strcmp(name, "io"))
		return parse_io(&e, &subs[0]);
	if (!strcmp(name, "mem"))
		return parse_mem(&e, &subs[0]);
	if (!strcmp(name, "shutdown"))
		return parse_shutdown(&e, &subs[0]);
	return parse_plain(&e, &subs[0]);
}

bool parse_breakpoint(const char *text, struct scry_breakpoint *breakpoint)
{
	struct expression e;
	char *at;

	*breakpoint = (struct scry_breakpoint){ .sz = sizeof(*breakpoint) };
	if (!split(text, &e) || strcmp(e.word[0], "break") || e.count < 2)
		return false;
	if (e.count == 3) {
		if (strcmp(e.word[2], "phys"))
			return false;
		breakpoint->flags = SCRY_BREAKPOINT_PHYSICAL;
	}
	at = strchr(e.word[1], '@');
	if (at) {
		*at = '\0';
		breakpoint->flags |= SCRY_BREAKPOINT_CR3;
		if (!parse_u64(at + 1, &breakpoint->cr3))
			return false;
	}
	return parse_u64(e.word[1], &breakpoint->address);
}

bool is_symbol(const char *text)
{
	/* The dot: of what a compiler has made of a function, "do_exit.cold". */
	static const char letters[] = ".0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return (isalpha((unsigned char)*text) || *text == '_') && !text[strspn(text, letters)];
}

bool parse_breakpoint_by_name(const char *text, struct scry_breakpoint *breakpoint,
			      const char **name)
{
	if (strncmp(text, "break:", 6))
		return false;
	*breakpoint = (struct scry_breakpoint){ .sz = sizeof(*breakpoint) };
	*name = text + 6;
	return is_symbol(*name);
}
