/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "guard.h"
#include "peer.h"

pid_t scry_peer_pid(int fd)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ? 0 : cred.pid;
}

void scry_clean_text(char *text, size_t size)
{
	text[size - 1] = 0;
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = '?';
}

bool scry_peek(pid_t pid, const struct scry_piece *piece, size_t count)
{
	struct iovec local[SCRY_PIECES], remote[SCRY_PIECES];
	size_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		const struct scry_mapped_region *r = piece[i].region;
		uintptr_t address = r->vmm_host + (piece[i].gpa - r->region.gpa);

		if (!r->vmm_host)
			return false;
		local[i] = (struct iovec){ piece[i].buf, piece[i].len };
		remote[i] = (struct iovec){ (void *)address, piece[i].len };
		sum += piece[i].len;
	}
	return process_vm_readv(pid, local, count, remote, count, 0) == (ssize_t)sum;
}

static struct scry_files *find(struct scry_files *files, const struct stat *st, uint64_t offset,
			       uint64_t size)
{
	for (; files; files = files->next)
		if (files->device == st->st_dev && files->inode == st->st_ino &&
		    files->offset == offset && files->size == size)
			return files;
	return NULL;
}

/* It is sealed, or watched over. */
static bool is_safe(struct scry_files *f, int fd, uint64_t *life)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (!life || (seals >= 0 && seals & F_SEAL_SHRINK))
		return true;
	f->guard = scry_guard_begin(f->host, f->size, life);
	return f->guard;
}

unsigned char *scry_files_map(struct scry_files **files, int fd, uint64_t offset, uint64_t size,
			      uint64_t *life)
{
	struct scry_files *f;
	struct stat st;
	void *host;

	/* Past the file's end a load would be a bus error. */
	if (fstat(fd, &st) < 0 || st.st_size < 0 || offset > (uint64_t)st.st_size ||
	    size > (uint64_t)st.st_size - offset)
		return NULL;
	f = find(*files, &st, offset, size);
	if (f)
		return f->host;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (host == MAP_FAILED) {
		free(f);
		return NULL;
	}
	*f = (struct scry_files){ .next = *files, .device = st.st_dev, .inode = st.st_ino,
				  .offset = offset, .size = size, .host = host };
	if (!is_safe(f, fd, life)) {
		munmap(host, size);
		free(f);
		return NULL;
	}
	*files = f;
	return host;
}

void scry_files_unmap(struct scry_files **files)
{
	while (*files) {
		struct scry_files *f = *files;

		*files = f->next;
		scry_guard_end(f->guard);
		munmap(f->host, f->size);
		free(f);
	}
}
