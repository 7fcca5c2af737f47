/* Lists of networks: what stands in a file, and the longest prefix wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/lists.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fake_random(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 9, n);
}

static const struct otd_env_ops fake_ops = {.random = fake_random};
static struct otd_env fake_env = {&fake_ops, NULL};

static struct otd_lists *lists_open(size_t max)
{
	struct otd_lists *l;

	assert_int_equal(otd_lists_create(&l, &fake_env, max), OTD_OK);
	return l;
}

static void add(struct otd_lists *l, enum otd_list which, const char *net)
{
	struct otd_err err = {0};

	assert_int_equal(otd_lists_add(l, which, net, strlen(net), &err), OTD_OK);
}

static void longest_prefix_wins(void **state)
{
	struct otd_lists *l = lists_open(0);

	(void)state;
	assert_int_equal(otd_lists_find(NULL, "10.1.2.3"), OTD_LIST_NONE);
	assert_int_equal(otd_lists_find(l, "10.1.2.3"), OTD_LIST_NONE);
	add(l, OTD_LIST_DENY, "10.0.0.0/8");
	add(l, OTD_LIST_ALLOW, "10.1.0.0/16");
	add(l, OTD_LIST_GREY, "10.1.2.0/24");
	add(l, OTD_LIST_DENY, "10.1.2.3");
	add(l, OTD_LIST_GREY, "2001:db8::/32");
	add(l, OTD_LIST_ALLOW, "2001:db8:0:1::/64");
	add(l, OTD_LIST_DENY, "::ffff:192.0.2.0/120");
	assert_int_equal(otd_lists_find(l, "10.9.9.9"), OTD_LIST_DENY);
	assert_int_equal(otd_lists_find(l, "10.1.9.9"), OTD_LIST_ALLOW);
	assert_int_equal(otd_lists_find(l, "10.1.2.4"), OTD_LIST_GREY);
	assert_int_equal(otd_lists_find(l, "10.1.2.3"), OTD_LIST_DENY);
	assert_int_equal(otd_lists_find(l, "::ffff:10.1.2.3"), OTD_LIST_DENY);
	assert_int_equal(otd_lists_find(l, "11.1.2.3"), OTD_LIST_NONE);
	assert_int_equal(otd_lists_find(l, "192.0.2.77"), OTD_LIST_DENY);
	assert_int_equal(otd_lists_find(l, "2001:db8:5::1"), OTD_LIST_GREY);
	assert_int_equal(otd_lists_find(l, "2001:db8:0:1::7"), OTD_LIST_ALLOW);
	assert_int_equal(otd_lists_find(l, "2001:db9::1"), OTD_LIST_NONE);
	assert_int_equal(otd_lists_find(l, "nobody"), OTD_LIST_NONE);
	add(l, OTD_LIST_GREY, "::/0");
	assert_int_equal(otd_lists_find(l, "2001:db9::1"), OTD_LIST_GREY);
	assert_int_equal(otd_lists_find(l, "11.1.2.3"), OTD_LIST_NONE); /* IPv4 is no part of it */
	assert_int_equal(otd_lists_count(l, OTD_LIST_DENY), 3);
	otd_lists_destroy(l);
	otd_lists_destroy(NULL);
}

static void refused(struct otd_lists *l, const char *net, otd_rc rc, const char *says)
{
	struct otd_err err = {0};

	assert_int_equal(otd_lists_add(l, OTD_LIST_GREY, net, strlen(net), &err), rc);
	if (!strstr(err.text, says))
		fail_msg("'%s' is refused with: %s", net, err.text);
}

static void what_is_no_network_is_refused(void **state)
{
	struct otd_lists *l = lists_open(2);

	(void)state;
	refused(l, "", OTD_E_INVALID, "no address");
	refused(l, "10.0.0.0/33", OTD_E_INVALID, "'10.0.0.0/33' is no IPv4");
	refused(l, "10.0.0/8", OTD_E_INVALID, "'10.0.0/8'");
	refused(l, "10.0.0.1/8", OTD_E_INVALID, "10.0.0.0/8");
	refused(l, "10.0.0.0/08", OTD_E_INVALID, "'10.0.0.0/08'");
	refused(l, "example.org", OTD_E_INVALID, "names are not looked up");
	refused(l,
		"1111:2222:3333:4444:5555:6666:7777:8888/128 and more words than any network has",
		OTD_E_INVALID, "is no IPv4");
	add(l, OTD_LIST_DENY, "10.0.0.0/8");
	refused(l, "10.0.0.0/8", OTD_E_EXISTS, "list deny");
	add(l, OTD_LIST_DENY, "10.0.0.0/8"); /* again is nothing new */
	add(l, OTD_LIST_GREY, "10.0.0.1/32");
	refused(l, "10.0.0.2", OTD_E_RANGE, "more than 2 networks");
	add(l, OTD_LIST_GREY, "10.0.0.1"); /* it stands in there already */
	assert_int_equal(otd_lists_count(l, OTD_LIST_GREY), 1);
	otd_lists_destroy(l);
}

static otd_rc read_text(struct otd_lists *l, const char *text, struct otd_err *err)
{
	struct otd_span s = {(const uint8_t *)text, strlen(text)};

	return otd_lists_read(l, OTD_LIST_DENY, "bad.txt", s, err);
}

static void files_are_a_network_a_line(void **state)
{
	struct otd_lists *l = lists_open(0);
	struct otd_err err = {0};

	(void)state;
	assert_int_equal(read_text(l,
				   "; Spamhaus\n1.10.16.0/20 ; SBL256894\r\n\n  # "
				   "none\n\t9.9.9.9\n2001:db8::/32#x",
				   &err),
			 OTD_OK);
	assert_int_equal(otd_lists_count(l, OTD_LIST_DENY), 3);
	assert_int_equal(otd_lists_find(l, "1.10.17.1"), OTD_LIST_DENY);
	assert_int_equal(read_text(l, "", &err), OTD_OK);
	assert_int_equal(read_text(l, "8.8.8.8\n\n8.8.8.8 4\n", &err), OTD_E_INVALID);
	assert_memory_equal(err.text, "bad.txt:3: '8.8.8.8 4'", 22);
	otd_lists_destroy(l);
}

static void a_hundred_thousand(void **state)
{
	enum { N = 100000 };
	struct otd_lists *l = lists_open(0);
	char *text = malloc(N * 20), *at = text;
	struct otd_err err = {0};
	char host[32];

	(void)state;
	for (int i = 0; i < N; i++)
		at += snprintf(at, 20, "%d.%d.%d.0/24\n", 1 + i / 65536, i / 256 % 256, i % 256);
	assert_int_equal(read_text(l, text, &err), OTD_OK);
	assert_int_equal(otd_lists_count(l, OTD_LIST_DENY), N);
	for (int i = 0; i < N; i++) {
		snprintf(host, sizeof(host), "%d.%d.%d.%d", 1 + i / 65536, i / 256 % 256, i % 256,
			 i % 255);
		assert_int_equal(otd_lists_find(l, host), OTD_LIST_DENY);
	}
	assert_int_equal(otd_lists_find(l, "200.0.0.1"), OTD_LIST_NONE);
	free(text);
	otd_lists_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_prefix_wins),
		cmocka_unit_test(what_is_no_network_is_refused),
		cmocka_unit_test(files_are_a_network_a_line),
		cmocka_unit_test(a_hundred_thousand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
