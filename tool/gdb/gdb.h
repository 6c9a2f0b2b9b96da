/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_GDB_H
#define TOOL_GDB_H

#include <scry/linux.h>
#include <scry/scry.h>

#include "packet.h"

#define GDB_VCPUS  64
#define GDB_POINTS 256
#define GDB_WATCH  65536u	/* bytes of the largest watchpoint */
#define GDB_PARTS  (GDB_WATCH / 4096 + 1)

/* GDB's numbers of signals. */
#define GDB_SIGINT  2
#define GDB_SIGTRAP 5

struct gdb_opts {
	const char *uri, *listen;
	bool once;
	int32_t pid;	/* 0 = none */
};

/* A break- or watchpoint, as GDB's packet Z has them. */
enum point_type { POINT_SOFT, POINT_HARD, POINT_WRITE, POINT_READ, POINT_ACCESS };

struct point {
	bool used, wanted;	/* wanted: GDB has it in place */
	bool armed;		/* and so has the VM */
	enum point_type type;
	uint64_t address, size;
	int number;		/* scry_breakpoint_add()'s, or scry_watchpoint_add()'s; 0 = none */
	/* A watchpoint's bytes, by the pages that they are in. */
	struct {
		uint64_t first, last;
		int subscription;	/* 0 = none */
	} part[GDB_PARTS];
	unsigned parts;
};

/* What a vCPU is to do when GDB has it go on. */
enum go { GO_STAY, GO_ON, GO_STEP };

/* One client's session. */
struct gdb {
	struct scry_vm *vm;
	struct scry_linux *os;		/* once a process is chosen, or a symbol asked for */
	struct scry_linux_task task;
	struct scry_as *task_as;	/* its address space, or NULL */
	int fd;				/* -1: nothing is sent */
	int listener, other;		/* where further clients come; one that did, or -1 */
	char why[512];			/* why gdb_begin() failed */
	bool vm_ended;
	bool stops;			/* the VM can be paused; a dump cannot */
	bool no_ack, swbreak, hwbreak, ends;
	unsigned vcpus;
	unsigned vcpu;			/* that registers and memory are asked of */

	struct scry_as *as;		/* of as_vcpu, while it stands still; or NULL */
	unsigned as_vcpu;

	/* Events that wait for their reply, and of which GDB has not been told. */
	struct scry_event event[GDB_VCPUS];
	bool waits[GDB_VCPUS], untold[GDB_VCPUS];
	const struct point *watched[GDB_VCPUS];	/* hit: GDB is told behind the access */

	int signal;			/* why it stopped */
	unsigned stopped;		/* vCPU */
	const struct point *hit;

	struct point point[GDB_POINTS];
	struct packet_reader in;
	struct packet_out out;
	size_t sent;			/* bytes of out that are the last packet */
};

/* cmd_gdb.c's: serve clients until the end; the exit status. */
int gdb_serve(const struct gdb_opts *opts);

/* session.c */
int gdb_begin(struct gdb *g, const struct gdb_opts *opts);	/* 0, or -1 with g->why */
void gdb_end(struct gdb *g);
/* Until the client goes, or a signal. */
void gdb_session(struct gdb *g);
bool gdb_send(struct gdb *g);		/* what is in g->out */
bool gdb_receive(struct gdb *g);	/* into g->in; false: it has gone */

/* door.c: wait for the client, or for event_fd (-1 = none); meanwhile others are refused. */
bool gdb_wait(struct gdb *g, int event_fd, int ms);	/* true: the client has something */
/* gdb takes an answer only once it has asked something: false as long as it has not. */
bool gdb_refuse(int fd, const char *why);
/* The VM has ended, and so does the session. */
void gdb_vm_ended(struct gdb *g);

/* command.c: carry out a packet; its answer is in g->out, to be sent if true. */
bool gdb_command(struct gdb *g, const char *data, size_t len);
void gdb_fail(struct gdb *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gdb_fail_lib(struct gdb *g);
void gdb_error(struct packet_out *out, const char *text);	/* an error with a sentence */

/* describe.c, regs.c: all in the order of the target description. */
void gdb_describe(struct gdb *g, const char *range);
void gdb_regs_get(struct gdb *g);
void gdb_regs_set(struct gdb *g, const char *hex);
void gdb_reg_get(struct gdb *g, const char *number);
void gdb_reg_set(struct gdb *g, const char *number);

/* monitor.c: a command in hex, packet qRcmd. */
void gdb_monitor(struct gdb *g, const char *hex);

/* memory.c */
struct scry_as *gdb_as(struct gdb *g);	/* NULL with the failure noted */
void gdb_forget_as(struct gdb *g);
void gdb_memory_read(struct gdb *g, const char *range);
void gdb_memory_write(struct gdb *g, const char *range);
void gdb_memory_write_binary(struct gdb *g, const char *range, size_t len);

/* point.c */
void gdb_point(struct gdb *g, const char *what, bool wanted);	/* packets Z and z */
int gdb_points_arm(struct gdb *g);	/* what is wanted, and no other: 0 or a failure */
const struct point *gdb_point_of_break(const struct gdb *g, const struct scry_event *e);
const struct point *gdb_point_of_watch(const struct gdb *g, const struct scry_event *e);
const struct point *gdb_point_of_access(const struct gdb *g, const struct scry_event *e);

/* run.c: have the vCPUs go on until something stops them; false: the client has gone. */
bool gdb_run(struct gdb *g, const enum go *go);

/* stop.c: why it stands still, as the answer to a packet. */
void gdb_tell_stop(struct gdb *g);

#endif
