/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach.h"
#include "common/message.h"
#include "protocol/futex.h"

#define SECOND     UINT64_C(1000000000)
#define PATIENCE   (30 * SECOND)	/* for QEMU's main thread; what it does here takes moments */
#define TICK_US    1000
#define RED_ZONE   256u
#define OPTIONS    1024u
#define PATH_MOST  4096u
#define XSAVE_MOST 16384u
#define CPUID_OSXSAVE (1u << 27)

/* Results of a system call that a signal has broken off; the kernel's own, never seen otherwise. */
#define RESTART_SYS     (-512L)
#define RESTART_NOINTR  (-513L)
#define RESTART_NOHAND  (-514L)
#define RESTART_BLOCK   (-516L)

/* What the stub finds at its address, on the stack of the thread. */
struct block {
	uint64_t word[STUB_WORDS];
	char path[PATH_MOST], entry[64], options[OPTIONS];
	uint8_t xsave[XSAVE_MOST];
} __attribute__((aligned(64)));

struct tracee {
	const struct process *p;
	uint64_t deadline;
	struct user_regs_struct regs;	/* as they were */
	uint64_t block;
};

enum stop { STOPPED, AT_SYSCALL, ENDED, LATE, HELD };

static long resume(const struct tracee *t, enum __ptrace_request how, int signal)
{
	return ptrace(how, t->p->pid, 0L, (long)signal);
}

/*
 * Wait until it stops, and pass its signals on; `how` it goes on then.  It is never waited
 * for without an end.
 */
static enum stop wait_stop(const struct tracee *t, enum __ptrace_request how)
{
	while (scry_now_ns() < t->deadline) {
		int status, signal;
		pid_t got = waitpid(t->p->pid, &status, __WALL | WNOHANG);

		if (got < 0 || (got > 0 && (WIFEXITED(status) || WIFSIGNALED(status))))
			return ENDED;
		if (got == 0) {
			usleep(TICK_US);
			continue;
		}
		signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80))
			return AT_SYSCALL;
		if (status >> 16 == PTRACE_EVENT_STOP)
			return signal == SIGTRAP ? STOPPED : HELD;
		resume(t, how, status >> 16 ? 0 : signal);
	}
	return LATE;
}

static int say(const struct tracee *t, enum stop why)
{
	if (why == ENDED)
		return fail("process %d has ended", t->p->pid);
	if (why == HELD)
		return fail("process %d is stopped by a signal: let it go on (kill -CONT %d)", t->p->pid,
			    t->p->pid);
	return fail("QEMU's main thread, of process %d, does not come to where it waits for something to "
		    "do: try again", t->p->pid);
}

/* In its main loop, where it waits in the kernel and holds nothing that others wait for. */
static bool is_at_rest(const struct tracee *t)
{
	long call = (long)t->regs.orig_rax;

	return (call == SYS_ppoll || call == SYS_poll) && t->regs.rip >= t->p->libc_begin &&
	       t->regs.rip < t->p->libc_end;
}

static int stop_at_rest(struct tracee *t)
{
	for (;;) {
		enum stop stop;

		if (ptrace(PTRACE_INTERRUPT, t->p->pid, 0L, 0L) < 0)
			return say(t, ENDED);
		stop = wait_stop(t, PTRACE_CONT);
		if (stop != STOPPED)
			return say(t, stop);
		if (ptrace(PTRACE_GETREGS, t->p->pid, 0L, &t->regs) < 0)
			return say(t, ENDED);
		if (is_at_rest(t))
			return 0;
		resume(t, PTRACE_CONT, 0);
		usleep(TICK_US);
	}
}

/* As the kernel does itself with a call that it has broken off. */
static void begin_call_anew(struct user_regs_struct *r)
{
	switch ((long)r->rax) {
	case RESTART_SYS:
	case RESTART_NOINTR:
	case RESTART_NOHAND:
		r->rax = r->orig_rax;
		break;
	case RESTART_BLOCK:
		r->rax = SYS_restart_syscall;
		break;
	default:
		return;
	}
	r->rip -= 2;
}

static void fill_registers(uint64_t *word, const struct user_regs_struct *r)
{
	word[STUB_RIP] = r->rip;
	word[STUB_CS] = r->cs;
	word[STUB_FLAGS] = r->eflags;
	word[STUB_RSP] = r->rsp;
	word[STUB_SS] = r->ss;
	word[STUB_RAX] = r->rax;
	word[STUB_RBX] = r->rbx;
	word[STUB_RCX] = r->rcx;
	word[STUB_RDX] = r->rdx;
	word[STUB_RSI] = r->rsi;
	word[STUB_RDI] = r->rdi;
	word[STUB_RBP] = r->rbp;
	word[STUB_R8] = r->r8;
	word[STUB_R9] = r->r9;
	word[STUB_R10] = r->r10;
	word[STUB_R11] = r->r11;
	word[STUB_R12] = r->r12;
	word[STUB_R13] = r->r13;
	word[STUB_R14] = r->r14;
	word[STUB_R15] = r->r15;
}

static void fill(struct block *b, const struct tracee *t, const char *library, const char *options)
{
	struct user_regs_struct regs = t->regs;

	memset(b, 0, sizeof(*b));
	begin_call_anew(&regs);
	fill_registers(b->word, &regs);
	b->word[STUB_DLOPEN] = t->p->dlopen;
	b->word[STUB_DLSYM] = t->p->dlsym;
	b->word[STUB_DLERROR] = t->p->dlerror;
	b->word[STUB_PATH] = t->block + offsetof(struct block, path);
	b->word[STUB_ENTRY] = t->block + offsetof(struct block, entry);
	b->word[STUB_OPTIONS] = t->block + offsetof(struct block, options);
	b->word[STUB_XSAVE] = t->block + offsetof(struct block, xsave);
	snprintf(b->path, sizeof(b->path), "%s", library);
	snprintf(b->entry, sizeof(b->entry), "%s", SCRY_ATTACH_ENTRY);
	snprintf(b->options, sizeof(b->options), "%s", options);
}

/*
 * Until its registers are set nothing of QEMU's has changed that it uses; from then on it is
 * on its own.
 */
static int begin(struct tracee *t, const char *library, const char *options)
{
	struct user_regs_struct regs = t->regs;
	struct block b;

	t->block = (t->regs.rsp - RED_ZONE - sizeof(b)) & ~UINT64_C(63);
	fill(&b, t, library, options);
	regs.rip = t->p->spare;
	regs.rsp = regs.rbx = t->block;
	regs.eflags = 0x202;
	regs.orig_rax = (unsigned long long)-1;		/* no call to begin anew */
	if (process_write(t->p, t->p->spare, stub_begin, (size_t)(stub_end - stub_begin)) < 0 ||
	    process_write(t->p, t->block, &b, sizeof(b)) < 0 ||
	    ptrace(PTRACE_SETREGS, t->p->pid, 0L, &regs) < 0)
		return fail("the memory of process %d cannot be written: %s", t->p->pid, strerror(errno));
	return 0;
}

/* Let it go on to its next system call, or the end of one. */
static enum stop next_call(const struct tracee *t, struct user_regs_struct *regs)
{
	enum stop stop;

	do {
		resume(t, PTRACE_SYSCALL, 0);
		stop = wait_stop(t, PTRACE_SYSCALL);
	} while (stop == STOPPED);
	if (stop == AT_SYSCALL && ptrace(PTRACE_GETREGS, t->p->pid, 0L, regs) < 0)
		return ENDED;
	return stop;
}

/* Until the stub is done: what it has to say. */
static int await_stub(const struct tracee *t, uint64_t *result, uint64_t *error)
{
	struct user_regs_struct regs;
	uint64_t word[STUB_WORDS];
	enum stop stop;

	do {
		stop = next_call(t, &regs);
		if (stop != AT_SYSCALL)
			return say(t, stop);
	} while (regs.orig_rax != SYS_getpid || regs.rdi != STUB_MAGIC || regs.rsi != t->block);
	if (process_read(t->p, t->block, word, sizeof(word)) < 0)
		return say(t, ENDED);
	*result = word[STUB_RESULT];
	*error = word[STUB_ERROR];
	return 0;
}

/*
 * Then it comes back to the call that it was in, as its stack tells, and the code is put back.
 * A handler of a signal may come between.
 */
static void await_return(const struct tracee *t, const uint8_t *code)
{
	struct user_regs_struct regs;
	size_t len = (size_t)(stub_end - stub_begin);

	while (next_call(t, &regs) == AT_SYSCALL)
		if (regs.rsp > t->block + sizeof(struct block)) {
			process_write(t->p, t->p->spare, code, len);
			return;
		}
}

static int run(struct tracee *t, const char *library, const char *options, uint64_t *result)
{
	uint64_t error = 0;
	uint8_t code[1024];
	size_t len = (size_t)(stub_end - stub_begin);
	char text[400];
	int ret;

	if (len > sizeof(code) || process_spare_code(t->p, code, len) < 0)
		return fail("the code of process %d is not as its file has it", t->p->pid);
	ret = stop_at_rest(t);
	ret = ret ? ret : begin(t, library, options);
	ret = ret ? ret : await_stub(t, result, &error);
	if (ret)
		return ret;
	if (error)
		process_string(t->p, error, text, sizeof(text));
	await_return(t, code);
	return *result ? 0 : fail("process %d cannot load the agent: %s", t->p->pid,
				  error ? text : "no reason is given");
}

/* It goes on by itself: at once if it stands, and else when this program ends. */
static void let_go(struct tracee *t)
{
	if (resume(t, PTRACE_DETACH, 0) == 0)
		return;
	t->deadline = scry_now_ns() + SECOND;
	if (ptrace(PTRACE_INTERRUPT, t->p->pid, 0L, 0L) == 0 && wait_stop(t, PTRACE_CONT) != ENDED)
		resume(t, PTRACE_DETACH, 0);
}

static bool has_xsave(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & CPUID_OSXSAVE &&
	       __get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx) && ebx <= XSAVE_MOST;
}

/* While QEMU's thread waits for this program, which would then wait for its terminal. */
static void hold_terminal_stops(bool hold)
{
	sigset_t stops;

	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	sigaddset(&stops, SIGTTIN);
	sigaddset(&stops, SIGTTOU);
	sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &stops, NULL);
}

int inject(const struct process *p, const char *library, const char *options, uint64_t *result)
{
	struct tracee t = { .p = p, .deadline = scry_now_ns() + PATIENCE };
	int ret;

	if (!has_xsave())
		return fail("this processor has no XSAVE, or has too large a state");
	if (strlen(library) >= PATH_MOST || strlen(options) >= OPTIONS)
		return fail("the agent's path or its options are too long");
	if (ptrace(PTRACE_SEIZE, p->pid, 0L, (long)PTRACE_O_TRACESYSGOOD) < 0)
		return fail("cannot trace process %d: %s", p->pid, errno == EPERM ?
			    "run as root, or end the debugger that traces it" : strerror(errno));
	hold_terminal_stops(true);
	/* Its number may have come to be another's. */
	ret = faccessat(p->dir, "maps", F_OK, 0) < 0 ? say(&t, ENDED) : run(&t, library, options, result);
	let_go(&t);
	hold_terminal_stops(false);
	return ret;
}
