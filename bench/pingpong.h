/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_PINGPONG_H
#define SCRY_BENCH_PINGPONG_H

#include "bench.h"

/* Another process that answers by the means of the agent's slots, and does nothing else. */
struct pingpong;

#define PINGPONG_BATCH 500	/* round trips a sample */

struct pingpong *pingpong_start(void);		/* NULL after a message */
void pingpong_stop(struct pingpong *p);
double pingpong_ns(struct pingpong *p, int ms);	/* of one round trip, measured for so long */

#endif
