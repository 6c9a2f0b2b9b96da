/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DRIVER_QEMU_H
#define SCRY_DRIVER_QEMU_H

#include "../../../protocol/agent_protocol.h"
#include "../../driver.h"

extern const struct scry_driver scry_driver_qemu;

/* One vCPU as this client sees it. */
struct qemu_vcpu {
	pthread_mutex_t lock;		/* its slot: one command at a time */
	_Atomic uint64_t pending;	/* sequence of the event not yet answered, or 0 */
	_Atomic bool held;		/* asked to STOP */
	uint64_t seen;			/* sequence of the last event taken */
	uint64_t replied;		/* ... and of the last whose reply was not waited for */
};

struct qemu_vm {
	struct scry_vm *vm;
	int socket;
	int bell;		/* the agent sends to it */
	_Atomic int epoll;		/* for scry_event_fd(), or -1 */
	pthread_mutex_t socket_lock;	/* one request at a time; also `epoll` */
	_Atomic int ended;		/* SCRY_E_* that ended the connection, or 0 */
	bool can_peek;			/* process_vm_readv() on QEMU is permitted */
	uint32_t sleep;			/* shared->sleep; the event thread's */
	unsigned first;			/* vCPU whose event is looked for first */
	struct scry_agent_shared *shared;
	size_t shared_size;
	struct scry_files *files;	/* of guest RAM, mapped */
	unsigned char *rings;		/* of Intel PT packets, or NULL */
	size_t ring_bytes;		/* that each takes */
	struct qemu_vcpu vcpu[SCRY_MAX_VCPUS];
};

static inline struct qemu_vm *qemu_of(struct scry_vm *vm)
{
	return vm->driver_data;
}

static inline struct scry_agent_slot *qemu_slot(const struct qemu_vm *q, unsigned vcpu)
{
	return (struct scry_agent_slot *)((char *)q->shared + SCRY_AGENT_SHARED_HEAD +
					  (size_t)vcpu * SCRY_AGENT_SLOT_SIZE);
}

/* qemu.c */
/*
 * End the connection because of a failure, for good: nothing answers any
 * longer, the inline functions fail, and the agent lets the VM go on.
 */
void qemu_end(struct qemu_vm *q, int why);
int qemu_ended(struct qemu_vm *q);	/* SCRY_E_GONE or _TIMEOUT, with the reason noted */
bool qemu_hung_up(struct qemu_vm *q);

/* map.c */
int qemu_map(struct scry_vm *vm);
/* Map a file of the agent's, called so, that has this size and keeps it. */
int qemu_map_sealed(int fd, uint64_t size, const char *what, void **p);

/* memory.c */
void qemu_choose_access(struct scry_vm *vm);
int qemu_read(struct scry_vm *vm, const struct scry_map *map, const struct scry_piece *piece,
	      size_t count);
int qemu_write(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len);

/* slot.c */
int qemu_vcpu_stop(struct scry_vm *vm, unsigned vcpu);
int qemu_vcpu_go(struct scry_vm *vm, unsigned vcpu);
bool qemu_vcpu_waits(struct scry_vm *vm, unsigned vcpu);
/* Take a stopped vCPU's slot to fill in a command; NULL with SCRY_E_STATE or other in *err. */
struct scry_agent_slot *qemu_slot_take(struct scry_vm *vm, unsigned vcpu, int *err);
void qemu_slot_post(struct scry_agent_slot *slot, enum scry_agent_op op);
int qemu_slot_await(struct scry_vm *vm, unsigned vcpu);	/* the command's status */
void qemu_slot_give(struct scry_vm *vm, unsigned vcpu);

/* regs.c */
int qemu_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs);
int qemu_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection);
int qemu_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask);
int qemu_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value);
int qemu_msr_set(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value);
int qemu_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size);
int qemu_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size);

/* events.c */
int qemu_subscribe(struct scry_vm *vm, const struct scry_subscription *sub);
int qemu_unsubscribe(struct scry_vm *vm, int subscription);
int qemu_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms);
void qemu_event_times(struct scry_vm *vm, bool on);
int qemu_event_fd(struct scry_vm *vm);
int qemu_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply);

/* views.c */
int qemu_view_create(struct scry_vm *vm, unsigned like);
int qemu_view_destroy(struct scry_vm *vm, unsigned view);
int qemu_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		      uint32_t access);
int qemu_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target);
int qemu_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view);
int qemu_frame_create(struct scry_vm *vm, uint64_t *gfn);
int qemu_frame_destroy(struct scry_vm *vm, uint64_t gfn);

/* pt.c */
int qemu_pt_start(struct scry_vm *vm, const struct scry_pt_opts *opts);
int64_t qemu_pt_read(struct scry_vm *vm, unsigned vcpu, void *buf, size_t len);
int qemu_pt_stop(struct scry_vm *vm);
void qemu_pt_drop(struct qemu_vm *q);

/* breakpoints.c */
int qemu_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint);
int qemu_breakpoint_remove(struct scry_vm *vm, int number);
int qemu_watchpoint_add(struct scry_vm *vm, const struct scry_watchpoint *watchpoint);
int qemu_watchpoint_remove(struct scry_vm *vm, int number);

/* list.c */
int qemu_list(scry_list_fn fn, void *opaque);

#endif
