/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_BITS_H
#define SCRY_XEN_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool test_bit(const uint64_t *bits, uint64_t n)
{
	return bits[n / 64] >> n % 64 & 1;
}

static inline void set_bit(uint64_t *bits, uint64_t n)
{
	bits[n / 64] |= UINT64_C(1) << n % 64;
}

#endif
