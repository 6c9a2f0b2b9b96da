/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_PROCESSOR_H
#define SCRY_BENCH_PROCESSOR_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Have a process (0: the caller) stay on its first or its last processor, with all the threads
 * that it has.  Two that talk to each other are then apart, as a vCPU and a tool are, in the
 * measured work and in its bound alike; the scheduler's choice would be another each time.
 */
int processor_stay(pid_t pid, bool last);	/* -1 after a message */

#endif
