/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../vm.h"
#include "claim.h"

#define PATH  "/run/scry-xen"
#define PLACE 16	/* bytes of each domain's: the process's number in decimal */

/* So many times 10 ms. */
#define PATIENCE 500

static struct flock place(unsigned domid)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET,
			       .l_start = (off_t)domid * PLACE, .l_len = PLACE };
}

int xen_claim(unsigned domid)
{
	struct flock lock = place(domid);
	char text[PLACE + 1];
	int fd = open(PATH, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), ret;

	if (fd < 0)
		return -errno;
	snprintf(text, sizeof(text), "%*d\n", PLACE - 1, (int)getpid());
	/* The open file's lock, not the process's: it goes to the watchdog. */
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0 &&
	    pwrite(fd, text, PLACE, lock.l_start) == PLACE)
		return fd;
	ret = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	close(fd);
	return ret;
}

pid_t xen_claim_owner(unsigned domid)
{
	struct flock lock = place(domid);
	char text[PLACE + 1] = "";
	int fd = open(PATH, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool taken;

	if (fd < 0)
		return 0;
	taken = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK &&
		pread(fd, text, PLACE, (off_t)domid * PLACE) == PLACE;
	close(fd);
	return taken ? (pid_t)atoi(text) : 0;
}

static bool has_died(pid_t process)
{
	return process > 0 && kill(process, 0) < 0 && errno == ESRCH;
}

int xen_claim_after_death(unsigned domid)
{
	int fd = xen_claim(domid);

	for (int i = 0; i < PATIENCE && fd == -EBUSY; i++) {
		pid_t owner = xen_claim_owner(domid);

		if (owner > 0 && !has_died(owner))
			break;
		poll(NULL, 0, 10);
		fd = xen_claim(domid);
	}
	return fd;
}

int xen_claim_failed(unsigned domid, int error)
{
	pid_t owner = error == -EBUSY ? xen_claim_owner(domid) : 0;

	if (error != -EBUSY)
		return scry_fail(SCRY_E_IO, "cannot lock " PATH ", which says who has domain %u: %s",
				 domid, strerror(-error));
	if (has_died(owner))
		return scry_fail(SCRY_E_BUSY, "the watchdog of process %d, which has ended, is still "
				 "letting go of domain %u: if something else keeps that paused, let it "
				 "go on, and try again", (int)owner, domid);
	return scry_fail(SCRY_E_BUSY, "domain %u has a client already, process %d: end that first",
			 domid, (int)owner);
}
