/* The image of a running pool: its frame, and what P2 reads of it. See app/upgrade/upgrade.h. */
#include "app/upgrade/upgrade.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = "otedamaU";

void otd_upgrade_image_begin(struct otd_bytes *out)
{
	(void)otd_bytes_add(out, magic, sizeof(magic));
	otd_pack_u32(out, OTD_UPGRADE_IMAGE);
}

size_t otd_upgrade_part_begin(struct otd_bytes *out, enum otd_upgrade_part kind)
{
	otd_pack_u32(out, kind);
	otd_pack_u64(out, 0);
	return out->len;
}

void otd_upgrade_part_end(struct otd_bytes *out, size_t begun)
{
	uint64_t n = out->len - begun;
	for (size_t i = 0; !out->failed && i < 8; i++)
		out->ptr[begun - 8 + i] = (uint8_t)(n >> (8 * i));
}

static otd_rc corrupt(struct otd_err *err, const char *what)
{
	return otd_fail(err, OTD_E_CORRUPT, "what was handed over is garbled: %s", what);
}

otd_rc otd_upgrade_image_start(struct otd_unpack *in, struct otd_span image, struct otd_err *err)
{
	*in = otd_unpack_of(image);
	const uint8_t *head = otd_unpack_take(in, sizeof(magic));
	uint32_t form = otd_unpack_u32(in);
	if (!head || memcmp(head, magic, sizeof(magic)) != 0 || in->failed || form < 1)
		return corrupt(err, "it is no image of a pool");
	return OTD_OK;
}

bool otd_upgrade_part_next(struct otd_unpack *in, uint32_t *kind, struct otd_unpack *part)
{
	if (in->failed || in->left == 0)
		return false;
	*kind = otd_unpack_u32(in);
	uint64_t n = otd_unpack_u64(in);
	if (n > in->left) {
		in->failed = true;
		return false;
	}
	const uint8_t *p = otd_unpack_take(in, (size_t)n);
	*part = (struct otd_unpack){p, p ? (size_t)n : 0, p == NULL};
	return p != NULL;
}

/* --- parts --- */

static otd_rc read_meta(struct otd_upgrade_image *to, struct otd_unpack *u, struct otd_err *err)
{
	struct otd_upgrade_meta *m = &to->meta;
	otd_unpack_text(u, m->version, sizeof(m->version));
	m->frozen_ms = otd_unpack_i64(u);
	m->started_ms = otd_unpack_i64(u);
	m->times = otd_unpack_u32(u);
	m->n_fds = otd_unpack_u32(u);
	m->n_reactors = otd_unpack_u32(u);
	if (u->failed || !m->n_reactors || m->n_reactors > OTD_UPGRADE_REACTORS_MAX)
		return corrupt(err, "what it says of itself");
	return OTD_OK;
}

static otd_rc read_pools(struct otd_upgrade_image *to, struct otd_unpack *u, struct otd_err *err)
{
	uint32_t n = otd_unpack_u32(u);
	if (u->failed || n > OTD_POOLS_MAX || to->pools)
		return corrupt(err, "its pools");
	to->pools = calloc(n ? n : 1, sizeof(*to->pools));
	if (!to->pools)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (; to->n_pools < n; to->n_pools++) {
		struct otd_upgrade_pool *p = &to->pools[to->n_pools];
		struct otd_unpack one = otd_unpack_part(u);
		otd_unpack_text(&one, p->name, sizeof(p->name));
		otd_unpack_text(&one, p->coin, sizeof(p->coin));
		otd_unpack_text(&one, p->network, sizeof(p->network));
		p->extranonce1_len = otd_unpack_u32(&one);
		p->extranonce2_len = otd_unpack_u32(&one);
		if (one.failed)
			return corrupt(err, "a pool");
	}
	return OTD_OK;
}

static otd_rc read_listeners(struct otd_upgrade_image *to, struct otd_unpack *u,
			     struct otd_err *err)
{
	uint32_t n = otd_unpack_u32(u);
	if (u->failed || n > u->left / 4 || to->listeners)
		return corrupt(err, "its ports");
	to->listeners = calloc(n ? n : 1, sizeof(*to->listeners));
	if (!to->listeners)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (; to->n_listeners < n; to->n_listeners++) {
		struct otd_upgrade_listener *l = &to->listeners[to->n_listeners];
		struct otd_unpack one = otd_unpack_part(u);
		otd_unpack_text(&one, l->host, sizeof(l->host));
		l->port = otd_unpack_u16(&one);
		if (one.failed)
			return corrupt(err, "a port");
	}
	return OTD_OK;
}

static struct otd_upgrade_reactor *reactor_of(struct otd_upgrade_image *to, struct otd_unpack *u)
{
	uint32_t i = otd_unpack_u32(u);
	return u->failed || i >= to->meta.n_reactors ? NULL : &to->reactors[i];
}

static otd_rc read_reactor(struct otd_upgrade_image *to, struct otd_unpack *u, struct otd_err *err)
{
	struct otd_upgrade_reactor *r = reactor_of(to, u);
	uint32_t n = otd_unpack_u32(u);
	if (!r || n != to->n_pools || r->pools)
		return corrupt(err, "a reactor");
	r->pools = calloc(n ? n : 1, sizeof(*r->pools));
	if (!r->pools)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (uint32_t i = 0; i < n; i++)
		r->pools[i] = otd_unpack_span(u);
	return u->failed ? corrupt(err, "the work of a reactor") : OTD_OK;
}

/* The bits of an epoch that an extranonce1 has: see pool/reactor/reactor.h. */
static void keep_epoch(struct otd_upgrade_image *to, const struct otd_session_record *r)
{
	uint64_t all = 0;
	for (size_t i = 0; i < r->extranonce1.len; i++)
		all = all << 8 | r->extranonce1.ptr[i];
	uint32_t epoch = (uint32_t)(all >> 20) & 0xfff;
	if (r->extranonce1.len >= 4)
		to->kept_epochs[epoch / 8] |= (uint8_t)(1u << epoch % 8);
}

static otd_rc read_sessions(struct otd_upgrade_image *to, struct otd_unpack *u, struct otd_err *err)
{
	struct otd_upgrade_reactor *r = reactor_of(to, u);
	uint32_t n = otd_unpack_u32(u);
	struct otd_session_record record;
	if (!r || r->sessions.len || n > u->left / 4)
		return corrupt(err, "the sessions of a reactor");
	r->sessions = (struct otd_span){u->ptr, u->left};
	r->n_sessions = n;
	to->n_sessions += n;
	for (uint32_t i = 0; i < n; i++) {
		otd_rc rc = otd_session_record_read(&record, u, err);
		if (rc)
			return rc;
		keep_epoch(to, &record);
	}
	return OTD_OK;
}

/* What cannot be read of it is left out when it is loaded: miners get new sessions then. */
static otd_rc read_kept(struct otd_upgrade_image *to, struct otd_unpack *u, struct otd_err *err)
{
	struct otd_upgrade_reactor *r = reactor_of(to, u);
	if (!r)
		return corrupt(err, "what may be resumed");
	r->kept = (struct otd_span){u->ptr, u->left};
	struct otd_unpack in = otd_unpack_of(r->kept);
	struct otd_session_record as = {0};
	while (otd_stratum_kept_extranonce(&in, &as.extranonce1))
		keep_epoch(to, &as);
	return OTD_OK;
}

static otd_rc read_doors(struct otd_upgrade_image *to, struct otd_unpack *u, struct otd_err *err)
{
	uint32_t n = otd_unpack_u32(u);
	struct otd_door_record record;
	if (u->failed || to->n_doors || n > u->left / 4)
		return corrupt(err, "who stands at its doors");
	to->doors = (struct otd_span){u->ptr, u->left};
	to->n_doors = n;
	for (uint32_t i = 0; i < n; i++) {
		otd_rc rc = otd_door_record_read(&record, u, err);
		if (rc)
			return rc;
	}
	return OTD_OK;
}

static otd_rc read_part(struct otd_upgrade_image *to, uint32_t kind, struct otd_unpack *u,
			struct otd_err *err)
{
	if (kind == OTD_UPGRADE_META)
		return read_meta(to, u, err);
	if (!to->meta.n_reactors)
		return corrupt(err, "its beginning");
	switch (kind) {
	case OTD_UPGRADE_POOLS: return read_pools(to, u, err);
	case OTD_UPGRADE_LISTENERS: return read_listeners(to, u, err);
	case OTD_UPGRADE_COORDINATOR:
		to->coordinator = (struct otd_span){u->ptr, u->left};
		return OTD_OK;
	case OTD_UPGRADE_REACTOR: return read_reactor(to, u, err);
	case OTD_UPGRADE_SESSIONS: return read_sessions(to, u, err);
	case OTD_UPGRADE_KEPT: return read_kept(to, u, err);
	case OTD_UPGRADE_DOORS: return read_doors(to, u, err);
	default: return OTD_OK; /* of a newer program */
	}
}

otd_rc otd_upgrade_image_read(struct otd_upgrade_image *to, struct otd_span image,
			      struct otd_err *err)
{
	struct otd_unpack in, part;
	uint32_t kind;
	memset(to, 0, sizeof(*to));
	otd_rc rc = otd_upgrade_image_start(&in, image, err);
	while (rc == OTD_OK && otd_upgrade_part_next(&in, &kind, &part))
		rc = read_part(to, kind, &part, err);
	if (rc == OTD_OK && (in.failed || !to->meta.n_reactors))
		rc = corrupt(err, "it is cut short");
	if (rc == OTD_OK && to->meta.n_fds != to->n_listeners + to->n_sessions + to->n_doors)
		rc = corrupt(err, "the number of its descriptors");
	if (rc)
		otd_upgrade_image_finish(to);
	return rc;
}

void otd_upgrade_image_finish(struct otd_upgrade_image *i)
{
	for (size_t k = 0; k < OTD_UPGRADE_REACTORS_MAX; k++)
		free(i->reactors[k].pools);
	free(i->pools);
	free(i->listeners);
	memset(i, 0, sizeof(*i));
}

bool otd_upgrade_epoch_kept(const struct otd_upgrade_image *i, uint64_t epoch)
{
	uint32_t low = (uint32_t)epoch & 0xfff;
	return i->kept_epochs[low / 8] >> low % 8 & 1;
}

/* Of as many reactors each goes to its namesake; of more, its sessions are spread over several; of fewer,
   several come together. What was accepted on a tip goes wherever its sessions go. */
uint32_t otd_upgrade_reactor_of(uint32_t from, uint32_t n_before, uint32_t k, uint32_t n)
{
	if (n <= n_before)
		return from % n;
	uint32_t places = (n - from - 1) / n_before + 1;
	return from + k % places * n_before;
}

bool otd_upgrade_reactor_serves(uint32_t to, uint32_t n, uint32_t from, uint32_t n_before)
{
	uint32_t least = n < n_before ? n : n_before;
	return to % least == from % least;
}
