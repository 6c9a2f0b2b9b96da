/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"
#include "qemu.h"

static int request(struct scry_vm *vm, struct scry_agent_view view, uint64_t *value)
{
	view.header.type = SCRY_AGENT_VIEW;
	return qemu_exchange_value(qemu_of(vm), &view, sizeof(view), value);
}

static int change(struct scry_vm *vm, struct scry_agent_view view)
{
	return request(vm, view, NULL);
}

int qemu_view_create(struct scry_vm *vm, unsigned like)
{
	struct scry_agent_view view = { .op = SCRY_AGENT_VIEW_CREATE, .view = like };
	uint64_t number = 0;
	int ret = request(vm, view, &number);

	if (ret < 0)
		return ret;
	if (!number || number >= SCRY_VIEWS)
		return scry_fail(SCRY_E_PROTOCOL, "the agent gave a view no number");
	return (int)number;
}

int qemu_view_destroy(struct scry_vm *vm, unsigned view)
{
	return change(vm, (struct scry_agent_view){ .op = SCRY_AGENT_VIEW_DESTROY, .view = view });
}

int qemu_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		      uint32_t access)
{
	return change(vm, (struct scry_agent_view){ .op = SCRY_AGENT_VIEW_PROTECT, .view = view,
						    .gfn = gfn, .count = count,
						    .argument = access });
}

int qemu_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target)
{
	return change(vm, (struct scry_agent_view){ .op = SCRY_AGENT_VIEW_REMAP, .view = view,
						    .gfn = gfn, .argument = target });
}

int qemu_frame_create(struct scry_vm *vm, uint64_t *gfn)
{
	return qemu_request_value(qemu_of(vm), SCRY_AGENT_FRAME, 0, gfn);
}

int qemu_frame_destroy(struct scry_vm *vm, uint64_t gfn)
{
	return qemu_request_value(qemu_of(vm), SCRY_AGENT_FRAME, gfn, NULL);
}

int qemu_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view)
{
	return change(vm, (struct scry_agent_view){ .op = SCRY_AGENT_VIEW_SWITCH, .view = view,
						    .argument = vcpu });
}
