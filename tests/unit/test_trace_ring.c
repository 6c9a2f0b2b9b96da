/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Xen's vmtrace buffers: each byte once and in order, whatever position is claimed. */
#include <stdlib.h>

#include "../lib/test.h"
#include "lib/drivers/xen/trace_ring.h"

#define SIZE 64u

/* On the heap, so that a byte beside it is found by ASan. */
static struct xen_trace_ring ring_new(void)
{
	unsigned char *bytes = calloc(1, SIZE);

	assert_non_null(bytes);
	return (struct xen_trace_ring){ .bytes = bytes, .size = SIZE };
}

static unsigned random_below(uint64_t *seed, unsigned limit)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(*seed >> 33) % limit;
}

/* A writer that goes round, and a reader that takes as much as it likes. */
static void follows_the_writer(void **state)
{
	struct xen_trace_ring ring = ring_new();
	unsigned char *bytes = (unsigned char *)(uintptr_t)ring.bytes, out[SIZE];
	uint64_t seed = 1, written = 0, read = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned more = random_below(&seed, (unsigned)(SIZE - (written - read)));
		size_t len = random_below(&seed, SIZE + 1);
		int64_t n;

		for (; more; more--, written++)
			bytes[written % SIZE] = (unsigned char)(written * 31 >> 3);
		n = xen_trace_take(&ring, written % SIZE, out, len);
		assert_int_equal(n, written - read < len ? written - read : len);
		for (int64_t i = 0; i < n; i++, read++)
			assert_int_equal(out[i], (unsigned char)(read * 31 >> 3));
	}
	free(bytes);
}

static void refuses_what_is_no_position(void **state)
{
	static const uint64_t positions[] = { SIZE, SIZE + 1, UINT32_MAX, UINT64_MAX - SIZE,
					      UINT64_MAX };
	struct xen_trace_ring ring = ring_new(), none = { 0 };
	unsigned char out[SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		assert_int_equal(xen_trace_take(&ring, positions[i], out, sizeof(out)), -1);
		assert_int_equal(ring.read, 0);
		assert_int_equal(xen_trace_take(&none, positions[i], out, sizeof(out)), -1);
	}
	assert_int_equal(xen_trace_take(&none, 0, out, sizeof(out)), -1);
	free((void *)(uintptr_t)ring.bytes);
}

/* Positions that jump about give at most a ring's bytes, and no byte beside it. */
static void stays_inside(void **state)
{
	struct xen_trace_ring ring = ring_new();
	unsigned char out[SIZE];
	uint64_t seed = 2;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = random_below(&seed, SIZE + 1);
		int64_t n = xen_trace_take(&ring, random_below(&seed, SIZE), out, len);

		assert_in_range(n, 0, len);
		assert_in_range(ring.read, 0, SIZE - 1);
	}
	free((void *)(uintptr_t)ring.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_writer),
		cmocka_unit_test(refuses_what_is_no_position),
		cmocka_unit_test(stays_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
