/*
 * The host of an instance in a check. To the plugin it is as the real one; it counts, fails when it
 * is told to, and sees what is freed twice or written past its end.
 */
#include "app/check/plugin_check.h"

#include <otedama/sha256.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN      64u
#define GIVEN      0x6f74646769766e21ULL
#define FREED      0x6f74646672656564ULL
#define TAIL       64u /* bytes behind a block that stay as they are */
#define TAIL_BYTE  0xc5
#define MEMORY_MAX ((size_t)1 << 30) /* as the real host gives an instance */
#define JITTER_MAX 64u               /* times ALIGN */

/* In front of what the plugin gets. */
struct otd_pcheck_block {
	uint64_t mark;
	size_t size;
	void *whole;
	struct otd_pcheck_block *next, *prev;
	uint8_t pad[ALIGN - 2 * sizeof(uint64_t) - 3 * sizeof(void *)];
};
_Static_assert(sizeof(struct otd_pcheck_block) == ALIGN, "the plugin's part is aligned to 64");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct otd_pcheck_host *host_of(struct otd_host *h)
{
	return (struct otd_pcheck_host *)(void *)h;
}

/* Keeps the first. */
OTD_PRINTF(2, 3) static void fault(struct otd_pcheck_host *h, const char *fmt, ...)
{
	va_list ap;
	if (h->fault[0])
		return;
	va_start(ap, fmt);
	(void)vsnprintf(h->fault, sizeof(h->fault), fmt, ap);
	va_end(ap);
}

static void host_log(struct otd_host *h, int level, const char *event, const char *text)
{
	/* Read, so that a bad pointer is found here and not in a pool. */
	size_t n = (event ? strlen(event) : 0) + (text ? strlen(text) : 0);
	if (level < OTD_LOG_ERROR || level > OTD_LOG_TRACE)
		fault(host_of(h), "logs with level %d, which is none (%zu bytes)", level, n);
}

static bool fails_now(struct otd_pcheck_host *h, size_t n)
{
	h->n_allocs++;
	if (h->fail_at && h->n_allocs == h->fail_at) {
		h->failed = true;
		return true;
	}
	return n == 0 || n > MEMORY_MAX || h->n_bytes + n > MEMORY_MAX;
}

static void *host_alloc(struct otd_host *handle, size_t n)
{
	struct otd_pcheck_host *h = host_of(handle);
	struct otd_pcheck_block *b = NULL;
	size_t before = 0, inner = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1), whole;
	uint8_t *p;
	pthread_mutex_lock(&lock);
	if (fails_now(h, n))
		goto out;
	if (h->jitter)
		before = ALIGN * (1 + otd_pcheck_below(&h->jitter, JITTER_MAX));
	whole = before + sizeof(*b) + inner + TAIL;
	p = aligned_alloc(ALIGN, whole);
	if (!p)
		goto out;
	memset(p, 0, whole);
	b = (struct otd_pcheck_block *)(void *)(p + before);
	b->mark = GIVEN;
	b->size = n;
	b->whole = p;
	memset((uint8_t *)(b + 1) + n, TAIL_BYTE, inner - n + TAIL);
	b->next = h->blocks;
	if (b->next)
		b->next->prev = b;
	h->blocks = b;
	h->n_blocks++;
	h->n_bytes += n;
out:
	pthread_mutex_unlock(&lock);
	return b ? b + 1 : NULL;
}

static void look_behind(struct otd_pcheck_host *h, const struct otd_pcheck_block *b)
{
	const uint8_t *p = (const uint8_t *)(b + 1) + b->size;
	size_t n = (((b->size + ALIGN - 1) & ~(size_t)(ALIGN - 1)) - b->size) + TAIL;
	for (size_t i = 0; i < n; i++) {
		if (p[i] != TAIL_BYTE) {
			fault(h, "writes past the end of %zu bytes that it got by core->alloc()",
			      b->size);
			return;
		}
	}
}

static void forget(struct otd_pcheck_host *h, struct otd_pcheck_block *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		h->blocks = b->next;
	if (b->next)
		b->next->prev = b->prev;
	h->n_blocks--;
	h->n_bytes -= b->size;
	b->mark = FREED;
	free(b->whole);
}

static void host_free(struct otd_host *handle, void *p)
{
	struct otd_pcheck_host *h = host_of(handle);
	struct otd_pcheck_block *b = p;
	if (!p)
		return;
	b--;
	pthread_mutex_lock(&lock);
	if (b->mark != GIVEN) {
		fault(h, "gives core->free() what core->alloc() did not give, or gives it twice");
	} else {
		look_behind(h, b);
		forget(h, b);
	}
	pthread_mutex_unlock(&lock);
}

OTD_PRINTF(2, 3) static void host_set_error(struct otd_host *handle, const char *fmt, ...)
{
	struct otd_pcheck_host *h = host_of(handle);
	char text[sizeof(h->error)];
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = 0;
	va_end(ap);
	pthread_mutex_lock(&lock);
	memcpy(h->error, text, sizeof(text));
	pthread_mutex_unlock(&lock);
}

static uint64_t clock_mono_ns(struct otd_host *h)
{
	(void)h;
	return otd_pcheck_mono_ns();
}

static int64_t clock_wall_ms(struct otd_host *h)
{
	(void)h;
	return 1700000000000 + (int64_t)(otd_pcheck_mono_ns() / 1000000 % 100000000);
}

static const struct otd_host_clock clock_table = {sizeof(clock_table), 0, clock_mono_ns,
						  clock_wall_ms};

static otd_rc hash_header(struct otd_host *h, uint8_t hash[32], struct otd_span header,
			  uint64_t height)
{
	(void)h;
	(void)height;
	otd_sha256d(hash, header.ptr, header.len);
	return OTD_OK;
}

static const struct otd_host_hash hash_table = {sizeof(hash_table), 0, hash_header, hash_header};

/* As the table in the SDK's plugin.h: which kind gets what. */
static const void *host_service(struct otd_host *handle, const char *name)
{
	struct otd_pcheck_host *h = host_of(handle);
	bool chain = otd_pcheck_is("chain"), store = otd_pcheck_is("store");
	if (!h->creating || !name)
		return NULL;
	if (strcmp(name, "clock/1") == 0)
		return chain || store || otd_pcheck_is("hw") ? &clock_table : NULL;
	if (strcmp(name, "hash/1") == 0)
		return chain ? &hash_table : NULL;
	if (strcmp(name, "files/1") != 0 || !(chain || store))
		return NULL;
	if (!h->files)
		h->files = otd_pcheck_files_create();
	return h->files;
}

static const struct otd_host_core core_table = {
	.size = sizeof(core_table),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.log = host_log,
	.alloc = host_alloc,
	.free = host_free,
	.set_error = host_set_error,
	.service = host_service,
};

otd_rc otd_pcheck_create(struct otd_pcheck_instance *in)
{
	const struct otd_base_ops *base = otd_pcheck_plugin(false)->base;
	otd_rc rc;
	in->self = NULL;
	in->host.creating = true;
	rc = base->create(&in->self, (struct otd_host *)(void *)&in->host, &core_table,
			  otd_pcheck_options());
	in->host.creating = false;
	if (!rc && !in->self)
		rc = OTD_E_INVALID;
	if (rc)
		in->self = NULL; /* what a failed create left there is not an instance */
	return rc;
}

void otd_pcheck_destroy(struct otd_pcheck_instance *in)
{
	if (in->self)
		otd_pcheck_plugin(false)->base->destroy(in->self);
	in->self = NULL;
}

bool otd_pcheck_leftovers(struct otd_pcheck_instance *in, const char *when)
{
	size_t n = in->host.n_blocks, bytes = in->host.n_bytes;
	while (in->host.blocks) {
		look_behind(&in->host, in->host.blocks);
		forget(&in->host, in->host.blocks);
	}
	otd_pcheck_files_destroy(in->host.files);
	in->host.files = NULL;
	if (in->host.fault[0])
		otd_pcheck_fail("%s", in->host.fault);
	if (n)
		otd_pcheck_fail("%zu block%s of core->alloc(), %zu bytes, %s still there %s", n,
				n > 1 ? "s" : "", bytes, n > 1 ? "are" : "is", when);
	return !n && !in->host.fault[0];
}

const char *otd_pcheck_words(const struct otd_pcheck_instance *in)
{
	static char text[256];
	if (!in->host.error[0])
		return "";
	(void)snprintf(text, sizeof(text), " (%s)", in->host.error);
	return text;
}

bool otd_pcheck_create_or_say(struct otd_pcheck_instance *in)
{
	otd_rc rc;
	otd_pcheck_at("create()");
	rc = otd_pcheck_create(in);
	if (rc)
		otd_pcheck_fail("create() fails: %s%s; --options gives it others than its defaults",
				otd_rc_name(rc), otd_pcheck_words(in));
	return !rc;
}
