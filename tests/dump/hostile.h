/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DUMP_HOSTILE_H
#define DUMP_HOSTILE_H

/*
 * Open whatever the file holds as a dump, and ask for all that it may have; abort()
 * where the library breaks its word.  1 if it was taken for a dump.
 */
int hostile_dump(int fd);

#endif
