/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whatever is opened as a dump: refused with a sentence, or asked for all it has. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/dump/hostile.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("dump", MFD_CLOEXEC);
	if (ftruncate(fd, 0) || (size && pwrite(fd, data, size, 0) != (ssize_t)size))
		abort();
	hostile_dump(fd);
	return 0;
}
