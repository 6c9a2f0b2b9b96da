/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exceptions and interrupts: counted; those of an operation are forgiven, others are fatal. */
#include "guest.h"

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, attr;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

struct fixup {
	uint64_t at, to;
};

extern const struct fixup extable_start[], extable_end[];

static struct gate idt[256];
struct descriptor idt_descriptor = { sizeof(idt) - 1, (uint64_t)(uintptr_t)idt };

static void set_gate(unsigned vector, uint64_t address, unsigned dpl)
{
	idt[vector] = (struct gate){
		.offset_low = (uint16_t)address,
		.selector = PROBE_SEL_CODE,
		.attr = (uint8_t)(0x8e | dpl << 5),
		.offset_mid = (uint16_t)(address >> 16),
		.offset_high = (uint32_t)(address >> 32),
	};
}

void trap_init(void)
{
	for (unsigned i = 0; i < 32; i++)
		set_gate(i, trap_stubs[i], i == 3 ? 3 : 0);
	set_gate(VECTOR_WAKE, (uintptr_t)stub_wake, 0);
	set_gate(VECTOR_INTN, (uintptr_t)stub_intn, 3);
	set_gate(VECTOR_LEAVE_USER, (uintptr_t)stub_leave_user, 3);
	/* The 8259s' interrupts would come at the exceptions' vectors: mask them. */
	asm volatile("outb %b0, $0x21\n"
		     "outb %b0, $0xa1" :: "a"(0xff));
}

static void serial(const char *text)
{
	for (; *text; text++)
		asm volatile("outb %b0, %w1" :: "a"(*text), "d"(0x3f8));
}

static void serial_hex(const char *name, uint64_t value)
{
	char digit[2] = { 0 };

	serial(name);
	for (int shift = 60; shift >= 0; shift -= 4) {
		digit[0] = "0123456789abcdef"[value >> shift & 15];
		serial(digit);
	}
}

void panic(const char *text)
{
	volatile struct probe_vcpu *v = this_vcpu();

	serial("probe: ");
	serial(text);
	serial("\n");
	v->state = PROBE_PANIC;
	while (!v->stop)
		asm volatile("pause");
	serve_anew(((uintptr_t)__builtin_frame_address(0) | ((1 << STACK_SHIFT) - 1)) + 1);
}

static void __attribute__((noreturn)) panic_frame(const struct frame *f)
{
	serial_hex("probe: vector ", f->vector);
	serial_hex(" error ", f->error);
	serial_hex(" rip ", f->rip);
	serial_hex(" rsp ", f->rsp);
	serial_hex(" cr2 ", READ_REG("cr2"));
	serial("\n");
	panic("unexpected exception");
}

/* Where to go on after a fault at rip; 0 = nobody expected it. */
static uint64_t fixup_of(uint64_t rip)
{
	for (const struct fixup *fix = extable_start; fix < extable_end; fix++)
		if (fix->at == rip)
			return fix->to;
	return 0;
}

static void fault(struct frame *f, struct cpu *cpu)
{
	uint64_t to = fixup_of(f->rip);

	if (cpu->exec_target && f->rip == cpu->exec_target) {
		to = *(uint64_t *)(uintptr_t)f->rsp;
		f->rsp += 8;
	}
	if (!to)
		panic_frame(f);
	cpu->faulted = true;
	f->rip = to;
}

void trap(struct frame *f)
{
	volatile struct probe_vcpu *v = this_vcpu();

	if (f->vector >= 32) {
		v->interrupts++;
		if (f->vector == VECTOR_WAKE)
			apic_eoi();
		return;
	}
	v->exceptions[f->vector]++;
	v->last_vector = f->vector;
	v->last_error = f->error;
	v->last_rip = f->rip;
	v->last_cr2 = READ_REG("cr2");
	if (f->vector == 1)
		f->rflags |= 1 << 16;	/* RF: on, past an instruction breakpoint */
	else if (f->vector != 2 && f->vector != 3)
		fault(f, cpu_of(v));
}
