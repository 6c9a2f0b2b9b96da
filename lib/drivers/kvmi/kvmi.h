/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DRIVER_KVMI_H
#define SCRY_DRIVER_KVMI_H

/*
 * Driver `kvmi`: the tool's end of KVMI (protocol/kvmi.h).
 *
 * Whichever thread waits for something reads the socket for all (connection.c);
 * where none does, though the kernel is owed a reply that is not the caller's to
 * give, the keeper does (keeper.c).
 */
#include <sys/types.h>
#include <sys/un.h>

#include "../../../protocol/futex.h"
#include "../../driver.h"
#include "wire.h"

extern const struct scry_driver scry_driver_kvmi;

/* Commands at a time that have no reply yet; a power of two. */
#define KVMI_OUTSTANDING 256u

/* A command that has no reply yet. */
struct kvmi_slot {
	bool used, must_succeed;
	uint16_t id;
	uint32_t seq;
	int vcpu;		/* of a PAUSE that nobody waits for, or -1 */
	struct kvmi_call *call;	/* NULL: nobody waits for it (any longer) */
	size_t *left;		/* calls of its batch that have no reply yet */
};

/* MSRs that events can be asked for: both ranges, a bit each. */
#define KVMI_MSR_WORDS (2 * KVMI_MSR_RANGE / 64)

/* What is switched on in a vCPU. */
struct kvmi_armed {
	uint32_t events;		/* bits by enum kvmi_event */
	uint32_t crs;			/* bit n = CRn */
	bool step;
	uint64_t msrs[KVMI_MSR_WORDS];
};

/* A step over a breakpoint that is still to be taken, or goes on later. */
struct kvmi_over {
	bool due;			/* as soon as no other vCPU steps */
	bool broken_off;		/* by an event that is the caller's */
	enum kvmi_action action;	/* that its event is answered with then */
	uint64_t value;
	uint64_t gfn[2], rip;		/* the frames that the instruction is fetched from */
	unsigned frames;
};

struct kvmi_vcpu_state {
	bool waits;			/* in an event, `at`, for the reply */
	bool queued;			/* which the caller has not taken yet */
	bool told;			/* which the caller has taken, and is to answer */
	bool fetch_told;		/* of a fetch that was told, and hits a breakpoint too */
	struct kvmi_occurrence at;
	struct scry_event event;	/* `at` in the caller's terms, if queued or told */
	uint64_t sequence;		/* of the caller's last event */
	uint64_t since_ns;		/* when it was queued */

	unsigned holds;			/* reasons for which it is not to run */
	bool unheld;			/* not started yet when it was to be held */
	unsigned pauses_due;		/* PAUSE events still to come */
	unsigned traps_due;		/* TRAP events still to come */
	bool regs_set;			/* gprs are to be those once the event is answered */
	struct kvmi_gprs gprs;
	struct kvmi_armed armed;
	struct kvmi_armed doubt;	/* what of it the kernel may have otherwise */
	bool unarmed;			/* not started yet when it was to be armed */
	uint64_t steps;			/* counted for subscriptions of every n-th */
	unsigned view;			/* that we put it into */
	struct kvmi_over over;
	bool back;			/* steps in other_view, not in back_view, its own */
	unsigned back_view, other_view;
	uint64_t back_rip;		/* of the instruction that it steps */
};

#define KVMI_SUBS 64

struct kvmi_sub {
	int number;			/* 0 = free */
	struct scry_subscription sub;
};

struct kvmi_remap {
	uint64_t gfn, target;
};

/* How this kernel takes them (remap.c). */
enum kvmi_remaps { KVMI_REMAPS_UNKNOWN, KVMI_REMAPS_FIRST, KVMI_REMAPS_LATER };

struct kvmi_view {
	bool exists;
	uint8_t *trap;			/* of each frame what is trapped: SCRY_READ, ...; or NULL */
	struct kvmi_remap *remap;
	size_t remap_count, remap_room;
};

struct kvmi_break {
	int number;			/* 0 = free */
	struct scry_breakpoint breakpoint;
	uint64_t gfn;
};

/* A socket's file, whoever may have made another of its name since. */
struct kvmi_place {
	dev_t device;
	ino_t inode;
};

struct kvmi_vm {
	struct scry_vm *vm;
	enum kvmi_generation generation;
	int socket;
	int listener;			/* kept, for others to see that the place is taken */
	struct sockaddr_un address;
	struct kvmi_place place;	/* of the listener */
	int wake;			/* eventfd: readable when an event is queued */
	int epoll;			/* for scry_event_fd(), or -1 */
	struct kvmi_handshake handshake;
	bool eptp, has_step;		/* what the kernel said of its processor */
	bool command[KVMI_COMMAND_COUNT], event[KVMI_EVENT_COUNT];	/* allowed */

	pthread_mutex_t lock;		/* all below */
	pthread_cond_t turn;		/* something was read, or nobody reads any longer */
	pthread_cond_t keep;		/* something for the keeper */
	bool reading;
	bool times;
	_Atomic int ended;		/* SCRY_E_* that ended the connection, or 0 */
	char why[160];			/* ... and a sentence */
	uint32_t seq;
	struct kvmi_slot slot[KVMI_OUTSTANDING];
	unsigned outstanding;
	uint64_t open_end;		/* when opening has to be done; 0 = it is */
	unsigned first;			/* vCPU whose event is given out first */
	bool arming;			/* a thread switches events on or off */
	int next_number, next_break;	/* the last of subscriptions, of breakpoints */
	struct kvmi_sub subs[KVMI_SUBS];
	uint64_t frames;		/* that there may be */
	struct kvmi_view view[KVMI_V7_VIEWS];
	enum kvmi_remaps remaps;
	struct kvmi_break *breaks;
	size_t break_count;
	int stepping;			/* vCPU that steps over a trapped instruction, or -1 */
	uint64_t step_gfn[2], step_rip;	/* the frames that it is fetched from, open */
	unsigned step_frames, step_view;
	uint64_t step_cr3, step_cs;	/* where that is so */
	unsigned step_count;		/* instructions since the frame is open */
	struct kvmi_vcpu_state *vcpu;	/* SCRY_MAX_VCPUS of them */
	pthread_t keeper;
	bool has_keeper, stop_keeper;
	uint64_t reads;			/* steps with each message */

	struct scry_habit habit;	/* of whoever reads, and waits for an event */
	unsigned char *rx;		/* ... its own, too */
	size_t rx_start, rx_end;

	_Atomic uint64_t life;		/* of struct scry_ram: SCRY_GUARD_ALIVE, or it has ended */
	bool can_peek;			/* process_vm_readv() on QEMU finds RAM */
	struct scry_files *files;	/* of guest RAM, mapped */
	struct scry_as *as;		/* whoever waits for events decodes instructions by it */
};

static inline struct kvmi_vm *kvmi_of(struct scry_vm *vm)
{
	return vm->driver_data;
}

/* socket.c: a connection from QEMU, with the handshake behind it. */
int kvmi_listen(struct kvmi_vm *k, const char *address);
/* The place is free for the next tool. */
void kvmi_unlisten(struct kvmi_vm *k);

/* connection.c; those called _locked want k->lock held. */
int kvmi_end(struct kvmi_vm *k, int why, const char *sentence);	/* for good; `why` */
#define KVMI_OPEN_TIMES 6	/* opening may take so often the time that one answer may */
int kvmi_ended(struct kvmi_vm *k);	/* the same, noted for this thread */
/* The failure that is noted, while another may be: the first one's sentence counts. */
#define KVMI_WHY 256
void kvmi_keep_why(char why[KVMI_WHY]);
/*
 * Make calls, several under way at a time.  0 when each has its reply, whatever the
 * kernel said in it (call->err); else a failure noted.  A call that is not answered in
 * time is SCRY_E_TIMEOUT: it may still be carried out later.
 */
int kvmi_calls(struct kvmi_vm *k, struct kvmi_call *call, size_t count);
int kvmi_calls_locked(struct kvmi_vm *k, struct kvmi_call *call, size_t count);
/* One; where the kernel refuses it that is a failure. */
int kvmi_call(struct kvmi_vm *k, struct kvmi_call *call);
int kvmi_call_locked(struct kvmi_vm *k, struct kvmi_call *call);
/* Note what the kernel answered: SCRY_E_*. */
int kvmi_refused(struct kvmi_vm *k, const struct kvmi_call *call);
/* Send one whose reply nobody waits for; that it fails ends the connection. */
void kvmi_post_locked(struct kvmi_vm *k, const struct kvmi_call *call, int vcpu);
/* Answer the event that the vCPU waits in. */
void kvmi_answer_locked(struct kvmi_vm *k, unsigned vcpu, enum kvmi_action action, uint64_t value);
/* Read what comes, or let another thread, until `end`: 0, 1 = the time is over. */
int kvmi_read_locked(struct kvmi_vm *k, uint64_t end_ns);

/* events.c: an event has come; false if it cannot have. */
bool kvmi_event_locked(struct kvmi_vm *k, const struct kvmi_occurrence *o);
/* The event that the vCPU waits in is the caller's, a breakpoint's, or nobody's. */
void kvmi_tell_locked(struct kvmi_vm *k, unsigned vcpu, bool fetch_told);
void kvmi_queue_locked(struct kvmi_vm *k, unsigned vcpu, const struct scry_event *event);
/* Let it go on as if nobody had looked. */
void kvmi_pass_locked(struct kvmi_vm *k, unsigned vcpu);
int kvmi_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms);
void kvmi_event_times(struct scry_vm *vm, bool on);
int kvmi_event_fd(struct scry_vm *vm);

/* describe.c: *event from what the kernel told; false if it is none of ours to tell. */
bool kvmi_describe(struct kvmi_vm *k, const struct kvmi_occurrence *o, struct scry_event *event);

/*
 * decode.c: fill in what the instruction tells of the event; without the lock.  *as is
 * the calling thread's, to be freed by it; NULL at first.
 */
void kvmi_decode(struct kvmi_vm *k, const struct kvmi_occurrence *o, struct scry_as **as,
		 struct scry_event *event);

/* reply.c */
int kvmi_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply);

/* keeper.c */
int kvmi_keeper_start(struct kvmi_vm *k);
void kvmi_keeper_stop(struct kvmi_vm *k);

/* caps.c: fill vm->caps, and what is allowed. */
int kvmi_caps(struct kvmi_vm *k);

/* pause.c; holds count. */
int kvmi_vcpu_stop(struct scry_vm *vm, unsigned vcpu);
int kvmi_vcpu_go(struct scry_vm *vm, unsigned vcpu);
bool kvmi_vcpu_waits(struct scry_vm *vm, unsigned vcpu);
void kvmi_paused_locked(struct kvmi_vm *k, unsigned vcpu);	/* its PAUSE event has come */
void kvmi_hold_others_locked(struct kvmi_vm *k, unsigned vcpu);
void kvmi_release_others_locked(struct kvmi_vm *k, unsigned vcpu);
void kvmi_hold_new_locked(struct kvmi_vm *k, unsigned vcpu);	/* as all others are */
/* Those that had not been started when they were to be held: have they been since? */
int kvmi_hold_started_locked(struct kvmi_vm *k);

/* regs.c */
int kvmi_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs);
int kvmi_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask);
/* Of a vCPU that waits in an event: what SET_REGISTERS is to be sent, or a failure. */
int kvmi_set_gprs_locked(struct kvmi_vm *k, unsigned vcpu, const struct scry_regs *regs,
			 uint64_t mask);
/* The same with all of them; what it is to go on with as it is now. */
int kvmi_put_gprs_locked(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_gprs *gprs);
struct kvmi_gprs kvmi_gprs_next(const struct kvmi_vcpu_state *v);
int kvmi_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value);
int kvmi_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size);
int kvmi_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size);

/* inject.c */
int kvmi_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection);
int kvmi_inject_locked(struct kvmi_vm *k, unsigned vcpu, const struct scry_exception *exception);
void kvmi_trapped_locked(struct kvmi_vm *k, unsigned vcpu);	/* its TRAP event has come */

/* subscribe.c */
int kvmi_subscribe(struct scry_vm *vm, const struct scry_subscription *sub);
int kvmi_unsubscribe(struct scry_vm *vm, int subscription);
bool kvmi_wanted_locked(struct kvmi_vm *k, const struct scry_event *event);

/* arm.c */
int kvmi_msr_bit(uint32_t msr);	/* in struct kvmi_armed; -1 = KVMI cannot watch it */
/* Switch on in all vCPUs what subscriptions and breakpoints want, and off what none does. */
int kvmi_arm_locked(struct kvmi_vm *k);
/* The same for those that had not been started then. */
void kvmi_arm_started_locked(struct kvmi_vm *k);
/* Does a subscription want this vCPU's steps, be they on already or not? */
bool kvmi_wants_step_locked(const struct kvmi_vm *k, unsigned vcpu);
/* Switch on in a new vCPU what the subscriptions want, waiting for nothing. */
void kvmi_arm_new_locked(struct kvmi_vm *k, unsigned vcpu);

/* views.c */
int kvmi_view_create(struct scry_vm *vm, unsigned like);
int kvmi_view_destroy(struct scry_vm *vm, unsigned view);
int kvmi_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		      uint32_t access);
int kvmi_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view);
int kvmi_frame_create(struct scry_vm *vm, uint64_t *gfn);
int kvmi_frame_destroy(struct scry_vm *vm, uint64_t gfn);
void kvmi_views_drop(struct kvmi_vm *k);
int kvmi_check_view_locked(struct kvmi_vm *k, unsigned view);	/* is there one of that number? */
/* The view that the vCPU is in now, maybe for an instruction only. */
static inline unsigned kvmi_view_now(const struct kvmi_vcpu_state *v)
{
	return v->back ? v->other_view : v->view;
}
/* What of a frame's accesses the caller has trapped: SCRY_READ, ... */
uint8_t kvmi_traps_locked(struct kvmi_vm *k, unsigned view, uint64_t gfn);
/* What they may do without an event, as the kernel takes it. */
uint8_t kvmi_allowed_locked(struct kvmi_vm *k, unsigned view, uint64_t gfn);
int kvmi_resend_locked(struct kvmi_vm *k, uint64_t gfn);	/* tell the kernel, in all views */

/* remap.c; those called _locked want vCPU 0 stopped, if kvmi_remaps_hold() has done so: 1, or 0. */
int kvmi_remaps_hold(struct scry_vm *vm);
int kvmi_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target);
/* Where the memory is that stands there in the view; without the lock. */
uint64_t kvmi_shown(struct kvmi_vm *k, unsigned view, uint64_t gpa);
int kvmi_remaps_copy_locked(struct kvmi_vm *k, unsigned from, unsigned to);
int kvmi_remaps_undo_locked(struct kvmi_vm *k, unsigned view);

/* breakpoints.c */
int kvmi_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint);
int kvmi_breakpoint_remove(struct scry_vm *vm, int number);
bool kvmi_break_in_locked(struct kvmi_vm *k, uint64_t gfn);	/* is one in this frame? */
/* Is this a frame that a step under way has open? */
bool kvmi_is_open_locked(const struct kvmi_vm *k, unsigned view, uint64_t gfn);
/* Does this fetch belong to the instruction that is being stepped over? */
bool kvmi_is_step_locked(const struct kvmi_vm *k, const struct kvmi_occurrence *o);
/* The breakpoint that this fetch hits: its number, 0 for none; -1 = none, but one in its page. */
int kvmi_break_hit_locked(struct kvmi_vm *k, const struct kvmi_occurrence *o);
/* Have the vCPU, which waits in a fetch's event, execute that one instruction. */
void kvmi_step_over_locked(struct kvmi_vm *k, unsigned vcpu);
void kvmi_stepped_locked(struct kvmi_vm *k, unsigned vcpu);	/* the step's event has come */
/* Its step, if it is in one, waits for the caller, and nobody waits for it. */
void kvmi_break_off_locked(struct kvmi_vm *k, unsigned vcpu);
/* Answer the event that it waits in; a step that was broken off goes on first. */
void kvmi_go_on_locked(struct kvmi_vm *k, unsigned vcpu, enum kvmi_action action, uint64_t value);
void kvmi_next_step_locked(struct kvmi_vm *k);	/* begin one that had to wait */

/* memory.c, map.c */
int kvmi_map(struct scry_vm *vm);
int kvmi_read(struct scry_vm *vm, const struct scry_map *map, const struct scry_piece *piece,
	      size_t count);
int kvmi_write(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len);

#endif
