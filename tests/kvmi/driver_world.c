/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver_world.h"

enum kvmi_generation generation;

int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/scry-kvmi-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/sock", w->dir);
	snprintf(w->uri, sizeof(w->uri), "kvmi:%s", w->path);
	*state = w;
	return 0;
}

int tear_down(void **state)
{
	struct world *w = *state;

	scry_close(w->vm);
	peer_stop(&w->peer);
	/* The socket is gone with the wait for a VM. */
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

void open_vm(struct world *w, enum kvmi_generation which, int timeout_ms)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = timeout_ms };

	peer_start(&w->peer, which, w->path);
	if (scry_open(&w->vm, w->uri, &opts) < 0)
		fail_msg("scry_open: %s", scry_errmsg());
}

struct scry_event one_event(struct world *w)
{
	struct scry_event e;
	int n = scry_event_wait(w->vm, &e, 1, 20000);

	if (n < 0)
		fail_msg("scry_event_wait: %s", scry_errmsg());
	assert_int_equal(n, 1);
	return e;
}
