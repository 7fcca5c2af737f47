/* Sessions to another process: their records, whole, cut, garbled, older and newer; and two servers of which one
   takes over from the other. */
#include "client.h"
#include "stratum/image.h"
#include "stratum/session.h"

/* --- records --- */

static struct otd_span span_of(const char *s)
{
	return (struct otd_span){(const uint8_t *)s, strlen(s)};
}

static struct otd_session_record example(void)
{
	struct otd_session_record r = {.pool = 3,
				       .port = 3333,
				       .host = "2001:db8::7",
				       .peer_port = 50123,
				       .flags = OTD_SESSION_SUBSCRIBED | OTD_SESSION_EXTRANONCE |
						OTD_SESSION_HAD_LINE,
				       .extranonce1 = span_of("\x01\x02\x03\x04"),
				       .version_mask = 0x1fffe000,
				       .asked_mask = 0x3fffe000,
				       .bad_lines = 2,
				       .opened_ms = 123456789,
				       .agent = span_of("rig/1.0"),
				       .n_targets = 2,
				       .sent_order = 77,
				       .sent_repeat = 3,
				       .sent_ms = 123456999,
				       .n_workers = 2,
				       .in = span_of("{\"id\":1,\"me"),
				       .out = span_of("half an answer\n")};
	r.vardiff = (struct otd_vardiff){.target = target_of("512"),
					 .min = target_of("1"),
					 .max = target_of("1e6"),
					 .start = target_of("64"),
					 .aim_ms = 10000,
					 .since_ms = 123450000,
					 .last_ms = 123456000,
					 .shares = 9};
	r.targets[0].from = 12 << 8;
	r.targets[0].target = target_of("256");
	r.targets[1].from = 77 << 8 | 3;
	r.targets[1].target = target_of("512");
	return r;
}

static struct otd_bytes written(void)
{
	struct otd_session_record r = example();
	struct otd_bytes workers, out;
	otd_bytes_init(&workers, 1 << 20);
	otd_bytes_init(&out, 1 << 20);
	for (int i = 0; i < 2; i++) {
		const struct otd_session_record_worker w = {
			.user = span_of(i ? "ADDR.b" : "ADDR.a"),
			.account = span_of("addr"),
			.name = span_of(i ? "b" : "a"),
			.accepted = 5,
			.refused = 1};
		otd_session_record_add_worker(&workers, &w);
	}
	otd_session_record_write(&out, &r, otd_bytes_span(&workers));
	assert_false(out.failed);
	otd_bytes_finish(&workers);
	return out;
}

static otd_rc read_copy(struct otd_session_record *r, const uint8_t *p, size_t n,
			struct otd_err *err)
{
	uint8_t *copy = malloc(n ? n : 1); /* so that ASan sees a look behind it */
	memcpy(copy, p, n);
	struct otd_unpack in = otd_unpack_of((struct otd_span){copy, n});
	struct otd_session_record_worker w;
	otd_rc rc = otd_session_record_read(r, &in, err);
	while (rc == OTD_OK && otd_session_record_worker(r, &w))
		assert_true(w.user.len && w.account.len);
	free(copy);
	return rc;
}

static void a_record_comes_back(void **state)
{
	struct otd_session_record want = example(), r;
	struct otd_session_record_worker w;
	struct otd_err err = {0};
	struct otd_bytes b = written();
	struct otd_unpack in = otd_unpack_of(otd_bytes_span(&b));
	(void)state;
	assert_int_equal(otd_session_record_read(&r, &in, &err), OTD_OK);
	assert_int_equal(in.left, 0);
	assert_int_equal(r.pool, want.pool);
	assert_int_equal(r.port, want.port);
	assert_string_equal(r.host, want.host);
	assert_int_equal(r.flags, want.flags);
	assert_memory_equal(r.extranonce1.ptr, want.extranonce1.ptr, 4);
	assert_int_equal(r.asked_mask, want.asked_mask);
	assert_int_equal(otd_u256_cmp(r.vardiff.target, want.vardiff.target), 0);
	assert_int_equal(r.vardiff.shares, 9);
	assert_int_equal(r.n_targets, 2);
	assert_int_equal(r.targets[1].from, 77 << 8 | 3);
	assert_int_equal(r.sent_order, 77);
	assert_int_equal(r.in.len, want.in.len);
	assert_memory_equal(r.out.ptr, want.out.ptr, want.out.len);
	assert_true(otd_session_record_worker(&r, &w));
	assert_int_equal(w.user.len, 6);
	assert_int_equal(w.accepted, 5);
	assert_true(otd_session_record_worker(&r, &w));
	assert_memory_equal(w.name.ptr, "b", 1);
	assert_false(otd_session_record_worker(&r, &w));
	otd_bytes_finish(&b);
}

static void every_cut_is_refused(void **state)
{
	struct otd_session_record r;
	struct otd_err err = {0};
	struct otd_bytes b = written();
	(void)state;
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *p = malloc(b.len);
		memcpy(p, b.ptr, b.len);
		assert_int_equal(read_copy(&r, p, n, &err), OTD_E_CORRUPT);
		/* A length that says that this is all. */
		if (n >= 4 && n < b.len) {
			for (size_t i = 0; i < 4; i++)
				p[i] = (uint8_t)((n - 4) >> 8 * i);
			assert_int_not_equal(read_copy(&r, p, n, &err), OTD_OK);
		}
		free(p);
	}
	otd_bytes_finish(&b);
}

static void garbled_ones_are_refused_or_whole(void **state)
{
	struct otd_session_record r;
	struct otd_err err = {0};
	struct otd_bytes b = written();
	(void)state;
	for (size_t i = 0; i < b.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			b.ptr[i] ^= (uint8_t)(1u << bit);
			otd_rc rc = read_copy(&r, b.ptr, b.len, &err);
			assert_true(rc == OTD_OK || *err.text);
			if (rc == OTD_OK) {
				assert_true(r.n_targets <= OTD_SESSION_RECORD_TARGETS);
				assert_false(otd_u256_is_zero(r.vardiff.target));
			}
			b.ptr[i] ^= (uint8_t)(1u << bit);
		}
	}
	otd_bytes_finish(&b);
}

/* Versions: the one behind says more at its end, and that is left; the one before the oldest is refused. */
static void records_of_other_versions(void **state)
{
	struct otd_session_record r;
	struct otd_err err = {0};
	struct otd_bytes b = written();
	(void)state;
	otd_pack_u64(&b, 12345);
	otd_pack_text(&b, "what nobody knows yet");
	for (size_t i = 0; i < 4; i++)
		b.ptr[i] = (uint8_t)((b.len - 4) >> 8 * i);
	b.ptr[4] = OTD_SESSION_RECORD + 7;
	otd_pack_u8(&b, 0xee); /* the next record */
	struct otd_unpack in = otd_unpack_of(otd_bytes_span(&b));
	assert_int_equal(otd_session_record_read(&r, &in, &err), OTD_OK);
	assert_int_equal(in.left, 1);
	assert_int_equal(r.version, OTD_SESSION_RECORD + 7);
	assert_string_equal(r.host, "2001:db8::7");
	b.ptr[4] = OTD_SESSION_RECORD_OLDEST - 1;
	assert_int_equal(read_copy(&r, b.ptr, b.len, &err), OTD_E_VERSION);
	otd_bytes_finish(&b);
}

/* --- two servers --- */

struct frozen {
	struct pool_rig *p;
	bool on;
};

static void freeze(void *arg)
{
	const struct frozen *f = arg;
	struct otd_msg *m =
		otd_msg_create(f->on ? OTD_MSG_FREEZE : OTD_MSG_THAW, 0, sizeof(struct otd_msg), 0);
	if (otd_mailbox_send(otd_reactor_mailbox(f->p->rig.reactor), m))
		abort();
}

static void set_frozen(struct pool_rig *p, bool on)
{
	struct frozen f = {p, on};
	freeze(&f);
}

/* All of from's sessions to to, whose loop does not run. */
static size_t hand_over(struct pool_rig *from, struct pool_rig *to)
{
	struct otd_bytes work, sessions;
	struct otd_image_fds fds = {0};
	struct otd_image_fds told = {0};
	struct otd_job_orders orders;
	struct otd_err err = {0};
	struct otd_session_record r;
	const struct otd_ticket ticket = {.reactor = 3};
	otd_bytes_init(&work, 1u << 24);
	otd_bytes_init(&sessions, 1u << 24);
	otd_reactor_save_pool(from->rig.reactor, 0, &work);
	size_t n = otd_stratum_save(from->st, &sessions, &fds, &told);
	assert_int_equal(told.n, 0); /* they are plain */
	assert_int_equal(n, fds.n);
	struct otd_span image = otd_bytes_span(&work);
	assert_int_equal(otd_reactor_load_pool(to->rig.reactor, 0, &image, 1, &orders, &err),
			 OTD_OK);
	otd_stratum_load_jobs(to->st);
	struct otd_unpack in = otd_unpack_of(otd_bytes_span(&sessions));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(otd_session_record_read(&r, &in, &err), OTD_OK);
		assert_int_equal(otd_stratum_load(to->st, fds.fd[i], 0, &ticket, &r, &orders),
				 OTD_OK);
	}
	assert_int_equal(in.left, 0);
	free(fds.fd);
	otd_bytes_finish(&work);
	otd_bytes_finish(&sessions);
	return n;
}

static void one_server_takes_over_from_another(void **state)
{
	struct pool_rig from, to;
	struct client c, shy;
	char answer[512];
	uint32_t nonce, second;
	const struct otd_u256 none = otd_u256_zero();
	(void)state;
	pool_begin(&from, "1e-6", 0);
	pool_begin(&to, "1e-6", 0);
	rig_stop(&to.rig);
	client_open(&c, &from);
	client_open(&shy, &from);
	rig_job(&from.rig, &(struct job_spec){.job = 1,
					      .flags = OTD_JOB_CLEAN,
					      .block_target = target_of("1e6")});
	client_login(&c);
	client_until_notify(&c, 1);
	nonce = client_mine(&c, target_of("1e-6"), none, 0);
	second = client_mine(&c, target_of("1e-6"), none, nonce + 1);
	client_submit(&c, "goodA.rig", c.job, nonce, "5");
	assert_non_null(strstr(client_answer(&c), "\"result\":true"));
	client_send(&shy, "{\"id\":1,\"method\":\"mining.subs");

	set_frozen(&from, true);
	assert_true(rig_wait(&from.rig, &from.rig.n_drained, 1));
	/* What comes now waits in the socket. */
	client_submit(&c, "goodA.rig", c.job, nonce, "6");
	client_submit(&c, "goodA.rig", c.job, second, "7");
	rig_stop(&from.rig);
	assert_int_equal(hand_over(&from, &to), 2);
	rig_start(&to.rig);
	snprintf(answer, sizeof(answer), "%s", client_answer(&c));
	assert_non_null(strstr(answer, "\"id\":6"));
	assert_non_null(strstr(answer, "[22,"));
	assert_non_null(strstr(client_answer(&c), "\"result\":true"));
	client_send(&shy, "cribe\",\"params\":[]}\n");
	assert_non_null(strstr(client_answer(&shy), "\"id\":1"));
	close(c.fd);
	close(shy.fd);
	pool_end(&to);
	pool_end(&from);
}

static void thawed_it_goes_on(void **state)
{
	struct pool_rig p;
	struct client c;
	uint32_t nonce;
	const struct otd_u256 none = otd_u256_zero();
	(void)state;
	pool_begin(&p, "1e-6", 0);
	client_open(&c, &p);
	rig_job(&p.rig, &(struct job_spec){.job = 1,
					   .flags = OTD_JOB_CLEAN,
					   .block_target = target_of("1e6")});
	client_login(&c);
	client_until_notify(&c, 1);
	for (unsigned turn = 1; turn < 4; turn++) {
		set_frozen(&p, true);
		assert_true(rig_wait(&p.rig, &p.rig.n_drained, turn));
		nonce = client_mine(&c, target_of("1e-6"), none, turn << 24);
		client_submit(&c, "goodA.rig", c.job, nonce, "9");
		set_frozen(&p, false);
		assert_non_null(strstr(client_answer(&c), "\"result\":true"));
	}
	close(c.fd);
	pool_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(garbled_ones_are_refused_or_whole),
		cmocka_unit_test(records_of_other_versions),
		cmocka_unit_test(one_server_takes_over_from_another),
		cmocka_unit_test(thawed_it_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
