/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/futex.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostile.h"
#include "lib/drivers/qemu/qemu.h"
#include "protocol/futex.h"

/* What an agent may put into the shared area, and leave out. */

/* A vCPU thread that carries out each command by calling lie(). */
struct liar {
	struct scry_agent_slot *slot;
	void (*lie)(struct scry_agent_slot *slot);
	_Atomic bool quit;
	pthread_t thread;
};

static void *liar_run(void *opaque)
{
	struct liar *l = opaque;

	while (!l->quit) {
		uint32_t command = atomic_load(&l->slot->command);

		if (command == atomic_load(&l->slot->done)) {
			scry_futex_wait(&l->slot->command, command, 1);
			continue;
		}
		l->slot->status = 0;
		l->lie(l->slot);
		atomic_store(&l->slot->done, command);
		scry_futex_wake(&l->slot->done);
	}
	return NULL;
}

static void liar_start(struct liar *l, struct hostile *h, void (*lie)(struct scry_agent_slot *slot))
{
	hostile_open(h);
	l->slot = endpoint_slot(&h->endpoint, 0);
	l->lie = lie;
	l->quit = false;
	l->slot->stopped = 1;
	endpoint_must(!pthread_create(&l->thread, NULL, liar_run, l), "thread");
}

static void liar_end(struct liar *l, struct hostile *h)
{
	l->quit = true;
	pthread_join(l->thread, NULL);
	scry_close(h->vm);
	h->vm = NULL;
}

static void status_positive(struct scry_agent_slot *slot)
{
	slot->status = 5;
}

static void status_unknown(struct scry_agent_slot *slot)
{
	slot->status = INT32_MIN;
}

static void text_endless(struct scry_agent_slot *slot)
{
	slot->status = SCRY_E_REFUSED;
	memset(slot->text, '\033', sizeof(slot->text));
}

static void test_status(void **state)
{
	struct hostile *h = *state;
	struct scry_regs regs;
	struct liar l;

	liar_start(&l, h, status_positive);
	assert_error(SCRY_E_PROTOCOL, scry_regs_get(h->vm, 0, &regs));
	assert_error(SCRY_E_GONE, scry_regs_get(h->vm, 0, &regs));
	liar_end(&l, h);
	liar_start(&l, h, status_unknown);
	assert_error(SCRY_E_PROTOCOL, scry_regs_get(h->vm, 0, &regs));
	liar_end(&l, h);
	liar_start(&l, h, text_endless);
	assert_error(SCRY_E_REFUSED, scry_regs_get(h->vm, 0, &regs));
	assert_null(strchr(scry_errmsg(), '\033'));
	assert_error(SCRY_E_REFUSED, scry_msr_set(h->vm, 0, 1, 1));
	liar_end(&l, h);
}

static void xsave_huge(struct scry_agent_slot *slot)
{
	slot->xsave_size = SCRY_AGENT_XSAVE + 1;
}

static void xsave_small(struct scry_agent_slot *slot)
{
	slot->xsave_size = 576;
	memset(slot->xsave, 0xcc, 576);
}

static void test_xsave(void **state)
{
	struct hostile *h = *state;
	unsigned char area[1024] = { 0 };
	struct liar l;

	liar_start(&l, h, xsave_huge);
	assert_error(SCRY_E_PROTOCOL, scry_xsave_get(h->vm, 0, area, sizeof(area)));
	liar_end(&l, h);
	liar_start(&l, h, xsave_small);
	assert_int_equal(scry_xsave_get(h->vm, 0, NULL, 0), 576);
	assert_int_equal(scry_xsave_get(h->vm, 0, area, 100), 576);
	assert_int_equal(area[99], 0xcc);
	assert_int_equal(area[100], 0);
	assert_error(SCRY_E_INVAL, scry_xsave_set(h->vm, 0, area, SCRY_AGENT_XSAVE + 1));
	liar_end(&l, h);
}

static void other_done(struct scry_agent_slot *slot)
{
	for (uint32_t i = 0; i < 300000; i++)
		atomic_store(&slot->done, i * 2654435761u | 0x80000000u);
}

/* A vCPU that says it is done with something else, over and over. */
static void test_done(void **state)
{
	struct hostile *h = *state;
	struct scry_regs regs;
	struct liar l;

	liar_start(&l, h, other_done);
	assert_ok(scry_regs_get(h->vm, 0, &regs));
	liar_end(&l, h);
}

static void test_command_unanswered(void **state)
{
	struct hostile *h = *state;
	uint64_t start;
	struct scry_regs regs;

	hostile_open(h);
	endpoint_slot(&h->endpoint, 0)->stopped = 1;
	start = scry_now_ns();
	assert_error(SCRY_E_TIMEOUT, scry_regs_get(h->vm, 0, &regs));
	assert_true(scry_now_ns() - start < 10 * TIMEOUT_MS * UINT64_C(1000000));
	/* The command might be carried out later: the handle is at its end. */
	assert_error(SCRY_E_GONE, scry_regs_get(h->vm, 0, &regs));
}

/* A vCPU that does not stop leaves the handle usable. */
static void test_no_stop(void **state)
{
	struct hostile *h = *state;
	struct scry_region region;

	hostile_open(h);
	assert_error(SCRY_E_TIMEOUT, scry_vcpu_pause(h->vm, 0));
	assert_error(SCRY_E_STATE, scry_vcpu_resume(h->vm, 0));
	endpoint_slot(&h->endpoint, 0)->stopped = 1;
	assert_ok(scry_vcpu_pause(h->vm, 0));
	assert_ok(scry_vcpu_resume(h->vm, 0));
	assert_int_equal(scry_memory_map(h->vm, &region, 1), 3);
}

static void raise_event(struct hostile *h, unsigned vcpu, struct scry_event event)
{
	struct scry_agent_slot *slot = endpoint_slot(&h->endpoint, vcpu);

	slot->event = event;
	slot->stopped = 1;
	atomic_store(&slot->event_seq, (uint32_t)event.sequence);
}

static void bad_event(struct hostile *h, struct scry_event event)
{
	struct scry_event got;
	uint64_t value;

	hostile_open(h);
	raise_event(h, 0, event);
	assert_error(SCRY_E_PROTOCOL, scry_event_wait(h->vm, &got, 1, 1000));
	assert_error(SCRY_E_GONE, scry_event_wait(h->vm, &got, 1, 1000));
	assert_error(SCRY_E_GONE, scry_read_phys_u64(h->vm, 0, &value));
	scry_close(h->vm);
	h->vm = NULL;
}

#define GOOD_EVENT .kind = SCRY_EVENT_CR_WRITE, .cr = { .cr = 3 }

static void test_bad_events(void **state)
{
	struct hostile *h = *state;

	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_COUNT, .sequence = 1 });
	bad_event(h, (struct scry_event){ .kind = UINT32_MAX, .sequence = 1 });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_INT3, .vcpu = 1, .sequence = 1 });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_INT3, .vcpu = 99, .sequence = 1 });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_INT3, .sequence = 2 });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_INT3,
					  .sequence = UINT64_C(0x100000001) });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_INT3, .sequence = 1, .cpl = 4 });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_INT3, .sequence = 1, .insn_len = 16 });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_DR_READ, .sequence = 1, .dr = { .dr = 4 } });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_DESCRIPTOR, .sequence = 1,
					  .desc = { .table = 4 } });
	bad_event(h, (struct scry_event){ .kind = SCRY_EVENT_CR_WRITE, .sequence = 1,
					  .cr = { .cr = 5 } });
}

/* An event before the last one was answered. */
static void test_impatient(void **state)
{
	struct hostile *h = *state;
	struct scry_event got;

	hostile_open(h);
	raise_event(h, 1, (struct scry_event){ GOOD_EVENT, .vcpu = 1, .sequence = 1 });
	assert_int_equal(scry_event_wait(h->vm, &got, 1, 1000), 1);
	assert_int_equal(scry_event_wait(h->vm, &got, 1, 0), 0);
	raise_event(h, 1, (struct scry_event){ .kind = SCRY_EVENT_INT3, .vcpu = 1, .sequence = 2 });
	assert_error(SCRY_E_PROTOCOL, scry_event_wait(h->vm, &got, 1, 1000));
}

static void test_reply_state(void **state)
{
	struct hostile *h = *state;
	struct scry_event got, other = { .vcpu = 7 };

	hostile_open(h);
	raise_event(h, 0, (struct scry_event){ GOOD_EVENT, .sequence = 1 });
	assert_int_equal(scry_event_wait(h->vm, &got, 1, 1000), 1);
	assert_error(SCRY_E_INVAL, scry_reply_action(h->vm, &other, SCRY_CONTINUE));
	other = got;
	other.sequence++;
	assert_error(SCRY_E_STATE, scry_reply_action(h->vm, &other, SCRY_CONTINUE));
	assert_ok(scry_reply_action(h->vm, &got, SCRY_SKIP));
	assert_int_equal(endpoint_slot(&h->endpoint, 0)->action, SCRY_SKIP);
	assert_error(SCRY_E_STATE, scry_reply_action(h->vm, &got, SCRY_CONTINUE));
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* As an agent's vCPU does: the event, then whatever `sleep` asks for. */
static void ring(struct hostile *h, uint64_t sequence)
{
	raise_event(h, 0, (struct scry_event){ GOOD_EVENT, .sequence = sequence });
	if (atomic_load(&h->endpoint.shared->sleep) == SCRY_AGENT_SOCKET)
		endpoint_must(send(h->endpoint.bell[0], "", 1, 0) == 1, "send");
}

static void test_event_fd(void **state)
{
	struct hostile *h = *state;
	struct scry_event got;
	int fd;

	hostile_open(h);
	fd = scry_event_fd(h->vm);
	assert_true(fd >= 0);
	assert_int_equal(scry_event_fd(h->vm), fd);
	for (uint64_t i = 1; i < 20; i++) {
		assert_int_equal(scry_event_wait(h->vm, &got, 1, 0), 0);
		assert_false(readable(fd));
		ring(h, i);
		assert_true(readable(fd));
		assert_int_equal(scry_event_wait(h->vm, &got, 1, i % 2 ? 0 : 10), 1);
		assert_ok(scry_reply_action(h->vm, &got, SCRY_CONTINUE));
		endpoint_slot(&h->endpoint, 0)->done++;
	}
	assert_int_equal(scry_event_wait(h->vm, &got, 1, 0), 0);
	assert_false(readable(fd));
	shutdown(h->endpoint.client, SHUT_RDWR);
	assert_true(readable(fd));
	assert_error(SCRY_E_GONE, scry_event_wait(h->vm, &got, 1, 0));
}

/* With room for one event, a vCPU that always has one does not keep others waiting. */
static void test_fair(void **state)
{
	struct hostile *h = *state;
	struct scry_event got;
	unsigned of_second = 0;

	hostile_open(h);
	for (int i = 0; i < 10; i++) {
		for (unsigned v = 0; v < 2; v++) {
			struct scry_agent_slot *slot = endpoint_slot(&h->endpoint, v);

			if (slot->event_seq == slot->command)
				raise_event(h, v, (struct scry_event){
					.kind = SCRY_EVENT_INT3, .vcpu = v,
					.sequence = slot->event_seq + 1 });
		}
		assert_int_equal(scry_event_wait(h->vm, &got, 1, 1000), 1);
		assert_ok(scry_reply_action(h->vm, &got, SCRY_CONTINUE));
		endpoint_slot(&h->endpoint, got.vcpu)->done++;
		of_second += got.vcpu;
	}
	assert_int_equal(of_second, 5);
}

static void test_timeouts(void **state)
{
	struct hostile *h = *state;
	struct scry_event got;
	uint64_t start;

	hostile_open(h);
	for (int ms = 1; ms < 300; ms *= 6) {
		start = scry_now_ns();
		assert_int_equal(scry_event_wait(h->vm, &got, 1, ms), 0);
		assert_true(scry_now_ns() - start >= (uint64_t)ms * 1000000);
	}
}

struct delayed {
	struct hostile *h;
	void (*act)(struct hostile *h);
	pthread_t thread;
};

static void *delayed_run(void *opaque)
{
	struct delayed *d = opaque;

	usleep(30000);
	d->act(d->h);
	return NULL;
}

static void hang_up(struct hostile *h)
{
	shutdown(h->endpoint.client, SHUT_RDWR);
}

static void die(struct hostile *h)
{
	atomic_fetch_or(&h->endpoint.shared->life.owner, FUTEX_OWNER_DIED);
	hang_up(h);
}

/* A wait without end does end with the VM. */
static void wait_until(struct hostile *h, void (*act)(struct hostile *h), const char *says)
{
	struct delayed d = { .h = h, .act = act };
	struct scry_event got;
	uint64_t value;

	hostile_open(h);
	endpoint_must(!pthread_create(&d.thread, NULL, delayed_run, &d), "thread");
	assert_error(SCRY_E_GONE, scry_event_wait(h->vm, &got, 1, -1));
	assert_says(says);
	assert_error(SCRY_E_GONE, scry_read_phys_u64(h->vm, 0, &value));
	assert_says(says);
	assert_null(scry_phys_ptr(h->vm, 0, 8));
	pthread_join(d.thread, NULL);
	scry_close(h->vm);
	h->vm = NULL;
}

static void test_end(void **state)
{
	wait_until(*state, hang_up, "has hung up");
	wait_until(*state, die, "has ended");
}

/* The end while a command is out: no waiting for the time-out. */
static void test_end_in_command(void **state)
{
	struct hostile *h = *state;
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = 60000 };
	struct delayed d = { .h = h, .act = die };
	uint64_t start = scry_now_ns();
	struct scry_regs regs;

	assert_ok(scry_open(&h->vm, h->endpoint.uri, &opts));
	endpoint_slot(&h->endpoint, 0)->stopped = 1;
	endpoint_must(!pthread_create(&d.thread, NULL, delayed_run, &d), "thread");
	assert_error(SCRY_E_GONE, scry_regs_get(h->vm, 0, &regs));
	assert_true(scry_now_ns() - start < UINT64_C(10000000000));
	pthread_join(d.thread, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, hostile_start, hostile_end)
	const struct CMUnitTest tests[] = {
		TEST(status), TEST(xsave), TEST(done), TEST(command_unanswered), TEST(no_stop),
		TEST(bad_events), TEST(impatient), TEST(reply_state), TEST(event_fd), TEST(fair),
		TEST(timeouts), TEST(end), TEST(end_in_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
