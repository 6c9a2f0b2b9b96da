/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

/* Print one line on the console, "guest: " before it, in one piece. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The value of NAME=VALUE on the kernel's command line; "" if it is not there. */
void boot_option(const char *name, char *value, size_t size);

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};
struct cpuid cpuid(uint32_t leaf, uint32_t subleaf);

/* Of vCPU 0, through /dev/cpu/0/msr: 0 or -1 with errno. */
int rdmsr(uint32_t index, uint64_t *value);
int wrmsr(uint32_t index, uint64_t value);

/* Guest-physical address behind a virtual one of this process. */
uint64_t physical(const void *p);

double seconds(void);
void pin(int cpu);
void raise_int3(unsigned count);	/* SIGTRAP is ignored by skipping it */
uint64_t work_sum(unsigned rounds);	/* of a fixed computation */
void fork_some(unsigned count);		/* processes that end at once: CR3 writes */
void switch_processes(unsigned count);	/* twice as often, on vCPU 0: CR3 writes */

/* modes.c: what the guest does by itself; true if there is such a mode. */
int mode_run(const char *mode);

/* people.c: processes of all kinds, to be looked at; and what one of them does. */
void make_people(void);
int sleep_with_open_files(void);

/* proc.c: tell what /proc says. */
void proc_cat(const char *line, const char *arg);
void proc_links(const char *line, const char *arg);
void proc_link(const char *line, const char *arg);
void proc_tasks(const char *line, const char *arg);
void proc_symbols(const char *line, const char *arg);
void proc_log(const char *line, const char *arg);

/* commands.c: carry out one line typed on the console. */
void command_run(char *line);

#endif
