/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The local APIC, and the other processors. */
#include "guest.h"

#define APIC_ID      0x20
#define APIC_EOI     0xb0
#define APIC_SVR     0xf0
#define APIC_ICR     0x300
#define APIC_ICR2    0x310
#define APIC_TIMER   0x320
#define APIC_INITIAL 0x380
#define APIC_DIVIDE  0x3e0

#define ICR_PENDING     0x1000
#define ICR_INIT_OTHERS 0xc4500
#define ICR_SIPI_OTHERS 0xc4600

#define SETTLE_TSC 1000000000ull	/* no processor comes later than this after another */

static volatile uint32_t ids[PROBE_VCPUS];
static volatile uint32_t arrived;
static volatile uint32_t ready;
static volatile uint32_t total;		/* 0 = not known yet */

static inline volatile uint32_t *apic(unsigned reg)
{
	return (volatile uint32_t *)(uintptr_t)(LAPIC + reg);
}

uint32_t apic_id(void)
{
	return *apic(APIC_ID) >> 24;
}

void apic_enable(void)
{
	*apic(APIC_SVR) = 0x1ff;
}

void apic_eoi(void)
{
	*apic(APIC_EOI) = 0;
}

void apic_ipi(uint32_t id, uint32_t low)
{
	*apic(APIC_ICR2) = id << 24;
	*apic(APIC_ICR) = low;
	while (*apic(APIC_ICR) & ICR_PENDING)
		asm volatile("pause");
}

void apic_timer(bool on)
{
	*apic(APIC_DIVIDE) = 0x3;
	*apic(APIC_TIMER) = on ? 0x20000 | VECTOR_WAKE : 0x10000;
	*apic(APIC_INITIAL) = on ? 100000 : 0;
}

static void delay(uint64_t tsc)
{
	for (uint64_t start = rdtsc(); rdtsc() - start < tsc;)
		asm volatile("pause");
}

static void copy_ap_start(void)
{
	volatile char *to = (volatile char *)(uintptr_t)AP_START;

	for (long i = 0; i < ap_start_end - ap_start; i++)
		to[i] = ap_start[i];
}

unsigned smp_start(void)
{
	uint32_t seen;

	copy_ap_start();
	apic_ipi(0, ICR_INIT_OTHERS);
	delay(SETTLE_TSC / 50);
	apic_ipi(0, ICR_SIPI_OTHERS | AP_START >> 12);
	do {
		seen = arrived;
		delay(SETTLE_TSC);
	} while (arrived != seen);
	return seen;
}

void smp_open(unsigned count)
{
	total = count;
	while (ready < count - 1)
		asm volatile("pause");
}

void smp_ready(void)
{
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
}

unsigned smp_join(uint32_t ticket)
{
	uint32_t id = apic_id();
	unsigned rank = 0;

	ids[ticket] = id;
	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
	if (ticket == 0)
		return 0;
	while (!total)
		asm volatile("pause");
	if (ticket >= total)
		park();
	for (unsigned i = 0; i < total; i++)
		rank += ids[i] < id;
	return rank;
}
