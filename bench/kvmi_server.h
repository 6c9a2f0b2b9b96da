/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_KVMI_SERVER_H
#define SCRY_BENCH_KVMI_SERVER_H

#include "bench.h"

/* What the agent's KVMI server adds to its socket: a QEMU with the probe looks for it there, by v12. */
int bench_kvmi_server(const struct bench *b, const char *path);

#endif
