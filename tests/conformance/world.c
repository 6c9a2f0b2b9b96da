/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fresh world for each test. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conformance.h"

int fail(struct ctx *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->why, sizeof(c->why), format, args);
	va_end(args);
	return -1;
}

int skip(struct ctx *c, const char *what)
{
	snprintf(c->why, sizeof(c->why), "%s", what);
	return 1;
}

bool whole(struct ctx *c, enum scry_cap cap)
{
	const char *note = "";

	return scry_cap(c->vm, cap, &note) && strncmp(note, "only ", 5);
}

int wait_ms(void)
{
	const char *seconds = getenv("SCRY_TEST_PATIENCE");

	return (seconds ? atoi(seconds) : 60) * 1000;
}

unsigned many(unsigned times)
{
	const char *text = getenv("SCRY_CONFORMANCE_SHARE");
	unsigned share = text ? (unsigned)strtoul(text, NULL, 10) : 1;

	/* An even number, of which many tests are about every other. */
	return share > 1 && times / share >= 20 ? times / share & ~1u : share > 1 ? 20 : times;
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static int read_header(struct ctx *c)
{
	return scry_read_phys(c->vm, PROBE_GPA, &c->probe, sizeof(c->probe));
}

/* The agent answers before the machine that is being made has its RAM. */
static int open_made(struct ctx *c)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = WAIT_MS };
	uint64_t end = now_ms() + WAIT_MS;

	for (;;) {
		OK(c, scry_open(&c->vm, c->uri, &opts));
		if (read_header(c) != SCRY_E_ADDRESS || now_ms() >= end)
			return 0;
		scry_close(c->vm);
		c->vm = NULL;
		sleep_ms(10);
	}
}

int world_open(struct ctx *c)
{
	uint64_t end = now_ms() + WAIT_MS;

	DO(open_made(c));
	for (;;) {
		OK(c, read_header(c));
		if (c->probe.magic == PROBE_MAGIC)
			break;
		CHECK(c, now_ms() < end, "the guest does not answer: is it the probe?");
		sleep_ms(10);
	}
	CHECK(c, c->probe.version == PROBE_VERSION, "the probe has version %u, not %u",
	      c->probe.version, PROBE_VERSION);
	c->vcpus = c->probe.vcpus;
	return 0;
}

/* The functions that tests patch, as they were. */
static int restore_code(struct ctx *c)
{
	const uint8_t code[] = { 0xb8, 1, 0, 0, 0, 0xc3 };	/* mov $1,%eax; ret */

	OK(c, scry_write_phys(c->vm, c->probe.patch, code, sizeof(code)));
	OK(c, scry_write_phys(c->vm, c->probe.patch_inline + c->probe.patch_imm, code + 1, 4));
	return 0;
}

int world_reset(struct ctx *c)
{
	const struct probe_op reset = OP(RESET);

	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_recover(c, i));
	DO(restore_code(c));
	DO(guest_go(c, 0));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_do(c, i, reset, NULL));
	return 0;
}

void world_close(struct ctx *c)
{
	for (unsigned i = 0; i < c->as_count; i++)
		scry_as_free(c->as[i]);
	c->as_count = 0;
	memset(c->sequence, 0, sizeof(c->sequence));
	scry_close(c->vm);
	c->vm = NULL;
}

static void keep_as(struct ctx *c, struct scry_as *as)
{
	c->as[c->as_count++] = as;
}

int world_as(struct ctx *c, struct scry_as **as)
{
	OK(c, scry_as_of_vcpu(c->vm, 0, as));
	keep_as(c, *as);
	return 0;
}

int world_as_open(struct ctx *c, uint64_t root, struct scry_as **as)
{
	const struct scry_as_opts opts = {
		.sz = sizeof(opts), .mode = SCRY_PAGING_4LEVEL, .nxe = 1,
	};

	OK(c, scry_as_open(c->vm, root, &opts, as));
	keep_as(c, *as);
	return 0;
}
