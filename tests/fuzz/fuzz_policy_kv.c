/* What a kv was saved as, its changes in messages, and a recorded call: bytes that somebody else wrote. */
#include "policy/record.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t mono(struct otd_env *e)
{
	(void)e;
	return 1;
}

static int64_t wall(struct otd_env *e)
{
	(void)e;
	return 1000;
}

static void no_random(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 7, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct otd_env_ops ops = {
		.mono_ns = mono, .wall_ms = wall, .random = no_random};
	struct otd_env env = {.ops = &ops};
	struct otd_policy_kv *kv;
	struct otd_policy_kv_change c;
	struct otd_bytes again;
	if (otd_policy_kv_create(&kv, &env, 100, NULL, NULL))
		abort();
	otd_bytes_init(&again, 1u << 20);
	if (otd_policy_kv_unpack(&c, (struct otd_span){data, n}) == OTD_OK) {
		/* What was taken goes out the same, but for bytes that mean nothing. */
		if (otd_policy_kv_pack(&again, &c) || again.len != n)
			abort();
		(void)!otd_policy_kv_apply(kv, &c);
	}
	if (otd_policy_kv_load(kv, (struct otd_span){data, n}) == OTD_OK &&
	    (otd_policy_kv_save(kv, &again) || otd_policy_kv_load(kv, otd_bytes_span(&again))))
		abort();
	otd_bytes_finish(&again);
	otd_policy_kv_destroy(kv);

	struct otd_policy_event *ev;
	struct otd_err err = {0};
	if (otd_policy_event_parse(&ev, (const char *)data, n, &err) == OTD_OK) {
		(void)strlen(otd_policy_event_pool(ev));
		otd_policy_event_destroy(ev);
	} else if (!err.text[0]) {
		abort();
	}
	return 0;
}
