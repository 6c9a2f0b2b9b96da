/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a VM is opened, and what its RAM and its socket are then. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "driver_world.h"

static void short_answer(struct peer *p, struct kvmi_header *header, uint8_t *payload)
{
	(void)p;
	(void)payload;
	header->size = 2;
}

/* Who answers nonsense to the first question does not want a key. */
void test_bad_version(void **state)
{
	struct world *w = *state;

	w->peer.spoil = short_answer;
	peer_start(&w->peer, generation, w->path);
	assert_error(SCRY_E_GONE, scry_open(&w->vm, w->uri, NULL));
	assert_says("malformed");
}

/* A greeting has its time as a whole. */
void test_drawl(void **state)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = 300 };
	struct world *w = *state;

	w->peer.drawls = true;
	peer_start(&w->peer, generation, w->path);
	assert_error(SCRY_E_PROTOCOL, scry_open(&w->vm, w->uri, &opts));
	assert_says("greeting");
}

/* A kernel that takes its time for each answer has it for all of opening, too. */
void test_slow_opening(void **state)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = 200 };
	struct world *w = *state;

	w->peer.delay_ms = 100;
	peer_start(&w->peer, generation, w->path);
	assert_error(SCRY_E_TIMEOUT, scry_open(&w->vm, w->uri, &opts));
	/* On a busy host one of them may be late by itself. */
	if (!strstr(scry_errmsg(), "did not answer"))
		assert_says("opening");
}

#define SILENT 6

static int silent[SILENT];

/* They come first, and say nothing. */
static void *come_silently(void *opaque)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct world *w = opaque;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
	for (int i = 0; i < SILENT; i++) {
		silent[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		while (connect(silent[i], (struct sockaddr *)&address, sizeof(address)) < 0)
			nanosleep(&pause, NULL);
	}
	peer_start(&w->peer, generation, w->path);
	return NULL;
}

/* Who says nothing does not keep the VM out that comes behind. */
void test_silent_others(void **state)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = 1500 };
	struct world *w = *state;
	pthread_t others;
	int ret;

	pthread_create(&others, NULL, come_silently, w);
	ret = scry_open(&w->vm, w->uri, &opts);
	pthread_join(others, NULL);
	for (int i = 0; i < SILENT; i++)
		close(silent[i]);
	assert_ok(ret);
}

static void make_template(const char *path)
{
	static uint8_t page[4096];
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (unsigned i = 0; i < PEER_MEMORY / sizeof(page); i++) {
		memset(page, (int)(i % 255) + 1, sizeof(page));
		assert_int_equal(fwrite(page, sizeof(page), 1, f), 1);
	}
	assert_int_equal(fclose(f), 0);
}

/* A VM whose RAM is of this file. */
static void open_with_file(struct world *w, char template[100])
{
	snprintf(template, 100, "%s/template", w->dir);
	make_template(template);
	w->peer.template = template;
	open_vm(w, generation, LONG);
}

static void close_with_file(struct world *w, const char *template)
{
	scry_close(w->vm);
	w->vm = NULL;
	assert_int_equal(unlink(template), 0);
}

/* RAM that began as a file, and is the VM's own where the guest has written. */
void test_private_file(void **state)
{
	struct world *w = *state;
	char template[100];
	uint8_t byte;

	open_with_file(w, template);
	w->peer.memory[0x234567] = 0xa5;
	assert_ok(scry_read_phys(w->vm, 0x234567, &byte, 1));
	assert_int_equal(byte, 0xa5);
	close_with_file(w, template);
}

/* RAM's file is shortened while it is mapped: an error, and no bus error. */
void test_file_cut(void **state)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct world *w = *state;
	char template[100];
	uint8_t byte;

	w->peer.shares = true;
	open_with_file(w, template);
	assert_ok(scry_info(w->vm, &info));
	assert_int_equal(info.ram_access, SCRY_RAM_MAPPED);
	assert_ok(scry_read_phys(w->vm, 0x234567, &byte, 1));
	assert_int_equal(truncate(template, 4096), 0);
	assert_error(SCRY_E_GONE, scry_read_phys(w->vm, 0x234567, &byte, 1));
	assert_says("shortened");
	close_with_file(w, template);
}

/* A socket that has another's name by now stays. */
void test_not_its_socket(void **state)
{
	struct world *w = *state;
	char aside[100];
	int fd;

	open_vm(w, generation, LONG);
	snprintf(aside, sizeof(aside), "%s/aside", w->dir);
	assert_int_equal(rename(w->path, aside), 0);
	fd = open(w->path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	scry_close(w->vm);
	w->vm = NULL;
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(unlink(aside), 0);
}
