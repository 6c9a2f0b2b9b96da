#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: i386names.sh COMPILER...: the names of i386's system calls by number, for a C array.
"$@" -E -dM -include asm/unistd_32.h -x c /dev/null |
	sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$/[\2] = "\1",/p' | sort -t '[' -k 2 -n
