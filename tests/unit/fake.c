/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "lib/driver.h"
#include "unit.h"

struct fake fake;

static const struct scry_region start_map[FAKE_REGIONS] = {
	{ RAM_GPA, RAM_SIZE, SCRY_REGION_MAPPED, 0 },
	{ SECOND_GPA, SECOND_SIZE, SCRY_REGION_MAPPED, 0 },
	{ FAR_GPA, FAR_SIZE, 0, 0 },
	{ ROM_GPA, ROM_SIZE, SCRY_REGION_MAPPED | SCRY_REGION_ROM, 0 },
	{ HIGH_GPA, HIGH_SIZE, SCRY_REGION_MAPPED, 0 },
	{ TOP_GPA, TOP_SIZE, 0, 0 },
};

unsigned char *fake_at(uint64_t gpa)
{
	for (size_t i = 0; i < fake.regions; i++)
		if (gpa - fake.region[i].gpa < fake.region[i].size)
			return fake.bytes[i] + (gpa - fake.region[i].gpa);
	return NULL;
}

uint64_t fake_u64(uint64_t gpa)
{
	uint64_t value;

	memcpy(&value, fake_at(gpa), sizeof(value));
	return value;
}

void fake_set_u64(uint64_t gpa, uint64_t value)
{
	memcpy(fake_at(gpa), &value, sizeof(value));
}

void fake_clear_log(void)
{
	fake.log_len = 0;
	fake.log[0] = 0;
}

static void note(char what, unsigned number)
{
	int room = (int)(sizeof(fake.log) - fake.log_len);
	int n = snprintf(fake.log + fake.log_len, (size_t)room, "%c%u ", what, number);

	if (n < room)
		fake.log_len += (size_t)n;
}

static int fake_open(struct scry_vm *vm, const char *address)
{
	if (!strcmp(address, "locked"))
		return scry_fail(SCRY_E_PERM, "fake:locked may not be opened");
	fake.opens++;
	vm->vcpus = FAKE_VCPUS;
	vm->pid = 4242;
	vm->ram_access = SCRY_RAM_MAPPED;
	snprintf(vm->name, sizeof(vm->name), "%s", address);
	snprintf(vm->hypervisor, sizeof(vm->hypervisor), "Fake 1.0");
	for (int i = 0; i < SCRY_CAP_COUNT; i++)
		scry_cap_set(vm, i, true, "");
	scry_cap_set(vm, SCRY_CAP_RAM_MAP, true, "by a buffer");
	return 0;
}

static void fake_close(struct scry_vm *vm)
{
	(void)vm;
	fake.closes++;
}

static int fake_list(scry_list_fn fn, void *opaque)
{
	for (int i = 0; i < 2; i++) {
		const struct scry_vm_entry entry = { .uri = i ? "fake:b" : "fake:a" };
		int ret = fn(&entry, opaque);

		if (ret)
			return ret;
	}
	return 0;
}

static int fake_map(struct scry_vm *vm)
{
	struct scry_mapped_region regions[FAKE_REGIONS];
	uint64_t life = __atomic_load_n(&fake.life, __ATOMIC_SEQ_CST);

	fake.maps++;
	if (fake.gone)
		return scry_fail(SCRY_E_GONE, "the fake VM has ended");
	if (fake.fail_map)
		return scry_fail(SCRY_E_IO, "the fake map cannot be had");
	for (size_t i = 0; i < fake.regions; i++) {
		bool mapped = fake.region[i].flags & SCRY_REGION_MAPPED;

		regions[i] = (struct scry_mapped_region){
			.region = fake.region[i],
			.host = mapped ? fake.bytes[i] : NULL,
		};
	}
	if (fake.restless && fake.restless--)
		fake.life++;
	return scry_ram_publish(vm, regions, fake.regions, &fake.life, life);
}

static int fake_read(struct scry_vm *vm, const struct scry_map *map,
		     const struct scry_piece *piece, size_t count)
{
	fake.reads++;
	fake.misused += map != scry_current_map(vm) || !count || count > SCRY_PIECES;
	for (size_t i = 0; i < count; i++) {
		const struct scry_region *r = &piece[i].region->region;

		fake.misused += piece[i].gpa - r->gpa + piece[i].len > r->size;
		memcpy(piece[i].buf, fake_at(piece[i].gpa), piece[i].len);
	}
	if (fake.on_read) {
		void (*call)(void) = fake.on_read;

		fake.on_read = NULL;
		call();
	}
	return fake.gone ? scry_fail(SCRY_E_GONE, "the fake VM has ended") : 0;
}

/* Byte by byte: a write may cross from one region into the next. */
static int fake_write(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len)
{
	(void)vm;
	fake.writes++;
	for (size_t i = 0; i < len; i++)
		*fake_at(gpa + i) = ((const unsigned char *)buf)[i];
	return 0;
}

static int fake_stop(struct scry_vm *vm, unsigned vcpu)
{
	(void)vm;
	if (fake.fail_stop_of == (int)vcpu + 1)
		return scry_fail(SCRY_E_TIMEOUT, "fake vCPU %u does not stop", vcpu);
	fake.misused += !fake.running[vcpu];
	fake.running[vcpu] = 0;
	note('s', vcpu);
	return 0;
}

static int fake_go(struct scry_vm *vm, unsigned vcpu)
{
	(void)vm;
	fake.misused += fake.running[vcpu];
	fake.running[vcpu] = 1;
	note('g', vcpu);
	return 0;
}

static int fake_clocks(struct scry_vm *vm, int stopped)
{
	(void)vm;
	if (fake.fail_clocks)
		return scry_fail(SCRY_E_IO, "the fake clocks do not stop");
	fake.misused += fake.clocks_stopped == stopped;
	fake.clocks_stopped = stopped;
	note('c', (unsigned)stopped);
	return 0;
}

static bool fake_waits(struct scry_vm *vm, unsigned vcpu)
{
	(void)vm;
	return fake.waits[vcpu];
}

static void expect_stopped(unsigned vcpu)
{
	fake.misused += fake.running[vcpu] && !fake.waits[vcpu];
}

static int fake_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs)
{
	(void)vm;
	if (fake.waits[vcpu] == 2) {	/* answered behind our back */
		fake.waits[vcpu] = 0;
		return scry_fail(SCRY_E_STATE, "the fake vCPU is running");
	}
	expect_stopped(vcpu);
	*regs = fake.regs[vcpu];
	return 0;
}

static int fake_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs,
			 uint64_t mask)
{
	(void)vm;
	expect_stopped(vcpu);
	for (int i = 0; i < SCRY_REG_COUNT; i++)
		if (mask & SCRY_REG_BIT(i) && scry_reg_ref(&fake.regs[vcpu], i))
			*scry_reg_ref(&fake.regs[vcpu], i) = scry_reg_value(regs, i);
	return 0;
}

static int fake_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value)
{
	(void)vm;
	expect_stopped(vcpu);
	*value = (uint64_t)index << 8 | vcpu;
	return 0;
}

static int fake_msr_set(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value)
{
	(void)vm;
	(void)index;
	expect_stopped(vcpu);
	return value ? scry_fail(SCRY_E_REFUSED, "the fake MSR takes only 0") : 0;
}

static int fake_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size)
{
	(void)vm;
	expect_stopped(vcpu);
	memset(area, 0x5a, size < 576 ? size : 576);
	return 576;
}

static int fake_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size)
{
	(void)vm;
	(void)area;
	expect_stopped(vcpu);
	return size == 576 ? 0 : scry_fail(SCRY_E_INVAL, "the fake area has 576 bytes");
}

static int fake_subscribe(struct scry_vm *vm, const struct scry_subscription *sub)
{
	static int last;

	(void)vm;
	(void)sub;
	if (fake.subscriptions >= fake.room)
		return scry_fail(fake.fail_subscribe, "the fake has room for %d subscriptions",
				 fake.room);
	fake.subscriptions++;
	return ++last;
}

static int fake_unsubscribe(struct scry_vm *vm, int subscription)
{
	(void)vm;
	(void)subscription;
	fake.subscriptions--;
	return 0;
}

/* None ever comes by itself. */
static int fake_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max,
			   int timeout_ms)
{
	(void)vm;
	(void)events;
	(void)max;
	(void)timeout_ms;
	return 0;
}

static int fake_event_fd(struct scry_vm *vm)
{
	(void)vm;
	return fake.event_fd;
}

static int fake_reply(struct scry_vm *vm, const struct scry_event *event,
		      const struct scry_reply *reply)
{
	(void)vm;
	(void)event;
	(void)reply;
	fake.replies++;
	return 0;
}

static int fake_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
			uint32_t access)
{
	(void)vm;
	fake.misused += view || gfn + count > RAM_SIZE >> 12;
	for (uint64_t i = 0; i < count; i++)
		fake.denied[gfn + i] = access;
	return 0;
}

static const struct scry_driver fake_driver = {
	.scheme = "fake",
	.open = fake_open,
	.close = fake_close,
	.list = fake_list,
	.map = fake_map,
	.read = fake_read,
	.write = fake_write,
	.vcpu_stop = fake_stop,
	.vcpu_go = fake_go,
	.clocks = fake_clocks,
	.vcpu_waits = fake_waits,
	.regs_get = fake_regs_get,
	.regs_set = fake_regs_set,
	.msr_get = fake_msr_get,
	.msr_set = fake_msr_set,
	.xsave_get = fake_xsave_get,
	.xsave_set = fake_xsave_set,
	.subscribe = fake_subscribe,
	.unsubscribe = fake_unsubscribe,
	.event_wait = fake_event_wait,
	.event_fd = fake_event_fd,
	.reply = fake_reply,
	.view_protect = fake_protect,
};

static const struct scry_driver other_driver = {
	.scheme = "other",
	.open = fake_open,
	.close = fake_close,
	.map = fake_map,
};

/* Takes the place of lib/drivers.c. */
const struct scry_driver *const scry_drivers[] = { &fake_driver, &other_driver, NULL };

int unit_open(void **state)
{
	uint64_t x = 0x9e3779b97f4a7c15;
	struct scry_vm *vm;

	memset(&fake, 0, sizeof(fake));
	fake.life = 1;
	fake.regions = FAKE_REGIONS;
	for (size_t i = 0; i < FAKE_REGIONS; i++) {
		fake.region[i] = start_map[i];
		fake.bytes[i] = malloc(start_map[i].size);
		if (!fake.bytes[i])
			return -1;
		for (uint64_t n = 0; n < start_map[i].size; n++, x = x * 6364136223846793005 + 1)
			fake.bytes[i][n] = (unsigned char)(x >> 56);
	}
	for (int i = 0; i < FAKE_VCPUS; i++)
		fake.running[i] = 1;
	if (scry_open(&vm, "fake:vm", NULL) < 0)
		return -1;
	*state = vm;
	return 0;
}

int unit_close(void **state)
{
	scry_close(*state);
	for (size_t i = 0; i < FAKE_REGIONS; i++)
		free(fake.bytes[i]);
	return fake.opens == fake.closes && !fake.misused ? 0 : -1;
}
