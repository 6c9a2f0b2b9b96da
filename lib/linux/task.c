/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Processes and threads. */
#include <string.h>

#include "os.h"

#define PAGE        UINT64_C(4096)
#define PF_KTHREAD  0x00200000u		/* include/linux/sched.h */
#define TASK_IDLE   0x402u		/* uninterruptible, and no load */
#define TASK_REPORT 0x7fu
#define CPUS_MOST   1024u
#define TASK_RTLOCK 0x1000u
#define TASK_FROZEN 0x8000u

#define MSR_KERNEL_GS_BASE 0xc0000102

/* As task_state_index() of the kernel. */
static char state_letter(uint32_t state, uint32_t exit_state)
{
	static const char letters[] = "RSDTtXZPI";
	uint32_t report = (state | exit_state) & TASK_REPORT;

	if ((state & TASK_IDLE) == TASK_IDLE)
		return 'I';
	if (state & (TASK_RTLOCK | TASK_FROZEN))
		report = 2;
	return letters[report ? 32 - __builtin_clz(report) : 0];
}

/* A member, 0 where it is not there. */
static uint64_t value_of(struct scry_linux *os, uint64_t base, enum os_member_id id)
{
	uint64_t value;

	return os_get(os, base, id, &value) < 0 ? 0 : value;
}

static int take_state(struct scry_linux *os, struct scry_linux_task *task)
{
	uint64_t state, exit_state, flags;
	int ret = os_get(os, task->address, OS_TASK_STATE, &state);

	if (!ret)
		ret = os_get(os, task->address, OS_TASK_EXIT_STATE, &exit_state);
	if (!ret)
		ret = os_get(os, task->address, OS_TASK_FLAGS, &flags);
	if (ret < 0)
		return ret;
	task->state = state_letter((uint32_t)state, (uint32_t)exit_state);
	task->kernel = !!(flags & PF_KTHREAD);
	return 0;
}

static int take_family(struct scry_linux *os, struct scry_linux_task *task)
{
	uint64_t parent, cred, signal;
	int ret = os_get(os, task->address, OS_TASK_PARENT, &parent);

	if (!ret)
		ret = os_get(os, task->address, OS_TASK_CRED, &cred);
	if (!ret)
		ret = os_get(os, task->address, OS_TASK_SIGNAL, &signal);
	if (!ret)
		ret = os_get(os, task->address, OS_TASK_START, &task->start_ns);
	if (ret < 0)
		return ret;
	task->ppid = (int32_t)value_of(os, parent, OS_TASK_TGID);
	task->uid = (uint32_t)value_of(os, cred, OS_CRED_UID);
	task->gid = (uint32_t)value_of(os, cred, OS_CRED_GID);
	task->threads = signal ? (uint32_t)value_of(os, signal, OS_SIGNAL_COUNT) : 0;
	return 0;
}

/* What the processors have counted and not yet added to the counter. */
static int64_t counted_apart(struct scry_linux *os, uint64_t counter)
{
	uint64_t parts = value_of(os, counter, OS_COUNTER_PARTS), offsets, number, offset;
	uint32_t count, value;
	int64_t sum = 0;

	if (!parts || !os_kallsyms_find(&os->symbols, "__per_cpu_offset", &offsets) ||
	    !os_kallsyms_find(&os->symbols, "nr_cpu_ids", &number) || os_u32(os, number, &count) < 0)
		return 0;
	for (uint64_t i = 0; i < count && i < CPUS_MOST; i++)
		if (os_u64(os, offsets + 8 * i, &offset) >= 0 && os_u32(os, parts + offset, &value) >= 0)
			sum += (int32_t)value;
	return sum;
}

/* Counters of file, anonymous, (swapped,) and shared pages. */
static uint64_t resident(struct scry_linux *os, uint64_t mm)
{
	const struct os_member *rss = &os->member[OS_MM_RSS], *count = &os->member[OS_COUNTER_COUNT];
	bool per_cpu = count->type_size && rss->size >= 4 * count->type_size;	/* from 6.2 */
	uint64_t step = per_cpu ? count->type_size : 8, sum = 0;

	for (uint64_t i = 0; rss->size && i < 4; i++) {
		uint64_t counter = os_at(os, mm, OS_MM_RSS) + i * step, value;

		if (i == 2 || os_u64(os, counter + (per_cpu ? count->offset : 0), &value) < 0)
			continue;
		if (per_cpu)
			value += (uint64_t)counted_apart(os, counter);
		if ((int64_t)value > 0)
			sum += value;
	}
	return sum * PAGE;
}

static void take_memory(struct scry_linux *os, struct scry_linux_task *task)
{
	uint64_t pgd;

	if (!task->mm)
		return;
	if (os_get(os, task->mm, OS_MM_PGD, &pgd) >= 0 &&
	    scry_translate(os->as, pgd, &task->cr3) < 0)
		task->cr3 = 0;
	task->vsize = value_of(os, task->mm, OS_MM_TOTAL) * PAGE;
	task->rss = resident(os, task->mm);
}

/* What tells which it is. */
static int take_name(struct scry_linux *os, struct scry_linux_task *task)
{
	uint64_t pid, tgid;
	int ret = os_get(os, task->address, OS_TASK_PID, &pid);

	if (!ret)
		ret = os_get(os, task->address, OS_TASK_TGID, &tgid);
	if (!ret)
		ret = os_get(os, task->address, OS_TASK_MM, &task->mm);
	if (!ret)
		ret = os_need(os, OS_TASK_COMM);
	if (!ret)
		ret = os_read(os, os_at(os, task->address, OS_TASK_COMM), task->comm,
			      sizeof(task->comm));
	if (ret < 0)
		return ret;
	task->comm[sizeof(task->comm) - 1] = 0;
	task->pid = (int32_t)pid;
	task->tgid = (int32_t)tgid;
	return 0;
}

int os_task(struct scry_linux *os, uint64_t gva, struct scry_linux_task *task)
{
	int ret;

	*task = (struct scry_linux_task){ .address = gva };
	ret = take_name(os, task);
	if (!ret)
		ret = take_state(os, task);
	if (!ret)
		ret = take_family(os, task);
	if (!ret)
		take_memory(os, task);
	return ret;
}

struct visit {
	scry_linux_task_fn fn;
	void *opaque;
	uint32_t flags;
	uint32_t left;		/* threads that may still come: there cannot be more */
};

static int visit_task(struct scry_linux *os, struct visit *v, uint64_t gva)
{
	struct scry_linux_task task;
	int ret = os_task(os, gva, &task);

	if (ret < 0)
		return ret;
	if (!v->left--)
		return os_damaged("the list of threads", gva);
	return v->fn(&task, v->opaque);
}

static int on_thread(struct scry_linux *os, uint64_t node, void *opaque)
{
	return visit_task(os, opaque, node - os->member[OS_TASK_THREAD_NODE].offset);
}

static int on_process(struct scry_linux *os, uint64_t node, void *opaque)
{
	uint64_t gva = node - os->member[OS_TASK_TASKS].offset, signal;
	struct visit *v = opaque;
	int ret;

	if (!(v->flags & SCRY_LINUX_THREADS))
		return visit_task(os, v, gva);
	ret = os_get(os, gva, OS_TASK_SIGNAL, &signal);
	if (ret < 0)
		return ret;
	return os_list(os, os_at(os, signal, OS_SIGNAL_THREADS), on_thread, v);
}

int scry_linux_tasks(struct scry_linux *os, uint32_t flags, scry_linux_task_fn fn, void *opaque)
{
	struct visit v = { fn, opaque, flags, OS_LIST_MOST };
	int ret = os_need(os, OS_TASK_TASKS);
	uint64_t init;

	if (!ret && flags & SCRY_LINUX_THREADS)
		ret = os_need(os, OS_TASK_THREAD_NODE);
	if (!ret && flags & SCRY_LINUX_THREADS)
		ret = os_need(os, OS_SIGNAL_THREADS);
	if (!ret)
		ret = os_symbol(os, "init_task", &init);
	return ret < 0 ? ret : os_list(os, os_at(os, init, OS_TASK_TASKS), on_process, &v);
}

struct search {
	int32_t pid;
	struct scry_linux_task *task;
};

static int on_candidate(const struct scry_linux_task *task, void *opaque)
{
	const struct search *search = opaque;

	if (task->pid != search->pid)
		return 0;
	*search->task = *task;
	return 1;
}

int scry_linux_task(struct scry_linux *os, int32_t pid, struct scry_linux_task *task)
{
	struct search search = { pid, task };
	/* Most often it is a process. */
	int ret = scry_linux_tasks(os, 0, on_candidate, &search);

	if (!ret)
		ret = scry_linux_tasks(os, SCRY_LINUX_THREADS, on_candidate, &search);
	if (ret < 0)
		return ret;
	return ret ? 0 : scry_fail(SCRY_E_NOTFOUND, "the guest has no process or thread %d", pid);
}

int scry_linux_task_as(struct scry_linux *os, const struct scry_linux_task *task,
		       struct scry_as **as)
{
	struct scry_as_opts opts = { .sz = sizeof(opts), .nxe = 1, .mode = scry_as_mode(os->as) };

	*as = NULL;
	if (task->mm && !task->cr3)
		return scry_fail(SCRY_E_STATE, "the page tables of process %d are not to be found: it "
				 "ends, or its memory is damaged", task->tgid);
	return scry_as_open(os->vm, task->mm ? task->cr3 : scry_as_root(os->as), &opts, as);
}

/* Where the kernel of vCPU n has its per-CPU data: base is one of __per_cpu_offset[]. */
static bool is_per_cpu(struct scry_linux *os, uint64_t base)
{
	uint64_t table, value;

	if (!base || os_symbol(os, "__per_cpu_offset", &table) < 0)
		return false;
	for (uint64_t i = 0; i < SCRY_MAX_VCPUS; i++)
		if (os_u64(os, table + 8 * i, &value) >= 0 && value == base)
			return true;
	return false;
}

/* GS, or in user mode what SWAPGS will bring. */
static int find_per_cpu(struct scry_linux *os, unsigned vcpu)
{
	struct scry_regs regs;
	uint64_t other;
	int ret = scry_regs_get(os->vm, vcpu, &regs);

	if (ret < 0)
		return ret;
	other = regs.seg[SCRY_REG_GS - SCRY_REG_ES].base;
	if (is_per_cpu(os, other)) {
		os->per_cpu[vcpu] = other;
		return 0;
	}
	ret = scry_msr_get(os->vm, vcpu, MSR_KERNEL_GS_BASE, &other);
	if (ret < 0)
		return ret;
	if (!is_per_cpu(os, other))
		return scry_fail(SCRY_E_STATE, "vCPU %u has no per-CPU data of the kernel yet", vcpu);
	os->per_cpu[vcpu] = other;
	return 0;
}

int scry_linux_current(struct scry_linux *os, unsigned vcpu, struct scry_linux_task *task)
{
	uint64_t at, offset = os->member[OS_PCPU_HOT_TASK].offset;
	int ret = scry_check_vcpu(os->vm, vcpu);

	if (!ret && !os->per_cpu[vcpu])
		ret = find_per_cpu(os, vcpu);
	if (!ret && os_has(os, OS_PCPU_HOT_TASK))	/* 6.2 to 6.14 */
		ret = os_symbol(os, "pcpu_hot", &at);
	else if (!ret)
		ret = os_symbol(os, "current_task", &at);
	if (ret < 0)
		return ret;
	*task = (struct scry_linux_task){ 0 };
	ret = os_u64(os, os->per_cpu[vcpu] + at + offset, &task->address);
	return ret < 0 ? ret : take_name(os, task);
}
