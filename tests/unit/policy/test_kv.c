/* What scripts remember: bounded, over in time, told to the other copies, kept over a restart. */
#include "rig.h"

static int told;
static struct otd_bytes last;

static void on_change(void *arg, const struct otd_policy_kv_change *c)
{
	(void)arg;
	told++;
	otd_bytes_clear(&last);
	assert_int_equal(otd_policy_kv_pack(&last, c), OTD_OK);
}

static struct otd_policy_kv_value number(int64_t n)
{
	return (struct otd_policy_kv_value){.number = n};
}

static struct otd_policy_kv_value words(const char *s)
{
	return (struct otd_policy_kv_value){.is_text = true,
					    .text = {(const uint8_t *)s, strlen(s)}};
}

static void values(void **state)
{
	struct rig r;
	struct otd_policy_kv_value v = number(5), out;
	int64_t now;
	(void)state;
	rig_init(&r);
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "k", &v, 10), OTD_OK);
	assert_true(otd_policy_kv_get(r.kv, "s", "k", &out) && !out.is_text && out.number == 5);
	assert_false(otd_policy_kv_get(r.kv, "t", "k", &out)); /* another script's */
	assert_int_equal(otd_policy_kv_incr(r.kv, "s", "k", 3, 1000, &now), OTD_OK);
	assert_int_equal(now, 8);
	r.wall_ms += 9999;
	assert_true(otd_policy_kv_get(r.kv, "s", "k", &out));
	r.wall_ms += 1; /* incr did not make it live longer */
	assert_false(otd_policy_kv_get(r.kv, "s", "k", &out));
	assert_int_equal(otd_policy_kv_incr(r.kv, "s", "k", 1, 10, &now), OTD_OK);
	assert_int_equal(now, 1);
	v = words("hello");
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "k", &v, 10), OTD_OK);
	assert_true(otd_policy_kv_get(r.kv, "s", "k", &out) && out.is_text && out.text.len == 5);
	assert_int_equal(otd_policy_kv_incr(r.kv, "s", "k", 1, 10, &now), OTD_E_INVALID);
	v = number(INT64_MAX);
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "k", &v, 10), OTD_OK);
	assert_int_equal(otd_policy_kv_incr(r.kv, "s", "k", 1, 10, &now), OTD_E_OVERFLOW);
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "k", &v, 0), OTD_E_RANGE);
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "k", &v, (int64_t)OTD_KV_TTL_S + 1),
			 OTD_E_RANGE);
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "", &v, 10), OTD_E_RANGE);
	otd_policy_kv_remove(r.kv, "s", "k");
	assert_int_equal(otd_policy_kv_count(r.kv), 0);
	rig_finish(&r);
}

static void bounded(void **state)
{
	struct rig r;
	struct otd_policy_kv *kv;
	struct otd_policy_kv_value v = number(1), out;
	char key[32];
	(void)state;
	rig_init(&r);
	assert_int_equal(otd_policy_kv_create(&kv, &r.env, 100, NULL, NULL), OTD_OK);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(otd_policy_kv_set(kv, "s", key, &v, i < 50 ? 10 : 100), OTD_OK);
	}
	assert_int_equal(otd_policy_kv_set(kv, "s", "more", &v, 10), OTD_E_NOMEM);
	assert_int_equal(otd_policy_kv_refused(kv), 1);
	assert_int_equal(otd_policy_kv_set(kv, "s", "k7", &v, 10), OTD_OK); /* one that is there */
	r.wall_ms += 20000;
	/* What is over makes room, but nobody looks again and again. */
	assert_int_equal(otd_policy_kv_set(kv, "s", "more", &v, 10), OTD_E_NOMEM);
	r.mono_ns += 20000000000;
	assert_int_equal(otd_policy_kv_set(kv, "s", "more", &v, 10), OTD_OK);
	assert_int_equal(otd_policy_kv_count(kv), 51);
	assert_true(otd_policy_kv_get(kv, "s", "k99", &out));
	otd_policy_kv_destroy(kv);
	/* One script cannot take the room of all. */
	for (int i = 0; i < OTD_KV_A_SCRIPT; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(otd_policy_kv_set(r.kv, "s", key, &v, 10), OTD_OK);
	}
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "more", &v, 10), OTD_E_NOMEM);
	assert_int_equal(otd_policy_kv_set(r.kv, "t", "more", &v, 10), OTD_OK);
	rig_finish(&r);
}

/* Two copies that tell each other come out the same. */
static void copies(void **state)
{
	struct rig r;
	struct otd_policy_kv *a;
	struct otd_policy_kv_value v = words("text"), out;
	struct otd_policy_kv_change c;
	int64_t now;
	(void)state;
	rig_init(&r);
	otd_bytes_init(&last, OTD_KV_CHANGE_MAX);
	told = 0;
	assert_int_equal(otd_policy_kv_create(&a, &r.env, 0, on_change, NULL), OTD_OK);
	assert_int_equal(otd_policy_kv_set(a, "s", "t", &v, 10), OTD_OK);
	assert_int_equal(otd_policy_kv_unpack(&c, otd_bytes_span(&last)), OTD_OK);
	assert_int_equal(otd_policy_kv_apply(r.kv, &c), OTD_OK);
	assert_true(otd_policy_kv_get(r.kv, "s", "t", &out) && out.text.len == 4);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(otd_policy_kv_incr(a, "s", "n", 2, 10, &now), OTD_OK);
		assert_int_equal(otd_policy_kv_unpack(&c, otd_bytes_span(&last)), OTD_OK);
		assert_int_equal(otd_policy_kv_apply(r.kv, &c), OTD_OK);
	}
	assert_true(otd_policy_kv_get(r.kv, "s", "n", &out) && out.number == 10);
	otd_policy_kv_remove(a, "s", "t");
	assert_int_equal(otd_policy_kv_unpack(&c, otd_bytes_span(&last)), OTD_OK);
	assert_int_equal(otd_policy_kv_apply(r.kv, &c), OTD_OK);
	assert_false(otd_policy_kv_get(r.kv, "s", "t", &out));
	assert_int_equal(told, 7);
	otd_policy_kv_remove(a, "s", "t"); /* nothing there: nothing to tell */
	assert_int_equal(told, 7);
	/* The longest fits into a message; what is short is refused. */
	char key[OTD_KV_KEY_MAX + 1], text[OTD_KV_VALUE_MAX + 1], script[OTD_KV_SCRIPT_MAX + 1];
	memset(key, 'k', sizeof(key) - 1);
	memset(text, 't', sizeof(text) - 1);
	memset(script, 's', sizeof(script) - 1);
	key[sizeof(key) - 1] = text[sizeof(text) - 1] = script[sizeof(script) - 1] = 0;
	v = words(text);
	assert_int_equal(otd_policy_kv_set(a, script, key, &v, 10), OTD_OK);
	assert_true(last.len <= OTD_KV_CHANGE_MAX);
	for (size_t n = 0; n < last.len; n++)
		assert_int_not_equal(otd_policy_kv_unpack(&c, (struct otd_span){last.ptr, n}),
				     OTD_OK);
	otd_policy_kv_destroy(a);
	otd_bytes_finish(&last);
	rig_finish(&r);
}

static void kept(void **state)
{
	struct rig r;
	struct otd_bytes file;
	struct otd_policy_kv *b;
	struct otd_policy_kv_value v = words("text"), out;
	char key[32];
	(void)state;
	rig_init(&r);
	otd_bytes_init(&file, 1u << 20);
	assert_int_equal(otd_policy_kv_set(r.kv, "s", "t", &v, 100), OTD_OK);
	v = number(-7);
	for (int i = 0; i < 200; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(otd_policy_kv_set(r.kv, "s", key, &v, i < 100 ? 10 : 100), OTD_OK);
	}
	r.wall_ms += 50000;
	assert_int_equal(otd_policy_kv_save(r.kv, &file), OTD_OK);
	assert_true(file.len <= otd_policy_kv_save_max(r.kv));
	assert_int_equal(otd_policy_kv_create(&b, &r.env, 0, NULL, NULL), OTD_OK);
	assert_int_equal(otd_policy_kv_load(b, otd_bytes_span(&file)), OTD_OK);
	assert_int_equal(otd_policy_kv_count(b), 101);
	assert_true(otd_policy_kv_get(b, "s", "k199", &out) && out.number == -7);
	assert_true(otd_policy_kv_get(b, "s", "t", &out) && out.text.len == 4);
	/* Any byte that is another, any that is missing: damage, and nothing has changed. */
	for (size_t i = 0; i < file.len; i += 13) {
		file.ptr[i] ^= 0x41;
		assert_int_not_equal(otd_policy_kv_load(b, otd_bytes_span(&file)), OTD_OK);
		file.ptr[i] ^= 0x41;
		assert_int_not_equal(otd_policy_kv_load(b, (struct otd_span){file.ptr, i}), OTD_OK);
	}
	assert_int_equal(otd_policy_kv_count(b), 101);
	assert_int_equal(otd_policy_kv_load(b, otd_bytes_span(&file)), OTD_OK);
	otd_policy_kv_destroy(b);
	otd_bytes_finish(&file);
	rig_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(bounded),
					   cmocka_unit_test(copies), cmocka_unit_test(kept)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
