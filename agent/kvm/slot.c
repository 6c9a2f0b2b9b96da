/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <stdlib.h>

#include "agent/memory/frame.h"
#include "alias.h"
#include "slot.h"

static struct kvm_slot {
	struct kvm_userspace_memory_region told;	/* size 0: free */
	uint64_t place;					/* in force */
} *slots;
static unsigned slot_count;
/* Over these and, for slot_read(), over the memory that they show. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct kvm_slot *known(uint32_t id)
{
	for (unsigned i = 0; i < slot_count; i++)
		if (slots[i].told.memory_size && slots[i].told.slot == id)
			return &slots[i];
	return NULL;
}

static struct kvm_slot *new_slot(void)
{
	struct kvm_slot *more;

	for (unsigned i = 0; i < slot_count; i++)
		if (!slots[i].told.memory_size)
			return &slots[i];
	more = realloc(slots, (slot_count + 1) * sizeof(*slots));
	if (!more)
		return NULL;
	slots = more;
	return &slots[slot_count++];
}

static struct kvm_slot *note(const struct kvm_userspace_memory_region *told)
{
	struct kvm_slot *s;

	pthread_mutex_lock(&lock);
	s = known(told->slot);
	if (!s && told->memory_size)
		s = new_slot();
	if (s)
		s->told = *told;
	pthread_mutex_unlock(&lock);
	return s;
}

/* What cannot be noted stays where QEMU has it. */
bool slot_told(struct kvm_userspace_memory_region *told)
{
	struct kvm_slot *s;

	if (told->guest_phys_addr >= FRAMES_BASE)
		return false;
	s = note(told);
	if (!s)
		return true;
	if (told->memory_size)
		told->userspace_addr = alias_place(told->userspace_addr, told->memory_size);
	s->place = told->userspace_addr;
	return true;
}

void slots_forget(void)
{
	pthread_mutex_lock(&lock);
	slot_count = 0;
	pthread_mutex_unlock(&lock);
}

static bool shows(const struct kvm_userspace_memory_region *slot, uint64_t gpa)
{
	return !(slot->slot & SLOT_SPACE) && gpa - slot->guest_phys_addr < slot->memory_size;
}

static char *find(uint64_t gpa, uint32_t not_flags)
{
	for (unsigned i = 0; i < slot_count; i++) {
		const struct kvm_userspace_memory_region *slot = &slots[i].told;

		if (!shows(slot, gpa))
			continue;
		return slot->flags & not_flags ? NULL :
		       (char *)slot->userspace_addr + (gpa - slot->guest_phys_addr);
	}
	return NULL;
}

bool slot_read(uint64_t gpa, void *data, unsigned len)
{
	const char *from;

	pthread_mutex_lock(&lock);
	from = find(gpa, 0);
	if (from)
		memcpy(data, from, len);
	pthread_mutex_unlock(&lock);
	return from;
}

void *slot_begin(uint64_t gpa, bool write)
{
	void *at;

	pthread_mutex_lock(&lock);
	at = find(gpa, write ? KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES : 0);
	if (!at)
		pthread_mutex_unlock(&lock);
	return at;
}

void slot_end(void)
{
	pthread_mutex_unlock(&lock);
}

static bool set(const struct kvm_slot *s, uint64_t place, bool there)
{
	struct kvm_userspace_memory_region region = s->told;

	region.userspace_addr = place;
	if (!there)
		region.memory_size = 0;
	return kvm_ioctl(kvm.fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

/* A slot's place can be changed only by making it anew. */
static bool move(struct kvm_slot *s, uint64_t place)
{
	if (!set(s, s->place, false))
		return false;
	if (set(s, place, true)) {
		s->place = place;
		return true;
	}
	set(s, s->place, true);
	return false;
}

static uint64_t wanted(const struct kvm_slot *s)
{
	return alias_place(s->told.userspace_addr, s->told.memory_size);
}

/* To be moved, while QEMU has KVM note its pages that are written: a move would lose that. */
static bool logged(const struct kvm_slot *s)
{
	return s->told.memory_size && s->told.flags & KVM_MEM_LOG_DIRTY_PAGES && wanted(s) != s->place;
}

const char *slots_move(void)
{
	bool moved = true;

	for (unsigned i = 0; i < slot_count; i++)
		if (logged(&slots[i]))
			return STAYS;
	for (unsigned i = 0; i < slot_count; i++)
		if (slots[i].told.memory_size && wanted(&slots[i]) != slots[i].place)
			moved &= move(&slots[i], wanted(&slots[i]));
	return moved ? NULL : "KVM does not take a second mapping of the guest's RAM";
}
