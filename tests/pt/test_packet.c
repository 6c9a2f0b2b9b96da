/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's packets, read back by libipt's packet decoder. */
#include <intel-pt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/test.h"
#include "agent/pt/pt_packet.h"

#define SIZE 65536u
#define MOST 4096

/* What was written, as libipt should say it. */
struct written {
	enum pt_packet_type type;
	uint64_t value;		/* IP, CR3, mode or TNT bits */
	unsigned bits;
};

struct world {
	struct scry_agent_ring ring;
	uint8_t *data;
	struct pt_out out;
	struct written list[MOST];
	unsigned count;
};

/* As in the agent: the data twice in a row. */
static int setup(void **state)
{
	struct world *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
	int fd = memfd_create("ring", 0);

	assert_non_null(w);
	memset(w, 0, sizeof(*w));
	assert_int_equal(ftruncate(fd, SIZE), 0);
	w->data = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->data, MAP_FAILED);
	for (int i = 0; i < 2; i++)
		assert_ptr_not_equal(mmap(w->data + i * SIZE, SIZE, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_FIXED, fd, 0), MAP_FAILED);
	close(fd);
	pt_out_init(&w->out, &w->ring, w->data, SIZE);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	munmap(w->data, 2 * SIZE);
	free(w);
	return 0;
}

static void note_packet(struct world *w, enum pt_packet_type type, uint64_t value, unsigned bits)
{
	assert_true(w->count < MOST);
	w->list[w->count++] = (struct written){ type, value, bits };
}

/* Branches come out in front of the next packet. */
static void note_tnt(struct world *w)
{
	if (w->out.tnt_count)
		note_packet(w, w->out.tnt_count <= 6 ? ppt_tnt_8 : ppt_tnt_64,
			    w->out.tnt & ((UINT64_C(1) << w->out.tnt_count) - 1), w->out.tnt_count);
}

static uint64_t random_ip(uint64_t last)
{
	static const unsigned shifts[] = { 0, 1, 16, 17, 32, 33, 47, 48, 63 };
	uint64_t bits = (uint64_t)rand() << 32 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();

	return last ^ bits >> shifts[rand() % 9];
}

static void write_psb(struct world *w)
{
	uint64_t ip = random_ip(0), cr3 = (uint64_t)rand() << 12;
	bool traces = rand() % 2;

	note_tnt(w);
	note_packet(w, ppt_psb, 0, 0);
	note_packet(w, ppt_pip, cr3, 0);
	note_packet(w, ppt_mode, PT_MODE_64, 0);
	if (traces)
		note_packet(w, ppt_fup, ip, 0);
	note_packet(w, ppt_psbend, 0, 0);
	pt_psb(&w->out, cr3, PT_MODE_64, traces ? &ip : NULL);
}

static void write_ip(struct world *w)
{
	static const struct {
		void (*write)(struct pt_out *out, uint64_t ip);
		enum pt_packet_type type;
	} kinds[] = { { pt_tip, ppt_tip }, { pt_fup, ppt_fup }, { pt_tip_pge, ppt_tip_pge } };
	uint64_t ip = random_ip(w->out.last_ip);
	unsigned kind = (unsigned)rand() % 3;

	note_tnt(w);
	note_packet(w, kinds[kind].type, ip, 0);
	kinds[kind].write(&w->out, ip);
}

static void write_branches(struct world *w)
{
	for (int n = rand() % 60; n; n--) {
		bool taken = rand() % 2;

		if (w->out.tnt_count == PT_TNT_MOST - 1)
			note_packet(w, ppt_tnt_64, (w->out.tnt << 1 | taken) &
				    ((UINT64_C(1) << PT_TNT_MOST) - 1), PT_TNT_MOST);
		pt_tnt(&w->out, taken);
	}
}

static void write_some(struct world *w, unsigned packets)
{
	write_psb(w);
	while (w->count < packets) {
		unsigned mode = (unsigned)rand() % 3;

		switch (rand() % 6) {
		case 0:
			write_psb(w);
			break;
		case 1:
			note_tnt(w);
			note_packet(w, ppt_mode, mode, 0);
			pt_mode(&w->out, mode);
			break;
		case 2:
			note_tnt(w);
			note_packet(w, ppt_tip_pgd, 0, 0);
			pt_tip_pgd(&w->out);
			break;
		case 3:
			write_branches(w);
			break;
		default:
			write_ip(w);
		}
	}
	note_tnt(w);
	pt_tnt_flush(&w->out);
}

static uint64_t ip_of(const struct pt_packet_ip *packet, uint64_t last)
{
	switch (packet->ipc) {
	case pt_ipc_update_16:
		return (last & ~UINT64_C(0xffff)) | packet->ip;
	case pt_ipc_update_32:
		return (last & ~UINT64_C(0xffffffff)) | packet->ip;
	case pt_ipc_update_48:
		return (last & ~UINT64_C(0xffffffffffff)) | packet->ip;
	case pt_ipc_sext_48:
		return (uint64_t)((int64_t)(packet->ip << 16) >> 16);
	default:
		return packet->ip;
	}
}

static void assert_packet(const struct pt_packet *packet, const struct written *want, uint64_t *last)
{
	assert_int_equal(packet->type, want->type);
	switch (packet->type) {
	case ppt_psb:
		*last = 0;
		break;
	case ppt_tip:
	case ppt_fup:
	case ppt_tip_pge:
		*last = ip_of(&packet->payload.ip, *last);
		assert_int_equal(*last, want->value);
		break;
	case ppt_tnt_8:
	case ppt_tnt_64:
		assert_int_equal(packet->payload.tnt.bit_size, want->bits);
		assert_int_equal(packet->payload.tnt.payload, want->value);
		break;
	case ppt_pip:
		assert_int_equal(packet->payload.pip.cr3, want->value);
		break;
	case ppt_mode:
		assert_int_equal(packet->payload.mode.leaf, pt_mol_exec);
		assert_int_equal(packet->payload.mode.bits.exec.csl, want->value == PT_MODE_64);
		assert_int_equal(packet->payload.mode.bits.exec.csd, want->value == PT_MODE_32);
		break;
	default:
		break;
	}
}

static void assert_all(struct world *w)
{
	struct pt_packet_decoder *decoder;
	struct pt_config config;
	uint64_t last = 0;

	pt_config_init(&config);
	config.begin = w->data + (w->ring.tail & (SIZE - 1));
	config.end = config.begin + (w->ring.head - w->ring.tail);
	decoder = pt_pkt_alloc_decoder(&config);
	assert_non_null(decoder);
	assert_int_equal(pt_pkt_sync_set(decoder, 0), 0);
	for (unsigned i = 0; i < w->count; i++) {
		struct pt_packet packet;

		assert_true(pt_pkt_next(decoder, &packet, sizeof(packet)) > 0);
		assert_packet(&packet, &w->list[i], &last);
	}
	pt_pkt_free_decoder(decoder);
	w->ring.tail = w->ring.head;
	w->count = 0;
}

/* Again and again past the ring's end. */
static void test_read_back(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 200; i++) {
		write_some(w, 1 + (unsigned)rand() % 2000);
		assert_false(w->out.lost);
		assert_all(w);
	}
}

/* Nothing is written over what has not been read, and OVF is where it goes on. */
static void test_full(void **state)
{
	struct world *w = *state;
	uint64_t head;

	for (uint64_t ip = 1; !w->out.lost; ip ^= UINT64_MAX)
		pt_tip(&w->out, ip);
	assert_true(w->ring.head - w->ring.tail <= SIZE);
	assert_true(w->out.attention);
	head = w->ring.head;
	pt_tip(&w->out, 7);
	assert_false(pt_resume(&w->out));
	assert_int_equal(w->ring.head, head);
	w->ring.tail = head - 2;
	assert_true(pt_resume(&w->out));
	note_packet(w, ppt_ovf, 0, 0);
	write_some(w, 100);
	assert_all(w);
}

/* The client may write anything there. */
static void test_hostile_tail(void **state)
{
	static const uint64_t tails[] = { 1, 1000, SIZE, SIZE + 1, UINT64_MAX, UINT64_MAX / 2,
					  UINT64_C(1) << 63 };
	struct world *w = *state;

	for (int i = 0; i < 100000; i++) {
		bool tail_is_ours = i % 7 >= 3;

		if (i % 7 == 0)
			w->ring.tail = rand() % 2 ? tails[rand() % 7] : w->ring.head + (unsigned)rand();
		if (i % 7 == 3)
			w->ring.tail = w->ring.head;
		pt_tnt(&w->out, i & 1);
		pt_tip(&w->out, (uint64_t)i << 40);
		if (w->out.lost)
			pt_resume(&w->out);
		if (tail_is_ours)
			assert_true(w->ring.head - w->ring.tail <= SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_tail, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
