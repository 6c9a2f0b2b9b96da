/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/mman.h>
#include <unistd.h>

#include "agent/memory/slat.h"
#include "agent/sealed.h"
#include "hold.h"
#include "plant.h"

#define PAGE   4096u
#define COPIES 1024u
#define BYTES  ((COPIES + 1) * PAGE)

/*
 * IN from a port, at CPL 0 never refused: KVM_RUN comes back for any that KVM does not
 * serve itself.  INT3 would do for user space, too, but not every processor that is
 * emulated intercepts it.
 */
#define PORT 0xee
static const uint8_t trap[PLANT_LEN] = { 0xe4, PORT };

static struct {
	int fd;
	uint8_t *memory;	/* NULL: not made yet */
} file = { .fd = -1 };

/* By its number, from 1. */
static struct copy {
	uint64_t gfn;
	uint16_t first;		/* of plants[], or 0: not in use */
	bool spoilt;		/* the guest has changed an instruction that is planted */
} copies[COPIES + 1];

/* By the breakpoint's number. */
static struct plant {
	uint16_t copy, next;
	uint16_t offset;
	uint8_t was[PLANT_LEN];
} plants[SCRY_BREAKPOINTS + 1];

int plant_file(void)
{
	return file.fd;
}

static bool make(void)
{
	void *p = MAP_FAILED;

	if (file.memory)
		return true;
	file.fd = sealed_file("scry-plants", BYTES);
	if (file.fd >= 0)
		p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
	if (p == MAP_FAILED) {
		if (file.fd >= 0)
			close(file.fd);
		file.fd = -1;
		return false;
	}
	file.memory = p;
	return true;
}

void plant_lift(unsigned copy)
{
	qemu.address_space_rw(qemu.address_space_memory, copies[copy].gfn * PAGE, 0,
			      file.memory + copy * PAGE, PAGE, false);
}

void plant_fill(unsigned copy)
{
	uint8_t *page = file.memory + copy * PAGE;

	plant_lift(copy);
	for (unsigned n = copies[copy].first; n; n = plants[n].next)
		if (memcmp(page + plants[n].offset, plants[n].was, PLANT_LEN) != 0)
			copies[copy].spoilt = true;
	for (unsigned n = copies[copy].first; n; n = plants[n].next)
		memcpy(page + plants[n].offset, trap, PLANT_LEN);
}

uint64_t plant_entry(unsigned copy)
{
	return copies[copy].spoilt ? SCRY_EXEC :
	       (COPIES_BASE + copy * PAGE) | SLAT_REMAPPED | SCRY_WRITE;
}

/* One that is not in use; 0 = none. */
static unsigned find_free(void)
{
	for (unsigned i = 1; i <= COPIES; i++)
		if (!copies[i].first)
			return i;
	return 0;
}

/* Would it lie across another? */
static bool overlaps(unsigned copy, unsigned offset)
{
	for (unsigned n = copies[copy].first; n; n = plants[n].next)
		if (offset != plants[n].offset && offset + PLANT_LEN > plants[n].offset &&
		    plants[n].offset + PLANT_LEN > offset)
			return true;
	return false;
}

static void add(int n, unsigned copy, unsigned offset)
{
	struct plant *p = &plants[n];

	*p = (struct plant){ .copy = (uint16_t)copy, .next = copies[copy].first,
			     .offset = (uint16_t)offset };
	copies[copy].first = (uint16_t)n;
	plant_lift(copy);
	memcpy(p->was, file.memory + copy * PAGE + offset, PLANT_LEN);
	plant_fill(copy);
}

bool plant_put(int n, uint64_t gpa)
{
	unsigned offset = gpa % PAGE, copy = hold_copy(gpa / PAGE);
	bool known = copy;

	if (offset + PLANT_LEN > PAGE || !make())
		return false;
	if (!known)
		copy = find_free();
	if (!copy || copies[copy].spoilt || overlaps(copy, offset))
		return false;
	copies[copy].gfn = gpa / PAGE;
	add(n, copy, offset);
	if (known || hold_show(gpa / PAGE, copy))
		return true;
	copies[copy] = (struct copy){ 0 };
	plants[n] = (struct plant){ 0 };
	return false;
}

void plant_drop(int n)
{
	struct copy *c = &copies[plants[n].copy];
	uint16_t *link = &c->first;

	while (*link != n)
		link = &plants[*link].next;
	*link = plants[n].next;
	if (c->first) {
		plant_fill(plants[n].copy);
	} else {
		hold_hide(c->gfn);
		*c = (struct copy){ 0 };
	}
	plants[n] = (struct plant){ 0 };
}

/* Is one at this address, as far as the guest has left it? */
static bool is_at(uint64_t gpa)
{
	unsigned copy = hold_copy(gpa / PAGE);

	for (unsigned n = copy ? copies[copy].first : 0; n; n = plants[n].next)
		if (plants[n].offset == gpa % PAGE)
			return true;
	return false;
}

bool plant_hit(struct kvcpu *k)
{
	const struct kvm_run *run = k->run;
	struct kvm_sregs s;
	struct kvm_regs r;
	uint64_t gpa;

	if (!file.memory || run->exit_reason != KVM_EXIT_IO || run->io.port != PORT ||
	    run->io.size != 1 || run->io.direction != KVM_EXIT_IO_IN)
		return false;
	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	return kvm_physical(k, kvm_code_address(&s, &r), &gpa) && is_at(gpa);
}
