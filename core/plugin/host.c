/* The core services of an instance, and those by name: what a plugin may ask of its host. */
#include "base/log.h"
#include "plugin/internal.h"
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_TEXT 241
#define ALIGN      64u
#define MEMORY_OK  0x6f74646d656d6f6bULL

struct otd_plugin_memory {
	uint64_t mark; /* MEMORY_OK while it is given out */
	size_t size;
	struct otd_plugin_memory *next, *prev;
	uint8_t pad[ALIGN - 2 * sizeof(uint64_t) - 2 * sizeof(void *)];
};
_Static_assert(sizeof(struct otd_plugin_memory) == ALIGN, "the plugin's part is aligned to 64");

/* What a plugin said last on this thread, and which instance it was. */
static _Thread_local struct {
	uint64_t serial;
	char text[ERROR_TEXT];
} said;

static void host_log(struct otd_host *h, int level, const char *event, const char *text)
{
	const struct otd_plugin_instance *in = h->in;
	char path[160];
	if (level < OTD_LOG_ERROR)
		level = OTD_LOG_ERROR;
	if (level > OTD_LOG_TRACE)
		level = OTD_LOG_TRACE;
	if (!otd_log_on(level, in->plugin->kind->name))
		return;
	otd_log(level, in->plugin->kind->name, event ? event : "plugin", "plugin=%s instance=%s %s",
		in->plugin->desc.id, otd_log_quote(path, sizeof(path), in->path, strlen(in->path)),
		text ? text : "");
}

static void *host_alloc(struct otd_host *h, size_t n)
{
	struct otd_plugin_instance *in = h->in;
	size_t whole = sizeof(struct otd_plugin_memory) + ((n + ALIGN - 1) & ~(size_t)(ALIGN - 1));
	struct otd_plugin_memory *m;
	if (n == 0 || n > in->max_memory)
		return NULL;
	if (atomic_fetch_add(&in->used, n) + n > in->max_memory) {
		atomic_fetch_sub(&in->used, n);
		return NULL;
	}
	m = aligned_alloc(ALIGN, whole);
	if (!m) {
		atomic_fetch_sub(&in->used, n);
		return NULL;
	}
	memset(m, 0, whole);
	m->mark = MEMORY_OK;
	m->size = n;
	pthread_mutex_lock(&in->lock);
	m->next = in->memory;
	if (m->next)
		m->next->prev = m;
	in->memory = m;
	pthread_mutex_unlock(&in->lock);
	return m + 1;
}

static void host_free(struct otd_host *h, void *p)
{
	struct otd_plugin_instance *in = h->in;
	struct otd_plugin_memory *m;
	if (!p)
		return;
	m = (struct otd_plugin_memory *)p - 1;
	if (m->mark != MEMORY_OK) {
		host_log(h, OTD_LOG_ERROR, "plugin.bad_free",
			 "what=\"frees what alloc did not give, or frees it twice\"");
		return;
	}
	pthread_mutex_lock(&in->lock);
	if (m->prev)
		m->prev->next = m->next;
	else
		in->memory = m->next;
	if (m->next)
		m->next->prev = m->prev;
	pthread_mutex_unlock(&in->lock);
	atomic_fetch_sub(&in->used, m->size);
	m->mark = 0;
	free(m);
}

void otd_plugin_memory_finish(struct otd_plugin_instance *in)
{
	struct otd_plugin_memory *m = in->memory;
	size_t n = 0, bytes = 0;
	while (m) {
		struct otd_plugin_memory *next = m->next;
		n++;
		bytes += m->size;
		free(m);
		m = next;
	}
	in->memory = NULL;
	if (n)
		otd_log(OTD_LOG_WARN, "plugin", "plugin.leak",
			"plugin=%s/%s instance=%s blocks=%zu bytes=%zu", in->plugin->kind->name,
			in->plugin->desc.id, in->path, n, bytes);
}

OTD_PRINTF(2, 3) static void host_set_error(struct otd_host *h, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(said.text, sizeof(said.text), fmt, ap) < 0)
		said.text[0] = 0;
	va_end(ap);
	/* It ends up in one line of a log or of an answer. */
	for (char *p = said.text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	}
	said.serial = h->in->serial;
}

const char *otd_instance_error(const struct otd_plugin_instance *in)
{
	return said.serial == in->serial ? said.text : "";
}

void otd_instance_clear_error(struct otd_plugin_instance *in)
{
	if (said.serial == in->serial)
		said.text[0] = 0;
}

static uint64_t clock_mono_ns(struct otd_host *h)
{
	return otd_mono_ns(h->in->env);
}

static int64_t clock_wall_ms(struct otd_host *h)
{
	return otd_wall_ms(h->in->env);
}

static const struct otd_host_clock host_clock = {sizeof(host_clock), 0, clock_mono_ns,
						 clock_wall_ms};

static otd_rc hash_pow(struct otd_host *h, uint8_t hash[32], struct otd_span header,
		       uint64_t height)
{
	struct otd_plugin_instance *algo = h->in->services.hash_with;
	struct otd_algo_item item = {.header = header, .height = height, .rc = OTD_E_INVALID};
	otd_rc rc;
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (header.len != algo->info.header_len)
		return OTD_E_INVALID;
	rc = otd_instance_algo(algo)->hash_batch(algo->self, h->in->hash_scratch, &item,
						 sizeof(item), 1);
	if (!rc)
		rc = item.rc;
	if (!rc)
		memcpy(hash, item.hash, 32);
	return rc;
}

static otd_rc hash_identity(struct otd_host *h, uint8_t hash[32], struct otd_span header,
			    uint64_t height)
{
	if (h->in->services.hash_with->info.identity == OTD_ALGO_ID_POW)
		return hash_pow(h, hash, header, height);
	otd_sha256d(hash, header.ptr, header.len);
	return OTD_OK;
}

static const struct otd_host_hash host_hash = {sizeof(host_hash), 0, hash_pow, hash_identity};

/* Whether name stands in the blank-separated list. */
static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = list; n && (p = strstr(p, name)); p += n) {
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
			return true;
	}
	return false;
}

static const void *host_service(struct otd_host *h, const char *name)
{
	const struct otd_plugin_instance *in = h->in;
	if (!in->creating || !name || !listed(in->plugin->kind->services, name))
		return NULL;
	if (strcmp(name, "clock/1") == 0)
		return &host_clock;
	if (strcmp(name, "files/1") == 0)
		return in->services.files;
	if (strcmp(name, "hash/1") == 0) {
		if (in->services.hash)
			return in->services.hash;
		return in->services.hash_with ? &host_hash : NULL;
	}
	return NULL;
}

const struct otd_host_core otd_plugin_host_core = {
	sizeof(otd_plugin_host_core),
	OTD_ABI_MAJOR,
	OTD_ABI_MINOR,
	0,
	host_log,
	host_alloc,
	host_free,
	host_set_error,
	host_service,
};
