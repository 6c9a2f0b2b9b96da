/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A vCPU that does not come: its thread is stopped, as by a host that has no time for it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tool.h"

static bool is_vcpu0(const char *task)
{
	char comm[32] = "";
	char path[320];
	FILE *f;

	snprintf(path, sizeof(path), "%s/comm", task);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(comm, sizeof(comm), f))
		comm[0] = 0;
	fclose(f);
	return strncmp(comm, "CPU 0/", 6) == 0;
}

/* By its name in the process that is connected: QEMU has debug-threads=on. */
static pid_t thread_of_vcpu0(struct tool *t)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);
	char tasks[40], path[300];
	struct dirent *entry;
	pid_t thread = -1;
	DIR *dir;

	getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	snprintf(tasks, sizeof(tasks), "/proc/%d/task", (int)peer.pid);
	dir = opendir(tasks);
	while (dir && thread < 0 && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", tasks, entry->d_name);
		if (is_vcpu0(path))
			thread = atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	return thread;
}

static int stop_thread(struct tool *t, pid_t thread)
{
	int status;

	CHECK(t, ptrace(PTRACE_SEIZE, thread, NULL, NULL) == 0 &&
	      ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0 &&
	      waitpid(thread, &status, __WALL) == thread, "cannot stop thread %d: %s", (int)thread,
	      strerror(errno));
	return 0;
}

/* Each of them waited for, for the server's 50 ms, would be half a minute. */
#define PAUSES    600u
#define PAUSES_MS 20000u
#define PAUSE_SEQ 700u

static int send_pauses(struct tool *t)
{
	const struct kvmi_v12_pause p12 = { .wait = 1 };
	const struct {
		struct kvmi_vcpu vcpu;
		struct kvmi_v7_pause pause;
	} p7 = { .pause = { .wait = 1 } };
	bool v12 = t->generation == KVMI_V12;

	for (uint32_t i = 0; i < PAUSES; i++)
		DO(tool_send(t, tool_id(t, KVMI_PAUSE), PAUSE_SEQ + i,
			     v12 ? (const void *)&p12 : &p7, v12 ? sizeof(p12) : sizeof(p7)));
	return 0;
}

/* Pauses are waited for; other commands do not wait as long, and their answers come some time. */
static int pause_stuck(struct tool *t)
{
	struct probe_op op = OP(WRITE, .size = 8, .arg = t->probe.scratch);
	pid_t thread = thread_of_vcpu0(t);
	uint64_t since, took;
	struct message m;

	CHECK(t, thread > 0, "QEMU has no thread of the name CPU 0/...");
	/* In the guest's own code, where it has no lock of QEMU's. */
	DO(guest_start(t, 0, &op, 1, UINT64_MAX));
	DO(guest_moves(t, 0));
	DO(stop_thread(t, thread));
	since = now_ms();
	DO(send_pauses(t));
	EXPECT(t, 0, tool_call(t, KVMI_GET_VERSION, NULL, 0, NULL));
	took = now_ms() - since;
	CHECK(t, took < PAUSES_MS, "another command waits %llu ms for pauses", (unsigned long long)took);
	DO(tool_quiet(t, 100));
	CHECK(t, ptrace(PTRACE_DETACH, thread, NULL, NULL) == 0, "PTRACE_DETACH: %s",
	      strerror(errno));
	for (uint32_t i = 0; i < PAUSES; i++)
		EXPECT(t, 0, tool_wait(t, tool_id(t, KVMI_PAUSE), PAUSE_SEQ + i, &m));
	for (uint32_t i = 0; i < PAUSES; i++) {
		DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
		if (i == 0)
			DO(guest_stop(t, 0));
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	}
	return guest_wait(t, 0, NULL);
}

const struct test tests_stuck[] = {
	{ "pause-stuck", pause_stuck, true, true },
	{ NULL, NULL, false, false },
};
