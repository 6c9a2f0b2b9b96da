/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_KVMI_PEER_H
#define SCRY_TEST_KVMI_PEER_H

/*
 * A QEMU and its kernel with KVMI as far as the driver sees them: they connect to a
 * socket and answer.  There is no guest: memory and registers are kept, and events
 * are what the test raises.  For what a real one cannot be made to do.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "lib/drivers/kvmi/wire.h"

#define PEER_VCPUS  2
#define PEER_MEMORY (UINT64_C(4) << 20)
#define PEER_HOLE   UINT64_C(0xa0000)	/* to PEER_BACK there is none */
#define PEER_BACK   UINT64_C(0x100000)

struct peer_vcpu {
	bool waits;			/* for the reply to an event */
	uint32_t seq;			/* of that event */
	enum kvmi_event event;
	unsigned pauses;		/* PAUSE events to be sent */
	bool trap;			/* a TRAP event to be sent */
	uint8_t vector;
	struct kvmi_gprs gprs, next;	/* next: set, in force with the reply */
	bool has_next;
	unsigned replies;		/* that came to events, but for PAUSE and TRAP */
	struct kvmi_event_answer last;	/* the last of them */
	uint32_t events;		/* switched on, by enum kvmi_event */
	uint32_t crs;
	unsigned msrs;
	bool step;
	unsigned unstepped;		/* how often it was switched off while the vCPU ran */
	uint16_t view;
	bool asleep;			/* not started: it can be told nothing */
};

struct peer_remap {
	uint64_t view, gfn, target;
};

#define PEER_OUT 32768u

struct peer {
	enum kvmi_generation generation;
	const char *path;
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	uint8_t *memory;
	uint32_t seq;
	struct peer_vcpu vcpu[PEER_VCPUS];
	uint8_t access[PEER_MEMORY / KVMI_PAGE];	/* allowed */
	bool later;			/* v7: as its later kernels */
	struct peer_remap remap[KVMI_V7_VIEWS];	/* the last in each view */
	unsigned commands;		/* that came */
	atomic_bool mute;		/* vCPUs that do not run: they answer nothing */
	_Atomic uint64_t denied;	/* commands that CHECK_COMMAND denies, a bit each */
	_Atomic uint64_t refused;	/* commands that fail, a bit each */
	unsigned vcpus;			/* at first; 0 = all */
	bool drawls;			/* in a greeting without end */
	unsigned delay_ms;		/* before each answer */
	const char *template;		/* memory is a private mapping of this file ... */
	bool shares;			/* ... or one that is shared ... */
	int template_fd;		/* ... which is open, as QEMU has it */
	_Atomic unsigned denials;	/* CHECK_COMMANDs that are denied, whichever they are */
	bool gathers;			/* answers of commands that came together go together */
	uint8_t *out;			/* PEER_OUT bytes of them */
	size_t out_size;
	uint8_t cookie[20];		/* that the tool answered with */
	/* Changes a message before it goes out; its length may change, too.  Optional. */
	void (*spoil)(struct peer *p, struct kvmi_header *header, uint8_t *payload);
	/* An event had a reply; with the lock held.  Optional. */
	void (*answered)(struct peer *p, unsigned vcpu);
	void *opaque;
};

/* Connect to the socket when it is there, and serve until the tool hangs up. */
void peer_start(struct peer *p, enum kvmi_generation generation, const char *path);
void peer_stop(struct peer *p);		/* hang up, if need be, and clean up */

/* Send an event of a vCPU that does not wait; its own part may be NULL. */
void peer_raise(struct peer *p, unsigned vcpu, enum kvmi_event event, const void *part,
		size_t size);
void peer_raise_locked(struct peer *p, unsigned vcpu, enum kvmi_event event, const void *part,
		       size_t size);
/* Wait until so many events of the vCPU had a reply; false after 20 seconds. */
bool peer_await(struct peer *p, unsigned vcpu, unsigned replies);
/* Does the vCPU come to run within that time? */
bool peer_runs(struct peer *p, unsigned vcpu, unsigned ms);
void peer_hang_up(struct peer *p);
void peer_unhook(struct peer *p);	/* the event UNHOOK */
void peer_send(struct peer *p, uint16_t id, uint32_t seq, const void *payload, size_t size);

#endif
