/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mailbox.h"

static _Atomic unsigned under_way;

void kvmi_mailbox_init(struct kvmi_mailbox *box)
{
	pthread_mutex_init(&box->lock, NULL);
	box->first = NULL;
	box->last = &box->first;
	box->bell = -1;
	atomic_store(&box->released, true);
}

void kvmi_mailbox_ready(struct kvmi_mailbox *box)
{
	if (box->bell < 0)
		box->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int kvmi_mailbox_put(struct kvmi_mailbox *box, const struct kvmi_header *header,
		     const void *payload, bool silent, bool tells_errors)
{
	struct kvmi_mail *mail = NULL;

	if (atomic_fetch_add(&under_way, 1) < KVMI_MAILS)
		mail = malloc(sizeof(*mail) + header->size);
	if (!mail) {
		atomic_fetch_sub(&under_way, 1);
		return -1;
	}
	*mail = (struct kvmi_mail){ .header = *header, .silent = silent,
				    .tells_errors = tells_errors };
	memcpy(mail->payload, payload, header->size);
	pthread_mutex_lock(&box->lock);
	*box->last = mail;
	box->last = &mail->next;
	pthread_mutex_unlock(&box->lock);
	return 0;
}

struct kvmi_mail *kvmi_mailbox_take(struct kvmi_mailbox *box)
{
	struct kvmi_mail *mail;

	pthread_mutex_lock(&box->lock);
	mail = box->first;
	if (mail)
		box->first = mail->next;
	if (!box->first)
		box->last = &box->first;
	pthread_mutex_unlock(&box->lock);
	if (mail)
		atomic_fetch_sub(&under_way, 1);
	return mail;
}

bool kvmi_mailbox_is_empty(struct kvmi_mailbox *box)
{
	bool empty;

	pthread_mutex_lock(&box->lock);
	empty = !box->first;
	pthread_mutex_unlock(&box->lock);
	return empty;
}

void kvmi_mailbox_wake(struct kvmi_mailbox *box)
{
	const uint64_t one = 1;

	atomic_fetch_add(&box->word, 1);
	if (atomic_load(&box->sleeps) && write(box->bell, &one, sizeof(one)) < 0)
		return;		/* it has rung very often already */
}

bool kvmi_mailbox_sleep(struct kvmi_mailbox *box, uint32_t seen, int ms, int fd)
{
	struct pollfd p[] = { { .fd = box->bell, .events = POLLIN },
			      { .fd = fd, .events = POLLIN } };
	uint64_t rung;

	atomic_store(&box->sleeps, true);
	if (atomic_load(&box->word) == seen)
		poll(p, 2, ms);
	atomic_store(&box->sleeps, false);
	if (p[0].revents && read(box->bell, &rung, sizeof(rung)) < 0)
		return false;
	return p[1].revents;
}

void kvmi_mailbox_clear(struct kvmi_mailbox *box)
{
	struct kvmi_mail *mail;

	while ((mail = kvmi_mailbox_take(box)))
		free(mail);
}
