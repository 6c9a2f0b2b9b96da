/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DUMP_FILE_H
#define SCRY_DUMP_FILE_H

#include <pthread.h>
#include <stdint.h>

#include "../../guard.h"

struct dump_zstd;

/* The bytes of a dump, decompressed where they are compressed. */
struct dump_file {
	int fd;
	char path[256];			/* as messages name it */
	uint64_t size;			/* of the bytes */
	unsigned char *map;		/* all of them, or NULL */
	struct dump_zstd *zstd;		/* NULL = not compressed */
	struct scry_guard *guard;	/* of the mapping */
};

int dump_file_open(struct dump_file *file, const char *path);
void dump_file_close(struct dump_file *file);

/* Map all of it if that can be; guard->life tells when the mapping has gone bad. */
int dump_file_map(struct dump_file *file);

/* All of [offset, offset + len), or a failure that says why. */
int dump_file_read(struct dump_file *file, uint64_t offset, void *buf, size_t len);

/* zstd.c: the same for a compressed file: NULL with *err set if it cannot be read. */
struct dump_zstd *dump_zstd_open(struct dump_file *file, uint64_t *size, int *err);
void dump_zstd_close(struct dump_zstd *z);
int dump_zstd_read(struct dump_file *file, uint64_t offset, void *buf, size_t len);

/* The bytes as they are in the file, compressed or not. */
int dump_file_pread(struct dump_file *file, uint64_t offset, void *buf, size_t len);

#endif
