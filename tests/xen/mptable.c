/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Of libxenctrl, which maps a frame by it. */
#define XC_WANT_COMPAT_MAP_FOREIGN_API
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "mptable.h"

/* Intel's MultiProcessor Specification 1.4, chapter 4. */
struct __attribute__((packed)) pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs, revision, checksum, features[5];
};

struct __attribute__((packed)) table {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
};

struct __attribute__((packed)) processor {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
};

#define AT         0x9fc00u	/* the last KiB of base memory */
#define PAGE       4096u
#define LAPIC      0xfee00000u
#define ENABLED    1
#define BOOTS      2
#define MOST_VCPUS 32u

static uint8_t checksum(const void *bytes, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	return (uint8_t)-sum;
}

static void fill(unsigned char *at, unsigned vcpus)
{
	struct table *table = (struct table *)(at + sizeof(struct pointer));
	struct processor *processor = (struct processor *)(table + 1);
	struct pointer pointer = { .signature = "_MP_", .table = AT + sizeof(pointer),
				   .paragraphs = 1, .revision = 4 };

	*table = (struct table){
		.signature = "PCMP", .revision = 4, .oem = "SCRY    ", .product = "PROBE       ",
		.length = (uint16_t)(sizeof(*table) + vcpus * sizeof(*processor)),
		.entries = (uint16_t)vcpus, .lapic = LAPIC,
	};
	for (unsigned i = 0; i < vcpus; i++)
		processor[i] = (struct processor){
			.apic_id = (uint8_t)(2 * i), .apic_version = 0x14,
			.flags = ENABLED | (i ? 0 : BOOTS),
		};
	table->checksum = checksum(table, table->length);
	pointer.checksum = checksum(&pointer, sizeof(pointer));
	memcpy(at, &pointer, sizeof(pointer));
}

int mptable_write(xc_interface *xch, uint32_t domid, unsigned vcpus)
{
	unsigned char *page = xc_map_foreign_range(xch, domid, PAGE, PROT_READ | PROT_WRITE, AT / PAGE);

	if (!page)
		return -1;
	fill(page + AT % PAGE, vcpus < MOST_VCPUS ? vcpus : MOST_VCPUS);
	return munmap(page, PAGE);
}
