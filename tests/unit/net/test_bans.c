/* Bans: what people write, who is kept out, and when a ban is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/bans.h"
#include "net/listener.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1700000000000

static int64_t wall_ms = NOW;

static uint64_t fake_mono(struct otd_env *e)
{
	(void)e;
	return (uint64_t)wall_ms * 1000000;
}

static int64_t fake_wall(struct otd_env *e)
{
	(void)e;
	return wall_ms;
}

static void fake_random(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 7, n);
}

static const struct otd_env_ops fake_ops = {
	.mono_ns = fake_mono, .wall_ms = fake_wall, .random = fake_random};
static struct otd_env fake_env = {&fake_ops, NULL};

static struct otd_bans *make(size_t max)
{
	struct otd_bans *b;
	wall_ms = NOW;
	assert_int_equal(otd_bans_create(&b, &fake_env, max), OTD_OK);
	return b;
}

static uint64_t last_id;

/* Bans what a person wrote; the result of the table. */
static otd_rc ban_until(struct otd_bans *b, enum otd_ban_scope scope, const char *text,
			int64_t until_ms)
{
	char what[OTD_BAN_WHAT_MAX + 1];
	struct otd_err err = {0};
	assert_int_equal(otd_ban_what(what, scope, text, strlen(text), &err), OTD_OK);
	const struct otd_ban ban = {.id = ++last_id,
				    .scope = scope,
				    .created_ms = wall_ms,
				    .until_ms = until_ms,
				    .what = what,
				    .reason = "a test"};
	otd_rc rc = otd_bans_add(b, &ban, &err);
	assert_int_equal(rc != OTD_OK, err.text[0] != 0);
	return rc;
}

static otd_rc ban(struct otd_bans *b, enum otd_ban_scope scope, const char *text)
{
	return ban_until(b, scope, text, 0);
}

static void is(enum otd_ban_scope scope, const char *text, const char *canonical)
{
	char what[OTD_BAN_WHAT_MAX + 1];
	struct otd_err err = {0};
	otd_rc rc = otd_ban_what(what, scope, text, strlen(text), &err);
	if (!canonical) {
		assert_int_equal(rc, OTD_E_INVALID);
		assert_true(err.text[0] != 0);
		return;
	}
	if (rc)
		print_error("%s: %s\n", text, err.text);
	assert_int_equal(rc, OTD_OK);
	assert_string_equal(what, canonical);
}

static void texts_have_one_form(void **state)
{
	(void)state;
	is(OTD_BAN_IP, "10.1.2.3", "10.1.2.3");
	is(OTD_BAN_IP, "10.1.2.3/32", "10.1.2.3");
	is(OTD_BAN_IP, "::ffff:10.1.2.3", "10.1.2.3");
	is(OTD_BAN_IP, "::ffff:a01:203", "10.1.2.3");
	is(OTD_BAN_IP, "2001:DB8:1:2:3:4:5:6", "2001:db8:1:2::/64");
	is(OTD_BAN_IP, "2001:db8:1:2:3:4:5:6/128", "2001:db8:1:2::/64");
	is(OTD_BAN_IP, "2001:db8:1:2::/64", "2001:db8:1:2::/64");
	is(OTD_BAN_IP, "10.1.2.0/24", NULL);
	is(OTD_BAN_IP, "2001:db8::/32", NULL);
	is(OTD_BAN_IP, "10.1.2", NULL);
	is(OTD_BAN_IP, "10.1.2.3.4", NULL);
	is(OTD_BAN_IP, "010.1.2.3", NULL);
	is(OTD_BAN_IP, "pool.example", NULL);
	is(OTD_BAN_IP, "", NULL);
	is(OTD_BAN_IP, "fe80::1%eth0", NULL);
	is(OTD_BAN_PREFIX, "10.1.0.0/16", "10.1.0.0/16");
	is(OTD_BAN_PREFIX, "0.0.0.0/0", "0.0.0.0/0");
	is(OTD_BAN_PREFIX, "::/0", "::/0");
	is(OTD_BAN_PREFIX, "10.1.2.3/32", "10.1.2.3/32");
	is(OTD_BAN_PREFIX, "::ffff:10.1.0.0/112", "10.1.0.0/16");
	is(OTD_BAN_PREFIX, "2001:DB8::/33", "2001:db8::/33");
	is(OTD_BAN_PREFIX, "10.1.2.3/16", NULL); /* bits behind the prefix */
	is(OTD_BAN_PREFIX, "10.1.2.3", NULL);
	is(OTD_BAN_PREFIX, "10.0.0.0/33", NULL);
	is(OTD_BAN_PREFIX, "10.0.0.0/", NULL);
	is(OTD_BAN_PREFIX, "10.0.0.0/08", NULL);
	is(OTD_BAN_PREFIX, "10.0.0.0/-1", NULL);
	is(OTD_BAN_PREFIX, "10.0.0.0/8 ", NULL);
	is(OTD_BAN_PREFIX, "::/129", NULL);
	is(OTD_BAN_ACCOUNT, "dev/bcrt1qx", "dev/bcrt1qx");
	is(OTD_BAN_ACCOUNT, "dev/bcrt1qx.rig", NULL);
	is(OTD_BAN_ACCOUNT, "bcrt1qx", NULL);
	is(OTD_BAN_ACCOUNT, "/bcrt1qx", NULL);
	is(OTD_BAN_ACCOUNT, "dev/", NULL);
	is(OTD_BAN_ACCOUNT, "dev/bcrt1\n", NULL);
	is(OTD_BAN_ACCOUNT, "dev/\xff", NULL);
	is(OTD_BAN_WORKER, "dev/bcrt1qx.rig.2", "dev/bcrt1qx.rig.2");
	is(OTD_BAN_WORKER, "dev/bcrt1qx.", "dev/bcrt1qx.");
	is(OTD_BAN_WORKER, "dev/bcrt1qx", NULL);
	is(OTD_BAN_WORKER, "dev/.rig", NULL);
	char longest[OTD_BAN_WHAT_MAX + 2];
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "dev/", 4);
	longest[OTD_BAN_WHAT_MAX] = 0;
	is(OTD_BAN_ACCOUNT, longest, longest);
	longest[OTD_BAN_WHAT_MAX] = 'a';
	longest[OTD_BAN_WHAT_MAX + 1] = 0;
	is(OTD_BAN_ACCOUNT, longest, NULL);
}

static void the_mend_is_named(void **state)
{
	char what[OTD_BAN_WHAT_MAX + 1];
	struct otd_err err = {0};
	(void)state;
	assert_int_equal(otd_ban_what(what, OTD_BAN_PREFIX, "10.1.2.3/16", 11, &err),
			 OTD_E_INVALID);
	assert_non_null(strstr(err.text, "10.1.0.0/16"));
	err = (struct otd_err){0};
	assert_int_equal(otd_ban_what(what, OTD_BAN_PREFIX, "a\nb", 3, &err), OTD_E_INVALID);
	assert_null(strchr(err.text, '\n'));
}

static void reasons_are_clean(void **state)
{
	char text[OTD_BAN_REASON_MAX + 1];
	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(otd_ban_reason_check(text, OTD_BAN_REASON_MAX, NULL), OTD_OK);
	assert_int_equal(otd_ban_reason_check(text, OTD_BAN_REASON_MAX + 1, NULL), OTD_E_INVALID);
	assert_int_equal(otd_ban_reason_check("", 0, NULL), OTD_E_INVALID);
	assert_int_equal(otd_ban_reason_check("a\tb", 3, NULL), OTD_E_INVALID);
	assert_int_equal(otd_ban_reason_check("\xc2\x85", 2, NULL), OTD_E_INVALID);
	assert_int_equal(otd_ban_reason_check("gr\xc3\xbc\xc3\x9f", 6, NULL), OTD_OK);
}

static const char *kept_out_by(const struct otd_bans *b, const char *host)
{
	const struct otd_ban *x = otd_bans_host(b, host);
	return x ? x->what : "";
}

static void the_longest_prefix_is_named(void **state)
{
	struct otd_bans *b = make(0);
	(void)state;
	assert_int_equal(ban(b, OTD_BAN_PREFIX, "10.0.0.0/8"), OTD_OK);
	assert_int_equal(ban(b, OTD_BAN_PREFIX, "10.1.0.0/16"), OTD_OK);
	assert_int_equal(ban(b, OTD_BAN_IP, "10.1.2.3"), OTD_OK);
	assert_string_equal(kept_out_by(b, "10.1.2.3"), "10.1.2.3");
	assert_string_equal(kept_out_by(b, "::ffff:10.1.2.3"), "10.1.2.3");
	assert_string_equal(kept_out_by(b, "10.1.2.4"), "10.1.0.0/16");
	assert_string_equal(kept_out_by(b, "10.2.0.1"), "10.0.0.0/8");
	assert_string_equal(kept_out_by(b, "11.0.0.1"), "");
	assert_string_equal(kept_out_by(b, "a00::1"), ""); /* the same first byte */
	assert_string_equal(kept_out_by(b, ""), "");
	/* One goes, those round it stay. */
	assert_true(otd_bans_remove(b, OTD_BAN_PREFIX, "10.1.0.0/16"));
	assert_false(otd_bans_remove(b, OTD_BAN_PREFIX, "10.1.0.0/16"));
	assert_string_equal(kept_out_by(b, "10.1.2.4"), "10.0.0.0/8");
	assert_string_equal(kept_out_by(b, "10.1.2.3"), "10.1.2.3");
	otd_bans_destroy(b);
	otd_bans_destroy(NULL);
}

static void families_are_apart(void **state)
{
	struct otd_bans *b = make(0);
	(void)state;
	assert_int_equal(ban(b, OTD_BAN_PREFIX, "::/0"), OTD_OK);
	assert_string_equal(kept_out_by(b, "2001:db8::1"), "::/0");
	assert_string_equal(kept_out_by(b, "10.0.0.1"), "");
	assert_string_equal(kept_out_by(b, "::ffff:10.0.0.1"), "");
	assert_int_equal(ban(b, OTD_BAN_PREFIX, "0.0.0.0/0"), OTD_OK);
	assert_string_equal(kept_out_by(b, "::ffff:10.0.0.1"), "0.0.0.0/0");
	otd_bans_destroy(b);
	/* ::1 is banned with its /64, in which the mapped IPv4 addresses lie by their bits. */
	b = make(0);
	assert_int_equal(ban(b, OTD_BAN_IP, "::1"), OTD_OK);
	assert_string_equal(kept_out_by(b, "::ffff:10.0.0.1"), "");
	assert_string_equal(kept_out_by(b, "::2"), "::/64");
	otd_bans_destroy(b);
}

static void ipv6_hosts_are_their_64(void **state)
{
	struct otd_bans *b = make(0);
	(void)state;
	assert_int_equal(ban(b, OTD_BAN_IP, "2001:db8:1:2::5"), OTD_OK);
	assert_string_equal(kept_out_by(b, "2001:db8:1:2:ffff::9"), "2001:db8:1:2::/64");
	assert_string_equal(kept_out_by(b, "2001:db8:1:3::5"), "");
	assert_int_equal(ban(b, OTD_BAN_PREFIX, "2001:db8:1:2::/64"), OTD_E_EXISTS);
	assert_int_equal(ban(b, OTD_BAN_PREFIX, "2001:db8:9::/127"), OTD_OK);
	assert_string_equal(kept_out_by(b, "2001:db8:9::1"), "2001:db8:9::/127");
	assert_string_equal(kept_out_by(b, "2001:db8:9::2"), "");
	otd_bans_destroy(b);
}

static struct otd_span span(const char *s)
{
	return (struct otd_span){(const uint8_t *)s, strlen(s)};
}

static const char *user_kept_out_by(const struct otd_bans *b, const char *pool, const char *account,
				    const char *name)
{
	const struct otd_ban *x = otd_bans_user(b, pool, span(account), span(name));
	return x ? x->what : "";
}

static void names_are_exact(void **state)
{
	struct otd_bans *b = make(0);
	(void)state;
	assert_string_equal(user_kept_out_by(b, "dev", "x", "rig"), "");
	assert_int_equal(ban(b, OTD_BAN_WORKER, "dev/x.rig"), OTD_OK);
	assert_int_equal(ban(b, OTD_BAN_WORKER, "dev/y."), OTD_OK);
	assert_int_equal(ban(b, OTD_BAN_ACCOUNT, "dev/z"), OTD_OK);
	assert_string_equal(user_kept_out_by(b, "dev", "x", "rig"), "dev/x.rig");
	assert_string_equal(user_kept_out_by(b, "dev", "x", "rig2"), "");
	assert_string_equal(user_kept_out_by(b, "dev", "x", ""), "");
	assert_string_equal(user_kept_out_by(b, "de", "v/x", "rig"), "");
	assert_string_equal(user_kept_out_by(b, "dev2", "x", "rig"), "");
	assert_string_equal(user_kept_out_by(b, "dev", "y", ""), "dev/y.");
	assert_string_equal(user_kept_out_by(b, "dev", "z", "any"), "dev/z");
	assert_string_equal(user_kept_out_by(b, "dev", "z", ""), "dev/z");
	/* An account and a worker of the same letters are two things. */
	assert_true(otd_bans_remove(b, OTD_BAN_WORKER, "dev/x.rig"));
	assert_string_equal(user_kept_out_by(b, "dev", "x", "rig"), "");
	assert_non_null(otd_bans_find(b, OTD_BAN_ACCOUNT, "dev/z"));
	assert_null(otd_bans_find(b, OTD_BAN_WORKER, "dev/z"));
	otd_bans_destroy(b);
}

static void time_ends_them(void **state)
{
	struct otd_bans *b = make(2);
	(void)state;
	assert_int_equal(ban_until(b, OTD_BAN_IP, "10.0.0.1", NOW + 1000), OTD_OK);
	uint64_t id = last_id;
	assert_int_equal(ban_until(b, OTD_BAN_ACCOUNT, "dev/x", NOW + 2000), OTD_OK);
	assert_int_equal(ban(b, OTD_BAN_IP, "10.0.0.2"), OTD_E_RANGE); /* full */
	assert_int_equal(ban(b, OTD_BAN_IP, "10.0.0.1"), OTD_E_RANGE);
	wall_ms = NOW + 999;
	assert_string_equal(kept_out_by(b, "10.0.0.1"), "10.0.0.1");
	assert_non_null(otd_bans_by_id(b, id));
	wall_ms = NOW + 1000;
	assert_string_equal(kept_out_by(b, "10.0.0.1"), "");
	assert_null(otd_bans_by_id(b, id));
	assert_null(otd_bans_find(b, OTD_BAN_IP, "10.0.0.1"));
	assert_int_equal(otd_bans_expire(b), 1);
	assert_int_equal(ban(b, OTD_BAN_IP, "10.0.0.1"), OTD_OK); /* again, in its place */
	wall_ms = NOW + 2000;
	assert_string_equal(user_kept_out_by(b, "dev", "x", "rig"), "");
	assert_int_equal(otd_bans_expire(b), 1);
	wall_ms = INT64_MAX;
	assert_int_equal(otd_bans_expire(b), 1); /* the one for good */
	otd_bans_destroy(b);
}

static void count(void *arg, const struct otd_ban *x)
{
	(void)x;
	++*(size_t *)arg;
}

static void many_are_as_few(void **state)
{
	struct otd_bans *b = make(0);
	char text[64];
	size_t n = 0;
	(void)state;
	for (unsigned i = 0; i < OTD_BANS_MAX; i++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/%u", i >> 8, i & 255, 24);
		assert_int_equal(ban_until(b, OTD_BAN_PREFIX, text, i % 2 ? 0 : NOW + 1 + i),
				 OTD_OK);
	}
	assert_int_equal(ban(b, OTD_BAN_IP, "11.0.0.1"), OTD_E_RANGE);
	assert_string_equal(kept_out_by(b, "10.255.255.7"), "10.255.255.0/24");
	assert_string_equal(kept_out_by(b, "11.255.255.7"), "");
	wall_ms = NOW + 2 * OTD_BANS_MAX;
	assert_int_equal(otd_bans_expire(b), OTD_BANS_MAX / 2);
	otd_bans_each(b, count, &n);
	assert_int_equal(n, OTD_BANS_MAX / 2);
	assert_string_equal(kept_out_by(b, "10.255.255.7"), "10.255.255.0/24");
	assert_string_equal(kept_out_by(b, "10.255.254.7"), "");
	otd_bans_destroy(b);
}

/* Against the plain definition: an address is in a prefix where its first bits are the same. */
static void every_bit_counts(void **state)
{
	struct otd_bans *b = make(0);
	struct otd_ban_net net;
	(void)state;
	for (unsigned bits = 0; bits <= 32; bits++) {
		char text[64], host[64];
		uint32_t a = 0xC0A81234u,
			 cut = bits ? a & (uint32_t)(0xffffffffull << (32 - bits)) : 0;
		struct in_addr in = {htonl(cut)};
		snprintf(text, sizeof(text), "%s/%u", inet_ntoa(in), bits);
		assert_int_equal(otd_ban_net_parse(&net, text), OTD_OK);
		assert_int_equal(ban(b, OTD_BAN_PREFIX, text), OTD_OK);
		for (unsigned flip = 0; flip < 32; flip++) {
			in.s_addr = htonl(a ^ (0x80000000u >> flip));
			snprintf(host, sizeof(host), "%s", inet_ntoa(in));
			assert_int_equal(otd_ban_net_has(&net, host), flip >= bits);
			assert_int_equal(otd_bans_host(b, host) != NULL, flip >= bits);
		}
		assert_true(otd_bans_remove(b, OTD_BAN_PREFIX, text));
	}
	otd_bans_destroy(b);
}

static void loopback_is_known(void **state)
{
	static const struct {
		const char *what;
		bool is;
	} rows[] = {{"127.0.0.1", true},    {"127.1.2.3", true},      {"126.0.0.1", false},
		    {"127.0.0.0/8", true},  {"0.0.0.0/0", true},      {"64.0.0.0/2", true},
		    {"128.0.0.0/1", false}, {"127.9.0.0/16", true},   {"::/0", true},
		    {"::/64", true},        {"2001:db8::/32", false}, {"::2/127", false}};
	struct otd_ban_net net;
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(otd_ban_net_parse(&net, rows[i].what), OTD_OK);
		assert_int_equal(otd_ban_net_loopback(&net), rows[i].is);
	}
}

static void the_gate_turns_them_away(void **state)
{
	struct otd_bans *b = make(0);
	struct otd_gate *g;
	struct otd_gate_conf conf = {0};
	struct otd_ticket t;
	const char *reason;
	(void)state;
	assert_int_equal(otd_gate_create(&g, &fake_env, &conf, 1, NULL), OTD_OK);
	otd_gate_set_bans(g, b);
	assert_int_equal(otd_gate_enter(g, &t, "10.0.0.1", &reason), OTD_OK);
	assert_int_equal(ban_until(b, OTD_BAN_PREFIX, "10.0.0.0/8", NOW + 10), OTD_OK);
	assert_int_equal(otd_gate_enter(g, &t, "10.0.0.1", &reason), OTD_E_BUSY);
	assert_string_equal(reason, "banned");
	assert_int_equal(otd_gate_count(g), 1);
	assert_int_equal(otd_gate_enter(g, &t, "11.0.0.1", &reason), OTD_OK);
	wall_ms = NOW + 10;
	assert_int_equal(otd_gate_enter(g, &t, "10.0.0.1", &reason), OTD_OK);
	otd_gate_destroy(g);
	otd_bans_destroy(b);
}

static void words_for_miners(void **state)
{
	char text[OTD_BAN_TEXT];
	(void)state;
	assert_string_equal(otd_ban_text(text, "spam", 1772366400000),
			    "banned until 2026-03-01 12:00:00 UTC: spam");
	assert_string_equal(otd_ban_text(text, "spam", 0), "banned for good: spam");
	assert_string_equal(otd_ban_scope_name(OTD_BAN_PREFIX), "prefix");
	enum otd_ban_scope s;
	assert_int_equal(otd_ban_scope_parse(&s, "ip", 2), OTD_OK);
	assert_int_equal(s, OTD_BAN_IP);
	assert_int_equal(otd_ban_scope_parse(&s, "unknown", 7), OTD_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_have_one_form),
		cmocka_unit_test(the_mend_is_named),
		cmocka_unit_test(reasons_are_clean),
		cmocka_unit_test(the_longest_prefix_is_named),
		cmocka_unit_test(families_are_apart),
		cmocka_unit_test(ipv6_hosts_are_their_64),
		cmocka_unit_test(names_are_exact),
		cmocka_unit_test(time_ends_them),
		cmocka_unit_test(many_are_as_few),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(loopback_is_known),
		cmocka_unit_test(the_gate_turns_them_away),
		cmocka_unit_test(words_for_miners),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
