/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/accel.h"
#include "agent/event/arm.h"
#include "agent/event/breakpoint.h"
#include "agent/event/watchpoint.h"
#include "agent/kvmi/link.h"
#include "agent/memory/frame.h"
#include "agent/memory/memory_map.h"
#include "agent/memory/view.h"
#include "agent/pt/pt.h"
#include "agent/vcpu/vcpu.h"
#include "area.h"
#include "client.h"
#include "identity.h"
#include "message.h"
#include "slot_client.h"

static struct {
	pid_t pid;		/* 0 = none is attached */
	int socket;		/* the service's to close */
	bool clocks_stopped;
	struct area area;
} client = { .area = { .fd = -1, .bell = -1, .client_bell = -1 } };

static void map_changed(void)
{
	area_step_generation(&client.area);
}

void client_init(void)
{
	bql_lock();
	memory_map_watch(map_changed);
	qemu.bql_unlock();
}

static pid_t peer_pid(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	/* 0 is another namespace's process: it is somebody all the same. */
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid ? cred.pid : -1;
}

/* Who has the VM, 0 = nobody. */
static pid_t whose(void)
{
	pid_t tool;

	return kvmi_link_is_up(&tool) ? tool : client.pid;
}

static void fill_welcome(struct scry_agent_welcome *w)
{
	*w = (struct scry_agent_welcome){
		.header.type = SCRY_AGENT_HELLO,
		.magic = SCRY_AGENT_MAGIC,
		.version = SCRY_AGENT_VERSION,
		.vcpus = vcpu_count,
		.pid = getpid(),
		.client_pid = whose(),
		.shared_size = client.area.size,
		.build = SCRY_VERSION,
	};
	snprintf(w->name, sizeof(w->name), "%s", identity.name);
	snprintf(w->hypervisor, sizeof(w->hypervisor), "%s", identity.hypervisor);
	bql_lock();
	w->ram_bytes = memory_map_ram_bytes(memory_map());
	if (!client.pid)
		memory_map_forget();
	qemu.bql_unlock();
}

pid_t client_pid(void)
{
	return client.pid;
}

int client_welcome(int fd)
{
	struct scry_agent_welcome welcome;

	fill_welcome(&welcome);
	return message_send(fd, &welcome, sizeof(welcome), NULL, 0);
}

int client_attach(int fd, uint32_t reply_timeout_ms, char *text, size_t size)
{
	struct scry_agent_welcome welcome;
	pid_t tool;

	if (kvmi_link_is_up(&tool)) {
		snprintf(text, size, "a tool that speaks KVMI has VM %s, process %d: end that one first",
			 identity.name, (int)tool);
		return SCRY_E_BUSY;
	}
	if (client.pid) {
		snprintf(text, size, "VM %s has a client already, process %d: end that one first",
			 identity.name, (int)client.pid);
		return SCRY_E_BUSY;
	}
	/* vCPUs may have been plugged in since. */
	bql_lock();
	vcpu_find_all();
	qemu.bql_unlock();
	if (area_make(&client.area, vcpu_count) < 0) {
		snprintf(text, size, "QEMU has no memory or files left for a client's shared area");
		return SCRY_E_NOMEM;
	}
	client.pid = peer_pid(fd);
	client.socket = fd;
	for (unsigned i = 0; i < vcpu_count; i++) {
		vcpus[i].sequence = 0;
		slot_attach(&vcpus[i].slot, client.area.shared, area_slot(&client.area, i),
			    client.area.bell, reply_timeout_ms);
	}
	vcpu_serve(&slot_client);
	fill_welcome(&welcome);
	/* If it is gone already the hang-up will say so. */
	message_send(fd, &welcome, sizeof(welcome), (int[]){ client.area.fd, client.area.client_bell }, 2);
	area_close_client_bell(&client.area);
	return 0;
}

void client_give_up(unsigned vcpu)
{
	uint32_t none = 0;

	if (!atomic_compare_exchange_strong(&client.area.shared->late, &none, vcpu + 1))
		return;
	fprintf(stderr, "scry-agent: process %d does not reply to an event of vCPU %u: the VM goes on "
		"without it\n", (int)client.pid, vcpu);
	/* As if it had hung up: the service thread sees that. */
	shutdown(client.socket, SHUT_RDWR);
}

void client_take_back(void)
{
	vcpu_release_all();
	if (arm_filters())
		arm(NULL);
	breakpoint_reset();
	watchpoint_reset();
	pt_reset();
	view_reset();
	frame_reset();
	vcpu_wait_released();
}

void client_detach(void)
{
	bql_lock();
	memory_map_forget();	/* no more steps of the generation */
	area_retire(&client.area);
	qemu.bql_unlock();
	client_clocks(false);	/* before a vCPU goes on, and looks at them */
	client_take_back();
	for (unsigned i = 0; i < vcpu_count; i++)
		vcpus[i].slot.mem = NULL;
	area_drop(&client.area);
	client.pid = 0;
}

void client_clocks(bool stop)
{
	if (stop == client.clocks_stopped)
		return;
	client.clocks_stopped = stop;
	bql_lock();
	/* While QEMU itself has stopped the VM its own stand still anyway. */
	if (qemu.runstate_is_running()) {
		if (stop)
			qemu.cpu_disable_ticks();
		else
			qemu.cpu_enable_ticks();
	}
	qemu.bql_unlock();
	accel->clocks(stop);
}
