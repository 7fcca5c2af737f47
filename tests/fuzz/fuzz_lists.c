/* A file of networks: what was read of it is found again, and what is refused is refused by its line. */
#include "net/lists.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void some_random(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 3, n);
}

static const struct otd_env_ops ops = {.random = some_random};
static struct otd_env env = {&ops, NULL};

/* The first word, where it is an address alone. */
static void look_up(const struct otd_lists *l, const uint8_t *data, size_t n, bool all_read)
{
	char host[64];
	size_t len = 0;

	while (len < n && len < sizeof(host) - 1 &&
	       memchr("0123456789abcdefABCDEF.:", data[len], 24))
		len++;
	if (!len || (len < n && data[len] != '\n'))
		return;
	memcpy(host, data, len);
	host[len] = '\0';
	enum otd_list which = otd_lists_find(l, host);
	if (all_read)
		must(which == OTD_LIST_DENY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_lists *l;
	struct otd_err err = {0};
	/* Exactly the bytes, without a terminating zero. */
	uint8_t *s = malloc(n ? n : 1);

	if (!s || otd_lists_create(&l, &env, 64)) {
		free(s);
		return 0;
	}
	if (n)
		memcpy(s, data, n);
	otd_rc rc = otd_lists_read(l, OTD_LIST_DENY, "f", (struct otd_span){s, n}, &err);
	must(otd_lists_count(l, OTD_LIST_DENY) <= 64);
	must(rc == OTD_OK ? !err.rc : memcmp(err.text, "f:", 2) == 0);
	look_up(l, s, n, rc == OTD_OK);
	otd_lists_destroy(l);
	free(s);
	return 0;
}
