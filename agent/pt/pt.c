/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <scry/pt.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/client/message.h"
#include "agent/event/arm.h"
#include "agent/event/operand.h"
#include "agent/sealed.h"
#include "agent/vcpu/vcpu.h"
#include "pt.h"
#include "pt_vcpu.h"

#define FLAGS (SCRY_PT_CR3 | SCRY_PT_RANGE | SCRY_PT_KERNEL | SCRY_PT_USER)

#define NO_REGISTERS 0		/* QEMU_PLUGIN_CB_NO_REGS */

/* What a session has: changes only while no vCPU is in a block. */
static struct {
	bool on;
	uint64_t vcpus;			/* bit n = vCPU n */
	struct pt_filter filter;
	int fd;
	uint64_t size;			/* of a ring's data */
	unsigned count;			/* rings */
	struct pt_vcpu vcpu[SCRY_AGENT_VCPUS];
} pt = { .fd = -1 };

bool pt_on(void)
{
	return pt.on;
}

static struct pt_vcpu *traced(const struct vcpu *vcpu)
{
	return pt.on && pt.vcpus >> vcpu->index & 1 ? &pt.vcpu[vcpu->index] : NULL;
}

/* Runs at the beginning of each block. */
static void begins(unsigned index, void *block)
{
	if (index < SCRY_AGENT_VCPUS && pt.vcpus >> index & 1)
		pt_vcpu_begin(&pt.vcpu[index], block);
}

void pt_translated(struct qemu_tb *tb)
{
	struct pt_block *block = pt_block_add(tb);

	if (block)
		qemu.qemu_plugin_register_vcpu_tb_exec_cb(tb, begins, NO_REGISTERS, block);
}

void pt_flushed(void)
{
	for (unsigned i = 0; i < pt.count; i++)
		pt_vcpu_forget(&pt.vcpu[i]);
	pt_block_free_all();
}

void pt_left(struct vcpu *vcpu)
{
	struct pt_vcpu *v = traced(vcpu);

	if (v)
		v->left = v->special = true;
}

void pt_interrupted(struct vcpu *vcpu, bool exception)
{
	struct pt_vcpu *v = traced(vcpu);

	if (v)
		pt_vcpu_interrupt(v, code_address(vcpu->cpu), exception);
}

static uint64_t ring_bytes(void)
{
	return SCRY_AGENT_RING_HEAD + pt.size;
}

static void unmap_ring(void *base)
{
	munmap(base, ring_bytes() + pt.size);
}

/* A ring whose data can be written past its end, where it begins again. */
static void *map_ring(uint64_t offset)
{
	char *base = mmap(NULL, ring_bytes() + pt.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	if (mmap(base, ring_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pt.fd,
		 (off_t)offset) != MAP_FAILED &&
	    mmap(base + ring_bytes(), pt.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pt.fd,
		 (off_t)(offset + SCRY_AGENT_RING_HEAD)) != MAP_FAILED)
		return base;
	unmap_ring(base);
	return NULL;
}

static void drop_rings(void)
{
	for (unsigned i = 0; i < pt.count; i++)
		unmap_ring(pt.vcpu[i].out.ring);
	if (pt.fd >= 0)
		close(pt.fd);
	pt.fd = -1;
	pt.count = 0;
}

static bool make_rings(void)
{
	pt.fd = sealed_file("scry-pt", vcpu_count * ring_bytes());
	if (pt.fd < 0)
		return false;
	for (; pt.count < vcpu_count; pt.count++) {
		struct pt_vcpu *v = &pt.vcpu[pt.count];
		char *ring = map_ring(pt.count * ring_bytes());

		if (!ring)
			return false;
		pt_out_init(&v->out, (struct scry_agent_ring *)ring, ring + SCRY_AGENT_RING_HEAD,
			    pt.size);
		pt_vcpu_init(v, vcpus[pt.count].cpu, &pt.filter);
	}
	return true;
}

/* Runs while no vCPU is in a block. */
static void turn_on(struct qemu_cpu *cpu, void *unused)
{
	(void)unused;
	pt.on = true;
	arm_again(cpu, true);
}

/* The same; a vCPU that waits in an event has stepped out of its block. */
static void turn_off(struct qemu_cpu *cpu, void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < pt.count; i++)
		if (pt.vcpus >> i & 1 && qemu.qemu_get_cpu((int)i) == vcpus[i].cpu)
			pt_vcpu_end(&pt.vcpu[i], code_address(vcpus[i].cpu));
	pt.on = false;
	arm_again(cpu, true);
}

static void end(void)
{
	if (!pt.on)
		return;
	vcpu_run_exclusive(turn_off, NULL);
	drop_rings();
}

static int begin(int fd, const struct scry_pt_opts *opts)
{
	bool both = !(opts->flags & (SCRY_PT_KERNEL | SCRY_PT_USER));
	struct scry_agent_value reply = { .header.type = SCRY_AGENT_PT };

	if (pt.on)
		return message_fail(fd, SCRY_AGENT_PT, SCRY_E_BUSY, "it is being traced already");
	if (opts->sz != sizeof(*opts) || opts->flags & ~FLAGS ||
	    (opts->flags & SCRY_PT_RANGE && opts->first > opts->last))
		return message_fail(fd, SCRY_AGENT_PT, SCRY_E_INVAL, "what to trace is not known to this "
				    "agent");
	if (opts->ring < SCRY_PT_RING_LEAST || opts->ring > SCRY_PT_RING_MOST ||
	    opts->ring & (opts->ring - 1))
		return message_fail(fd, SCRY_AGENT_PT, SCRY_E_INVAL, "a ring's size is a power of two "
				    "from 64 KiB to 1 GiB");
	pt.vcpus = opts->vcpus ? opts->vcpus : UINT64_MAX;
	pt.size = opts->ring;
	pt.filter = (struct pt_filter){
		.use_cr3 = opts->flags & SCRY_PT_CR3, .use_range = opts->flags & SCRY_PT_RANGE,
		.kernel = both || opts->flags & SCRY_PT_KERNEL,
		.user = both || opts->flags & SCRY_PT_USER,
		.cr3 = opts->cr3, .first = opts->first, .last = opts->last,
	};
	if (!make_rings()) {
		drop_rings();
		return message_fail(fd, SCRY_AGENT_PT, SCRY_E_NOMEM,
				    "QEMU has no memory or files left for rings of this size");
	}
	pt.vcpus &= pt.count < 64 ? (UINT64_C(1) << pt.count) - 1 : UINT64_MAX;
	vcpu_run_exclusive(turn_on, NULL);
	reply.value = ring_bytes();
	return message_send(fd, &reply, sizeof(reply), &pt.fd, 1);
}

int pt_request(int fd, const void *message, size_t len)
{
	const struct scry_agent_pt *request = message;
	struct scry_agent_value reply = { .header.type = SCRY_AGENT_PT };

	if (len != sizeof(*request))
		return -1;
	if (request->begin)
		return begin(fd, &request->opts);
	if (!pt.on)
		return message_fail(fd, SCRY_AGENT_PT, SCRY_E_STATE, "nothing is being traced");
	end();
	return message_send(fd, &reply, sizeof(reply), NULL, 0);
}

void pt_reset(void)
{
	end();
}
