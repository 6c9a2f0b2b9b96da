/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BLOCKLOG_H
#define BLOCKLOG_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * The file in which the plugin blocklog.so notes every block that QEMU's vCPUs
 * begin, while `on` is set: another path to what the packets say.
 */
#define LOG_VCPUS 2
#define LOG_MOST  (UINT64_C(1) << 25)	/* blocks a vCPU */

struct log_entry {
	uint64_t pc;		/* linear */
	uint64_t insns;
};

struct blocklog {
	_Atomic uint32_t on;
	_Atomic uint64_t count[LOG_VCPUS];
	_Alignas(4096) struct log_entry entry[LOG_VCPUS][LOG_MOST];
};

#endif
