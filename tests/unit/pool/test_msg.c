/* Messages and mailboxes: what is whole passes, what is not does not, order is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "job_message.h"
#include "loop/loop.h"
#include <cmocka.h>
#include <stdlib.h>

/* Every type with the size of its fixed part and the places of its refs. */
static const struct {
	enum otd_msg_type type;
	size_t fixed;
	size_t refs[4], n_refs;
} types[] = {
	{OTD_MSG_JOB,
	 sizeof(struct otd_msg_job),
	 {offsetof(struct otd_msg_job, coinbase1), offsetof(struct otd_msg_job, coinbase2),
	  offsetof(struct otd_msg_job, branches)},
	 3},
	{OTD_MSG_AUTH_ANSWER,
	 sizeof(struct otd_msg_auth_answer),
	 {offsetof(struct otd_msg_auth_answer, account),
	  offsetof(struct otd_msg_auth_answer, reason)},
	 2},
	{OTD_MSG_DRAIN, sizeof(struct otd_msg), {0}, 0},
	{OTD_MSG_RELEASE, sizeof(struct otd_msg_position), {0}, 0},
	{OTD_MSG_BAN,
	 sizeof(struct otd_msg_ban),
	 {offsetof(struct otd_msg_ban, what), offsetof(struct otd_msg_ban, reason)},
	 2},
	{OTD_MSG_AUTH, sizeof(struct otd_msg_auth), {offsetof(struct otd_msg_auth, account)}, 1},
	{OTD_MSG_BLOCK,
	 sizeof(struct otd_msg_block),
	 {offsetof(struct otd_msg_block, account), offsetof(struct otd_msg_block, worker),
	  offsetof(struct otd_msg_block, header), offsetof(struct otd_msg_block, coinbase)},
	 4},
	{OTD_MSG_SYNCED, sizeof(struct otd_msg_position), {0}, 0},
	{OTD_MSG_DRAINED, sizeof(struct otd_msg_position), {0}, 0},
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static struct otd_msg *make(size_t t)
{
	struct otd_msg *m = otd_msg_create(types[t].type, 3, types[t].fixed, 64);
	assert_non_null(m);
	for (size_t i = 0; i < types[t].n_refs; i++) {
		char text[8] = {'a', 'b', 'c', (char)('0' + i)};
		struct otd_ref r = otd_msg_put(m, text, 4 + i);
		memcpy((uint8_t *)m + types[t].refs[i], &r, sizeof(r));
	}
	return m;
}

static void every_type_survives_its_bytes(void **state)
{
	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		struct otd_msg *m = make(t);
		assert_true(otd_msg_check(m, m->size));
		uint8_t *copy = malloc(m->size);
		memcpy(copy, m, m->size);
		assert_true(otd_msg_check(copy, m->size));
		for (size_t i = 0; i < types[t].n_refs; i++) {
			struct otd_ref r;
			memcpy(&r, copy + types[t].refs[i], sizeof(r));
			struct otd_span s = otd_msg_get(copy, r);
			assert_int_equal(s.len, 4 + i);
			assert_int_equal(s.ptr[3], '0' + (int)i);
		}
		/* Shorter by any number of bytes, and one longer: refused. */
		for (size_t n = 0; n < m->size; n++)
			assert_false(otd_msg_check(copy, n));
		assert_false(otd_msg_check(copy, m->size + 1));
		free(copy);
		otd_msg_destroy(m);
	}
}

static void what_is_not_whole_is_refused(void **state)
{
	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		struct otd_msg *m = make(t);
		m->version = 2;
		assert_false(otd_msg_check(m, m->size));
		m->version = 1;
		m->fixed -= 1;
		assert_false(otd_msg_check(m, m->size));
		m->fixed += 1;
		m->type = 99;
		assert_false(otd_msg_check(m, m->size));
		m->type = (uint16_t)types[t].type;
		for (size_t i = 0; i < types[t].n_refs; i++) {
			struct otd_ref good, bad;
			uint8_t *at = (uint8_t *)m + types[t].refs[i];
			memcpy(&good, at, sizeof(good));
			bad = (struct otd_ref){good.at, m->size};
			memcpy(at, &bad, sizeof(bad));
			assert_false(otd_msg_check(m, m->size));
			bad = (struct otd_ref){UINT32_MAX, 2};
			memcpy(at, &bad, sizeof(bad));
			assert_false(otd_msg_check(m, m->size));
			bad = (struct otd_ref){0, 4}; /* into the fixed part */
			memcpy(at, &bad, sizeof(bad));
			assert_false(otd_msg_check(m, m->size));
			memcpy(at, &good, sizeof(good));
		}
		assert_true(otd_msg_check(m, m->size));
		otd_msg_destroy(m);
	}
}

#define SENDERS 3
#define EACH    2000

struct post {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_mailbox *box;
	uint64_t next[SENDERS];
	unsigned got;
};

struct sender {
	struct post *post;
	uint32_t index;
};

static void receive(void *arg, const struct otd_msg *m)
{
	struct post *p = arg;
	const struct otd_msg_position *pos = (const struct otd_msg_position *)m;
	assert_true(m->reactor < SENDERS);
	assert_int_equal(pos->seq, p->next[m->reactor]);
	p->next[m->reactor]++;
	if (++p->got == SENDERS * EACH)
		p->env->ops->loop_stop(p->loop);
}

static void send_many(void *arg)
{
	struct sender *s = arg;
	for (uint64_t i = 0; i < EACH; i++) {
		struct otd_msg *m = otd_msg_create(OTD_MSG_SYNCED, s->index,
						   sizeof(struct otd_msg_position), 0);
		((struct otd_msg_position *)m)->seq = i;
		if (otd_mailbox_send(s->post->box, m))
			abort();
	}
}

static void order_holds_for_each_sender(void **state)
{
	struct post p = {0};
	struct sender senders[SENDERS];
	void *threads[SENDERS];
	struct otd_err err = {0};

	(void)state;
	assert_int_equal(otd_env_real_create(&p.env, NULL, &err), OTD_OK);
	assert_int_equal(p.env->ops->loop_create(p.env, &p.loop, "test", &err), OTD_OK);
	assert_int_equal(otd_mailbox_create(&p.box, p.loop, receive, &p), OTD_OK);
	/* Refused before it travels. */
	struct otd_msg *bad = otd_msg_create(OTD_MSG_SYNCED, 0, sizeof(struct otd_msg), 0);
	assert_int_equal(otd_mailbox_send(p.box, bad), OTD_E_INVALID);
	for (uint32_t i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){&p, i};
		assert_int_equal(p.env->ops->thread_start(p.env, &threads[i], "sender", send_many,
							  &senders[i], &err),
				 OTD_OK);
	}
	p.env->ops->loop_run(p.loop);
	for (uint32_t i = 0; i < SENDERS; i++)
		p.env->ops->thread_join(p.env, threads[i]);
	assert_int_equal(p.got, SENDERS * EACH);
	/* What nobody fetched goes with the box. */
	assert_int_equal(otd_mailbox_send(p.box, otd_msg_create(OTD_MSG_DRAIN, 0,
								sizeof(struct otd_msg), 0)),
			 OTD_OK);
	p.env->ops->loop_destroy(p.loop);
	otd_mailbox_destroy(p.box);
	otd_env_real_destroy(p.env);
}

/* What comes from another process is checked before it is anything. */
static void bytes_become_a_message(void **state)
{
	struct otd_msg *m = otd_msg_create(OTD_MSG_METRICS, 7, sizeof(struct otd_msg_text), 5);
	(void)state;
	((struct otd_msg_text *)m)->text = otd_msg_put(m, "12345", 5);
	struct otd_msg *c = otd_msg_copy(m, m->size);
	assert_non_null(c);
	assert_int_equal(c->reactor, 7);
	assert_memory_equal(c, m, m->size);
	struct otd_span text = otd_msg_get(c, ((struct otd_msg_text *)c)->text);
	assert_memory_equal(text.ptr, "12345", 5);
	otd_msg_destroy(c);
	for (size_t n = 0; n < m->size; n++)
		assert_null(otd_msg_copy(m, n));
	m->type = 77;
	assert_null(otd_msg_copy(m, m->size));
	otd_msg_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_survives_its_bytes),
		cmocka_unit_test(what_is_not_whole_is_refused),
		cmocka_unit_test(order_holds_for_each_sender),
		cmocka_unit_test(bytes_become_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
