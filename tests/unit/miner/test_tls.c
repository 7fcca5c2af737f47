/* The miner's TLS against the pool's, in memory: who is believed, what is said of the others, tickets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "miner/internal.h"
#include "net/tls.h"
#include "tls_pair.h"
#include <stdio.h>

#define DAY 86400L

static struct otd_env *env;
static struct otd_tls_tickets *tickets;

/* A pool with this certificate, and a miner that believes this. */
struct both {
	struct pem_pair pair;
	struct otd_tls *server;
	struct otd_filter *filter;
	struct otd_miner_tls *miner;
	struct otd_bytes to_server, to_miner, heard; /* heard: by the server */
	struct otd_err err;
	char digest[65];
};

static int group_setup(void **state)
{
	struct otd_err err = {0};
	(void)state;
	if (otd_env_real_create(&env, NULL, &err))
		fail_msg("%s", err.text);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	otd_tls_tickets_destroy(tickets);
	otd_env_real_destroy(env);
	return 0;
}

static void begin(struct both *b, const char *name, long from_s, long until_s)
{
	struct otd_tls_facts facts;
	memset(b, 0, sizeof(*b));
	b->pair = pair_make(PAIR_EC, name, from_s, until_s);
	otd_bytes_init(&b->to_server, 1 << 20);
	otd_bytes_init(&b->to_miner, 1 << 20);
	otd_bytes_init(&b->heard, 1 << 20);
	if (!tickets && otd_tls_tickets_create(&tickets, env, &b->err))
		fail_msg("%s", b->err.text);
	const struct otd_tls_conf conf = {
		.certificate_file = "certificate",
		.key_file = "key",
		.certificate = {(const uint8_t *)b->pair.certificate, strlen(b->pair.certificate)},
		.key = {(const uint8_t *)b->pair.key, strlen(b->pair.key)},
		.tickets = tickets,
		.env = env};
	if (otd_tls_create(&b->server, &conf, &b->err))
		fail_msg("%s", b->err.text);
	otd_tls_facts(b->server, &facts);
	memcpy(b->digest, facts.digest, sizeof(b->digest));
}

static void believe(struct both *b, struct otd_miner_trust trust)
{
	if (otd_miner_tls_create(&b->miner, &trust, &b->err))
		fail_msg("%s", b->err.text);
}

static struct otd_miner_trust its_own(const struct both *b)
{
	return (struct otd_miner_trust){
		.ca = {(const uint8_t *)b->pair.certificate, strlen(b->pair.certificate)},
		.ca_file = "own.pem"};
}

static void hang_up(struct both *b)
{
	if (b->miner)
		otd_miner_tls_end(b->miner, &b->to_server);
	if (b->filter)
		b->filter->ops->destroy(b->filter);
	b->filter = NULL;
	otd_bytes_clear(&b->to_server);
	otd_bytes_clear(&b->to_miner);
	otd_bytes_clear(&b->heard);
}

static void end(struct both *b)
{
	hang_up(b);
	otd_miner_tls_destroy(b->miner);
	otd_tls_destroy(b->server);
	otd_bytes_finish(&b->to_server);
	otd_bytes_finish(&b->to_miner);
	otd_bytes_finish(&b->heard);
	free(b->pair.certificate);
	free(b->pair.key);
}

/* Bytes to and fro until nobody has any for the other, as the sockets would bring them. */
static otd_rc converse(struct both *b, uint8_t *to, size_t cap, size_t *n)
{
	otd_rc rc = OTD_E_BUSY;
	*n = 0;
	for (int i = 0; i < 200 && (rc == OTD_E_BUSY || rc == OTD_OK); i++) {
		size_t got = 0;
		if (!b->to_server.len && !b->to_miner.len && rc == OTD_E_BUSY && i)
			break;
		if (b->to_server.len &&
		    b->filter->ops->take(b->filter, otd_bytes_span(&b->to_server), &b->heard,
					 &b->to_miner))
			otd_bytes_clear(&b->to_server); /* what it answers still counts */
		otd_bytes_clear(&b->to_server);
		assert_int_equal(otd_miner_tls_feed(b->miner, otd_bytes_span(&b->to_miner)),
				 OTD_OK);
		otd_bytes_clear(&b->to_miner);
		rc = otd_miner_tls_read(b->miner, to + *n, cap - *n, &got, &b->to_server);
		*n += got;
	}
	return rc;
}

static otd_rc shake_hands(struct both *b, const char *host, uint32_t slot)
{
	uint8_t some[256];
	size_t n;
	assert_int_equal(otd_tls_filter(b->server, &b->filter, "test"), OTD_OK);
	assert_int_equal(otd_miner_tls_begin(b->miner, host, slot, &b->to_server), OTD_OK);
	otd_rc rc = converse(b, some, sizeof(some), &n);
	assert_int_equal(n, 0);
	assert_int_equal(otd_miner_tls_is_up(b->miner), rc == OTD_E_BUSY);
	return rc;
}

static void expect_refusal(struct both *b, const char *host, const char *why)
{
	assert_int_equal(shake_hands(b, host, 0), OTD_E_INVALID);
	if (!strstr(otd_miner_tls_why(b->miner), why))
		fail_msg("%s", otd_miner_tls_why(b->miner));
}

static void lines_go_both_ways(void **state)
{
	static uint8_t much[100000];
	struct otd_bytes plain;
	struct both b;
	size_t n;
	(void)state;
	begin(&b, "pool.example", -DAY, DAY);
	believe(&b, its_own(&b));
	assert_int_equal(shake_hands(&b, "pool.example", 0), OTD_E_BUSY);
	assert_string_equal(otd_miner_tls_name(b.miner), "TLSv1.3");
	assert_string_equal(otd_miner_tls_why(b.miner), "");
	otd_bytes_init(&plain, sizeof(much));
	for (size_t i = 0; i < sizeof(much) / 2; i++)
		much[i] = (uint8_t)(i * 7);
	assert_int_equal(otd_bytes_add(&plain, much, sizeof(much) / 2), OTD_OK);
	assert_int_equal(otd_miner_tls_give(b.miner, &plain, &b.to_server), OTD_OK);
	assert_int_equal(plain.len, 0);
	assert_int_equal(b.filter->ops->give(b.filter, (struct otd_span){much, sizeof(much) / 2},
					     &b.to_miner),
			 OTD_OK);
	assert_int_equal(converse(&b, much + sizeof(much) / 2, sizeof(much) / 2, &n), OTD_E_BUSY);
	assert_int_equal(n, sizeof(much) / 2);
	assert_memory_equal(much, much + sizeof(much) / 2, n);
	assert_int_equal(b.heard.len, n);
	assert_memory_equal(much, b.heard.ptr, n);
	otd_bytes_finish(&plain);
	end(&b);
}

static void the_pool_may_end_it(void **state)
{
	struct both b;
	uint8_t some[64];
	size_t n;
	(void)state;
	begin(&b, "pool.example", -DAY, DAY);
	believe(&b, its_own(&b));
	assert_int_equal(shake_hands(&b, "pool.example", 0), OTD_E_BUSY);
	b.filter->ops->end(b.filter, &b.to_miner);
	assert_int_equal(converse(&b, some, sizeof(some), &n), OTD_E_CLOSED);
	end(&b);
}

static void who_is_believed(void **state)
{
	const char *pins[2] = {"00:00", NULL};
	char with_colons[100] = "";
	struct both b;
	(void)state;
	begin(&b, "pool.example", -3 * DAY, -DAY);
	/* A pin stands for itself: neither the name nor the time matters. */
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(with_colons + strlen(with_colons), 4, "%s%.2s", i ? ":" : "",
			       b.digest + 2 * i);
	pins[0] = "0000000000000000000000000000000000000000000000000000000000000000";
	pins[1] = with_colons;
	believe(&b, (struct otd_miner_trust){.pins = pins, .n_pins = 2});
	assert_int_equal(shake_hands(&b, "other.example", 0), OTD_E_BUSY);
	assert_string_equal(otd_miner_tls_name(b.miner), "TLSv1.3");
	hang_up(&b);
	otd_miner_tls_destroy(b.miner);
	believe(&b, (struct otd_miner_trust){.insecure = true});
	assert_int_equal(shake_hands(&b, "127.0.0.1", 0), OTD_E_BUSY);
	assert_non_null(strstr(otd_miner_tls_name(b.miner), "NOT checked: SHA-256 "));
	assert_non_null(strstr(otd_miner_tls_name(b.miner), b.digest));
	hang_up(&b);
	otd_miner_tls_destroy(b.miner);
	believe(&b, (struct otd_miner_trust){.pins = pins, .n_pins = 1});
	expect_refusal(&b, "pool.example", "is not the pinned one");
	assert_non_null(strstr(otd_miner_tls_why(b.miner), b.digest));
	end(&b);
}

static void who_is_not(void **state)
{
	struct both b, stranger;
	(void)state;
	begin(&b, "pool.example", -3 * DAY, -DAY);
	believe(&b, its_own(&b));
	expect_refusal(&b, "pool.example", "the pool's certificate ended on 20");
	end(&b);
	begin(&b, "pool.example", DAY, 3 * DAY);
	believe(&b, its_own(&b));
	expect_refusal(&b, "pool.example", "is not valid before 20");
	end(&b);
	begin(&b, "pool.example", -DAY, DAY);
	believe(&b, its_own(&b));
	expect_refusal(&b, "other.example", "is for pool.example, not for other.example");
	hang_up(&b);
	expect_refusal(&b, "127.0.0.1", "is for pool.example, not for 127.0.0.1");
	hang_up(&b);
	otd_miner_tls_destroy(b.miner);
	/* The system's authorities know nothing of it. */
	believe(&b, (struct otd_miner_trust){0});
	expect_refusal(&b, "pool.example", "is self-signed");
	assert_non_null(strstr(otd_miner_tls_why(b.miner), b.digest));
	hang_up(&b);
	otd_miner_tls_destroy(b.miner);
	begin(&stranger, "pool.example", -DAY, DAY);
	believe(&b, its_own(&stranger));
	expect_refusal(&b, "pool.example", "self-signed");
	end(&b);
	end(&stranger);
}

/* Refused is what makes no sense, before anything connects. */
static void trust_is_checked(void **state)
{
	static const char *const no_pin[] = {"0123"},
				 *const long_pin[] =
					 {"000000000000000000000000000000000000000000000000000000"
					  "00000000000"},
				 *const odd[] = {"zz000000000000000000000000000000000000000000000"
						 "00000000000000000"};
	static const char text[] = "hello", damaged[] =
						    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END "
						    "CERTIFICATE-----\n";
	const struct {
		struct otd_miner_trust trust;
		const char *why;
	} wrong[] = {
		{{.pins = no_pin, .n_pins = 1}, "64 hex digits"},
		{{.pins = long_pin, .n_pins = 1}, "64 hex digits"},
		{{.pins = odd, .n_pins = 1}, "64 hex digits"},
		{{.pins = no_pin, .n_pins = 17}, "at most 16"},
		{{.pins = no_pin, .n_pins = 1, .insecure = true}, "give one of them"},
		{{.ca = {(const uint8_t *)text, 5}, .insecure = true}, "give one of them"},
		{{.ca = {(const uint8_t *)text, 5}, .ca_file = "a.pem"},
		 "a.pem: has no certificate"},
		{{.ca = {(const uint8_t *)text, 0}, .ca_file = "a.pem"},
		 "a.pem: has no certificate"},
		{{.ca = {(const uint8_t *)damaged, sizeof(damaged) - 1}, .ca_file = "a.pem"},
		 "a.pem: certificate 1 is damaged"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct otd_miner_tls *t;
		struct otd_err err = {0};
		assert_int_not_equal(otd_miner_tls_create(&t, &wrong[i].trust, &err), OTD_OK);
		assert_null(t);
		if (!strstr(err.text, wrong[i].why))
			fail_msg("%zu: %s", i, err.text);
	}
}

static void tickets_are_used_on_the_way_back(void **state)
{
	struct both b;
	(void)state;
	begin(&b, "pool.example", -DAY, DAY);
	believe(&b, its_own(&b));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(shake_hands(&b, "pool.example", 3), OTD_E_BUSY);
		assert_string_equal(otd_miner_tls_name(b.miner),
				    i ? "TLSv1.3, resumed" : "TLSv1.3");
		hang_up(&b);
	}
	/* Another pool of the list, or a place that a pool has sent us to, has none of them. */
	assert_int_equal(shake_hands(&b, "pool.example", 4), OTD_E_BUSY);
	assert_string_equal(otd_miner_tls_name(b.miner), "TLSv1.3");
	hang_up(&b);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(shake_hands(&b, "pool.example", OTD_MINER_NO_SLOT), OTD_E_BUSY);
		assert_string_equal(otd_miner_tls_name(b.miner), "TLSv1.3");
		hang_up(&b);
	}
	end(&b);
}

static void what_is_no_tls_is_said_to_be_none(void **state)
{
	static const char line[] = "{\"id\":null,\"result\":null,\"error\":[20,\"?\",null]}\n";
	struct both b;
	uint8_t some[64];
	size_t n;
	(void)state;
	begin(&b, "pool.example", -DAY, DAY);
	believe(&b, its_own(&b));
	assert_int_equal(otd_miner_tls_begin(b.miner, "pool.example", 0, &b.to_server), OTD_OK);
	assert_int_equal(otd_miner_tls_feed(b.miner, (struct otd_span){(const uint8_t *)line,
								       sizeof(line) - 1}),
			 OTD_OK);
	assert_int_equal(otd_miner_tls_read(b.miner, some, sizeof(some), &n, &b.to_server),
			 OTD_E_INVALID);
	assert_non_null(strstr(otd_miner_tls_why(b.miner), "does not speak TLS on this port"));
	end(&b);
}

static void urls(void **state)
{
	static const struct {
		const char *url;
		bool good, tls;
	} u[] = {
		{"stratum+tcp://a:1", true, false},
		{"a:1", true, false},
		{"stratum+ssl://a:1", true, true},
		{"stratum+tls://a:1/", true, true},
		{"stratum+ssl://[::1]:3334", true, true},
		{"stratum+ssl://a", false, false},
		{"ssl://a:1", false, false},
		{"stratum+ssl://", false, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(u) / sizeof(u[0]); i++) {
		struct otd_miner_pool p = {.tls = !u[i].tls};
		struct otd_err err = {0};
		if ((otd_miner_url(&p, u[i].url, &err) == OTD_OK) != u[i].good)
			fail_msg("%s: %s", u[i].url, err.text);
		if (u[i].good)
			assert_int_equal(p.tls, u[i].tls);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_go_both_ways),
		cmocka_unit_test(the_pool_may_end_it),
		cmocka_unit_test(who_is_believed),
		cmocka_unit_test(who_is_not),
		cmocka_unit_test(trust_is_checked),
		cmocka_unit_test(tickets_are_used_on_the_way_back),
		cmocka_unit_test(what_is_no_tls_is_said_to_be_none),
		cmocka_unit_test(urls),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
