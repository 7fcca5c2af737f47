#include "sim_miner.h"
#include "base/bytes.h"
#include "base/text.h"
#include "sim_internal.h"

#include <jansson.h>
#include <otedama/sha256.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS       6
#define PENDING    64
#define PATIENCE   45000 /* ms without an answer */
#define KNOWN_EN1  4096
#define OLD_SHARES 16

struct job {
	char id[16];
	uint8_t prev[32]; /* as in the header */
	uint8_t *coinbase1, *coinbase2, branch[16][32];
	size_t len1, len2, n_branches;
	uint32_t version, nbits, ntime;
	struct otd_u256 target;
	uint64_t serial;
	bool stale;
};

enum asked { ASKED_NOTHING, ASKED_SUBSCRIBE, ASKED_LOGIN, ASKED_MASK, ASKED_SHARE, ASKED_JUNK };

struct pending {
	enum asked what;
	uint64_t hash8, job;
	bool again; /* a share that was sent before */
	int64_t since_ms;
};

struct miner {
	struct sim_miners *all;
	uint32_t number;
	struct sim_peer *peer;
	uint64_t login, next_id;
	bool open, has_extranonce, logged_in, has_target, deaf, must_be_clean, turned_away;
	struct otd_bytes in;
	uint8_t extranonce1[8];
	size_t len1, len2;
	uint32_t mask, nonce;
	uint64_t counter;
	struct otd_u256 target;
	struct job job[JOBS]; /* [0] is the newest */
	size_t n_jobs;
	uint64_t jobs;
	struct pending pending[PENDING];
	size_t n_pending;
	struct {
		uint64_t hash8, job;
		char line[320];
		size_t id_at;
	} old[OLD_SHARES];
	uint64_t n_old;
	int64_t hears_at_ms, back_at_ms;
};

/* Who had which extranonce1, and on which tip last. */
struct en1 {
	uint8_t bytes[8];
	bool used, held;
	uint8_t prev[32];
};

struct sim_miners {
	struct sim_miners_conf conf;
	struct miner miner[MODEL_MINERS];
	struct en1 en1[KNOWN_EN1];
	bool calm, quiet, bad_disk;
	uint64_t fired[MINER_SITES];
};

_Noreturn static void wrong(struct miner *m, const char *fmt, ...) OTD_PRINTF(2, 3);

_Noreturn static void wrong(struct miner *m, const char *fmt, ...)
{
	char what[400];
	int n = snprintf(what, sizeof(what), "miner %u, login %llu: ", m->number,
			 (unsigned long long)m->login);
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what + n, sizeof(what) - (size_t)n, fmt, ap);
	va_end(ap);
	m->all->conf.wrong(m->all->conf.arg, what);
	abort();
}

void sim_miner_name(char to[16], uint32_t miner)
{
	(void)snprintf(to, 16, "rig%u", miner);
}

uint32_t sim_miner_account(uint32_t miner)
{
	return miner % MODEL_ACCOUNTS;
}

const char *sim_miner_site_name(enum miner_site site)
{
	static const char *const names[MINER_SITES] = {
		"a share sent twice",
		"a share of low difficulty",
		"a stale share",
		"a share from the future",
		"version bits of others",
		"a share for somebody else",
		"garbage",
		"a miner leaves",
		"a miner resets",
		"a miner vanishes",
		"a miner that does not read",
		"a miner gave up waiting",
		"a miner suggests a difficulty",
		"a share met a new tip",
		"a share that could not be kept",
	};
	return names[site];
}

/* --- extranonces --- */

static struct en1 *en1_of(struct miner *m)
{
	uint32_t at = 0;
	for (size_t i = 0; i < m->len1; i++)
		at = at * 31 + m->extranonce1[i];
	for (uint32_t i = 0; i < KNOWN_EN1; i++) {
		struct en1 *e = &m->all->en1[(at + i) % KNOWN_EN1];
		if (e->used && memcmp(e->bytes, m->extranonce1, sizeof(e->bytes)) != 0)
			continue;
		e->used = true;
		memcpy(e->bytes, m->extranonce1, sizeof(e->bytes));
		return e;
	}
	wrong(m, "more extranonces than the simulation remembers");
}

/* The first job of a login: nobody has hashed with this extranonce1 on its tip. */
static void check_extranonce(struct miner *m)
{
	struct en1 *e = en1_of(m);
	if (e->held)
		wrong(m, "its extranonce1 is that of a miner who is still there");
	if (memcmp(e->prev, m->job[0].prev, 32) == 0)
		wrong(m, "its extranonce1 was used on this tip already");
	e->held = true;
}

static void leave_extranonce(struct miner *m, bool known_to_pool)
{
	if (!m->has_extranonce || !m->n_jobs)
		return;
	struct en1 *e = en1_of(m);
	/* The pool may think that it is still in use: then it is not given to others. */
	(void)known_to_pool;
	e->held = false;
	memcpy(e->prev, m->job[0].prev, 32);
}

/* --- connections --- */

static void drop_job(struct job *j)
{
	free(j->coinbase1);
	free(j->coinbase2);
	*j = (struct job){0};
}

static void forget(struct miner *m)
{
	leave_extranonce(m, true);
	for (size_t i = 0; i < JOBS; i++)
		drop_job(&m->job[i]);
	m->n_jobs = m->n_pending = 0;
	m->n_old = 0;
	m->open = m->has_extranonce = m->logged_in = m->has_target = m->deaf = m->must_be_clean =
		m->turned_away = false;
	m->mask = 0;
	m->peer = NULL;
	m->back_at_ms =
		sim_now_ms(m->all->conf.sim) + 200 + (int64_t)sim_below(m->all->conf.sim, 4000);
	otd_bytes_clear(&m->in);
}

static void go(struct miner *m, enum sim_bye how)
{
	sim_peer_close(m->peer, how);
	forget(m);
}

static struct pending *ask(struct miner *m, enum asked what)
{
	struct pending *p = &m->pending[m->next_id++ % PENDING];
	*p = (struct pending){.what = what, .since_ms = sim_now_ms(m->all->conf.sim)};
	m->n_pending++;
	return p;
}

static void send_line(struct miner *m, const char *fmt, ...) OTD_PRINTF(2, 3);

static void send_line(struct miner *m, const char *fmt, ...)
{
	char line[640];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	sim_peer_send(m->peer, line, (size_t)n);
}

static unsigned long long next_id(const struct miner *m)
{
	return (unsigned long long)m->next_id;
}

static void on_open(void *arg)
{
	struct miner *m = arg;
	char name[16];
	m->open = true;
	m->login++;
	m->next_id = 1;
	m->n_pending = 0;
	memset(m->pending, 0, sizeof(m->pending));
	if (m->number % 3 == 0) {
		send_line(m,
			  "{\"id\":%llu,\"method\":\"mining.configure\",\"params\":[[\"version-"
			  "rolling\"],{\"version-rolling.mask\":\"1fffe000\"}]}\n",
			  next_id(m));
		(void)ask(m, ASKED_MASK);
	}
	send_line(m, "{\"id\":%llu,\"method\":\"mining.subscribe\",\"params\":[\"sim/1\"]}\n",
		  next_id(m));
	(void)ask(m, ASKED_SUBSCRIBE);
	sim_miner_name(name, m->number);
	send_line(m, "{\"id\":%llu,\"method\":\"mining.authorize\",\"params\":[\"%s.%s\",\"x\"]}\n",
		  next_id(m), m->all->conf.address[sim_miner_account(m->number)], name);
	(void)ask(m, ASKED_LOGIN);
}

static void on_closed(void *arg)
{
	struct miner *m = arg;
	forget(m);
}

/* --- what the pool says --- */

static size_t hex_of(uint8_t *to, size_t cap, const json_t *v)
{
	size_t n = 0;
	const char *s = json_string_value(v);
	if (!s || otd_hex_decode(to, cap, &n, s, strlen(s)))
		return SIZE_MAX;
	return n;
}

static uint32_t number_of(const json_t *v)
{
	uint8_t b[4];
	return hex_of(b, 4, v) == 4
		       ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]
		       : 0;
}

static uint8_t *part(size_t *len, const json_t *v)
{
	size_t n = json_string_length(v) / 2;
	uint8_t *p = sim_mem(n + 1);
	*len = hex_of(p, n, v);
	return p;
}

static void on_notify(struct miner *m, const json_t *p)
{
	struct job j = {.serial = ++m->jobs};
	const json_t *branches = json_array_get(p, 4);
	const char *id = json_string_value(json_array_get(p, 0));
	bool clean = json_is_true(json_array_get(p, 8));
	uint8_t prev[32];
	if (!id || strlen(id) >= sizeof(j.id) || hex_of(prev, 32, json_array_get(p, 1)) != 32 ||
	    json_array_size(branches) > 16 || !m->has_target)
		wrong(m, "a job that cannot be read, or without a difficulty");
	memcpy(j.id, id, strlen(id) + 1);
	for (size_t i = 0; i < 32; i++)
		j.prev[i] = prev[i / 4 * 4 + 3 - i % 4];
	j.coinbase1 = part(&j.len1, json_array_get(p, 2));
	j.coinbase2 = part(&j.len2, json_array_get(p, 3));
	j.n_branches = json_array_size(branches);
	for (size_t i = 0; i < j.n_branches; i++)
		if (hex_of(j.branch[i], 32, json_array_get(branches, i)) != 32)
			wrong(m, "a branch that is no hash");
	j.version = number_of(json_array_get(p, 5));
	j.nbits = number_of(json_array_get(p, 6));
	j.ntime = number_of(json_array_get(p, 7));
	j.target = m->target;
	if (m->must_be_clean && !clean)
		wrong(m, "a good share was refused as stale, and the next job leaves older ones "
			 "valid");
	m->must_be_clean = m->must_be_clean && !clean;
	if (m->n_jobs && clean != (memcmp(m->job[0].prev, j.prev, 32) != 0) && !clean)
		wrong(m, "another tip, and older jobs are said to be good");
	drop_job(&m->job[JOBS - 1]);
	memmove(m->job + 1, m->job, (JOBS - 1) * sizeof(m->job[0]));
	for (size_t i = 1; i < JOBS; i++)
		m->job[i].stale = m->job[i].stale || clean;
	m->job[0] = j;
	if (m->n_jobs++ == 0)
		check_extranonce(m);
	if (m->n_jobs > JOBS)
		m->n_jobs = JOBS;
}

static void on_difficulty(struct miner *m, const json_t *v)
{
	char text[64];
	static const uint8_t diff1_be[32] = {0, 0, 0, 0, 0xff, 0xff};
	struct otd_u256 t;
	size_t n = json_dumpb(v, text, sizeof(text), JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	if (n > sizeof(text) || otd_difficulty_parse(&t, text, n, otd_u256_from_be(diff1_be)))
		wrong(m, "a difficulty that is none");
	/* A cut holds at once, for what is on its way too. */
	for (size_t i = 0; i < PENDING; i++) {
		struct model_share *s =
			m->pending[i].what == ASKED_SHARE
				? model_find(m->all->conf.model, m->pending[i].hash8)
				: NULL;
		if (s && otd_u256_cmp(t, s->easiest) > 0)
			s->easiest = t;
	}
	for (size_t i = 0; m->has_target && i < m->n_jobs; i++)
		if (otd_u256_cmp(t, m->job[i].target) > 0)
			m->job[i].target = t;
	m->target = t;
	m->has_target = true;
}

static void on_subscribed(struct miner *m, const json_t *result)
{
	memset(m->extranonce1, 0, sizeof(m->extranonce1));
	m->len1 = hex_of(m->extranonce1, sizeof(m->extranonce1), json_array_get(result, 1));
	m->len2 = (size_t)json_integer_value(json_array_get(result, 2));
	if (m->len1 > 8 || m->len2 > 8 || m->len2 < 4)
		wrong(m, "a subscription that cannot be read");
	m->has_extranonce = true;
	m->counter = 0;
	m->nonce = (uint32_t)sim_random(m->all->conf.sim);
}

static void on_accepted(struct miner *m, struct model_share *s)
{
	if (s->acked)
		wrong(m, "a share is accepted for the second time");
	if (s->kind != SHARE_GOOD && !s->block)
		wrong(m, "a share is accepted that is not valid (kind %d)", (int)s->kind);
	if (!s->recorded)
		wrong(m, "a share is accepted and not in a journal yet");
	if (s->work < otd_target_work(s->easiest))
		wrong(m, "a share is accepted for work %llu, %llu was asked for (at first %llu)",
		      (unsigned long long)s->work, (unsigned long long)otd_target_work(s->easiest),
		      (unsigned long long)otd_target_work(s->target));
	s->acked++;
	m->all->conf.model->acked++;
}

static void good_refused(struct miner *m, const struct pending *p, int code, const char *why)
{
	struct sim_miners *all = m->all;
	bool newer = false;
	for (size_t i = 0; i < m->n_jobs; i++)
		newer = newer || (m->job[i].serial == p->job && m->job[i].stale);
	bool known = false;
	for (size_t i = 0; i < m->n_jobs; i++)
		known = known || m->job[i].serial == p->job;
	if (code == 21) {
		all->fired[MINER_LATE_TIP]++;
		m->must_be_clean = m->must_be_clean || (known && !newer);
	} else if (strstr(why, "cannot store") && all->bad_disk) {
		all->fired[MINER_NO_DISK]++;
	} else {
		wrong(m, "a good share is refused: %d %s", code, why);
	}
}

static void on_share(struct miner *m, const struct pending *p, bool yes, int code, const char *why)
{
	struct model_share *s = model_find(m->all->conf.model, p->hash8);
	if (!s)
		wrong(m, "the model has lost a share");
	if (yes) {
		on_accepted(m, s);
		return;
	}
	s->refused++;
	if (s->kind == SHARE_GOOD && !p->again)
		good_refused(m, p, code, why);
	else if (s->block && !p->again && s->kind != SHARE_GOOD && code != 22 && !m->all->bad_disk)
		wrong(m, "a block is refused: %d %s", code, why);
	else if (p->again && s->kind == SHARE_GOOD && code != 22 && code != 21 &&
		 !strstr(why, "cannot store"))
		wrong(m, "a share that was sent twice is refused as %d %s", code, why);
}

static void on_answer(struct miner *m, uint64_t id, const json_t *result, bool yes, int code,
		      const char *why)
{
	struct pending *p = &m->pending[id % PENDING], was = *p;
	if (id == 0 || id >= m->next_id || was.what == ASKED_NOTHING)
		wrong(m, "an answer to %llu, which was not asked or has been answered",
		      (unsigned long long)id);
	p->what = ASKED_NOTHING;
	m->n_pending--;
	switch (was.what) {
	case ASKED_SUBSCRIBE:
		if (!json_is_array(result) && m->all->bad_disk)
			m->turned_away = true;
		else
			on_subscribed(m, result);
		break;
	case ASKED_MASK:
		m->mask = number_of(json_object_get(result, "version-rolling.mask"));
		break;
	case ASKED_LOGIN:
		if (!yes && !m->all->bad_disk)
			wrong(m, "its login is refused: %s", why);
		m->turned_away = m->turned_away || !yes;
		m->logged_in = yes;
		break;
	case ASKED_SHARE: on_share(m, &was, yes, code, why); break;
	case ASKED_JUNK:
		if (yes)
			wrong(m, "nonsense is accepted as a share");
		break;
	case ASKED_NOTHING: break;
	}
}

static void on_line(struct miner *m, const char *line, size_t n)
{
	unsigned long long id;
	int end = 0;
	if (sscanf(line, "{\"id\":%llu,\"result\":true,\"error\":null}%n", &id, &end) == 1 &&
	    (size_t)end == n) {
		on_answer(m, id, NULL, true, 0, "");
		return;
	}
	json_t *root = json_loadb(line, n, 0, NULL);
	const char *method = json_string_value(json_object_get(root, "method"));
	const json_t *params = json_object_get(root, "params"),
		     *error = json_object_get(root, "error");
	const json_t *number = json_object_get(root, "id");
	if (!root)
		wrong(m, "the pool sends what is no JSON: %.*s", (int)n, line);
	if (method && strcmp(method, "mining.notify") == 0)
		on_notify(m, params);
	else if (method && strcmp(method, "mining.set_difficulty") == 0)
		on_difficulty(m, json_array_get(params, 0));
	else if (method && strcmp(method, "mining.set_version_mask") == 0)
		m->mask = number_of(json_array_get(params, 0));
	else if (json_is_integer(number))
		on_answer(m, (uint64_t)json_integer_value(number), json_object_get(root, "result"),
			  json_is_true(json_object_get(root, "result")),
			  (int)json_integer_value(json_array_get(error, 0)),
			  json_is_string(json_array_get(error, 1))
				  ? json_string_value(json_array_get(error, 1))
				  : "");
	json_decref(root);
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct miner *m = arg;
	size_t at = 0;
	if (otd_bytes_add(&m->in, p, n))
		wrong(m, "a line without an end");
	for (;;) {
		const uint8_t *lf = memchr(m->in.ptr + at, '\n', m->in.len - at);
		if (!lf)
			break;
		on_line(m, (const char *)m->in.ptr + at, (size_t)(lf - m->in.ptr) - at);
		at = (size_t)(lf - m->in.ptr) + 1;
	}
	if (at)
		otd_bytes_drop(&m->in, at);
}

static const struct sim_peer_ops peer_ops = {on_open, on_data, on_closed};

/* --- shares --- */

struct work {
	uint8_t header[80], en2[8], hash[32];
	uint32_t ntime, nonce, bits;
};

static void put32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

/* The header but for its nonce. */
static void prepare(struct miner *m, struct work *w, const struct job *j)
{
	struct otd_sha256 h;
	uint8_t root[64];
	uint64_t counter = ++m->counter;
	for (size_t i = 0; i < m->len2; i++)
		w->en2[i] = (uint8_t)(counter >> 8 * (i % 8));
	otd_sha256_init(&h);
	otd_sha256_update(&h, j->coinbase1, j->len1);
	otd_sha256_update(&h, m->extranonce1, m->len1);
	otd_sha256_update(&h, w->en2, m->len2);
	otd_sha256_update(&h, j->coinbase2, j->len2);
	otd_sha256_final(&h, root);
	otd_sha256(root, root, 32);
	for (size_t i = 0; i < j->n_branches; i++) {
		memcpy(root + 32, j->branch[i], 32);
		otd_sha256d(root, root, 64);
	}
	put32(w->header, (j->version & ~m->mask) | w->bits);
	memcpy(w->header + 4, j->prev, 32);
	memcpy(w->header + 36, root, 32);
	put32(w->header + 68, w->ntime);
	put32(w->header + 72, j->nbits);
}

static void solve(struct miner *m, struct work *w, const struct otd_u256 *target)
{
	uint8_t le[32];
	uint64_t found = 0;
	uint32_t n = 0;
	otd_u256_to_le(le, *target);
	while (!n) {
		(void)otd_sha256d_scan80(&found, 1, &n, w->header, m->nonce, 256, le, NULL);
		m->nonce += n ? (uint32_t)(found - m->nonce) + 1 : 256;
		if (m->nonce > UINT32_MAX - 1000)
			m->nonce = 0;
	}
	w->nonce = (uint32_t)found;
	put32(w->header + 76, w->nonce);
	otd_sha256d(w->hash, w->header, 80);
}

static void too_easy(struct miner *m, struct work *w)
{
	do {
		w->nonce = m->nonce++;
		put32(w->header + 76, w->nonce);
		otd_sha256d(w->hash, w->header, 80);
	} while (otd_u256_cmp(otd_u256_from_le(w->hash), m->all->conf.easiest) <= 0);
}

static void keep(struct miner *m, const struct work *w, const struct job *j, enum model_kind kind)
{
	uint64_t hash8;
	struct otd_u256 block;
	memcpy(&hash8, w->hash + 24, 8);
	if (model_find(m->all->conf.model, hash8))
		wrong(m, "the simulation has mined one share twice");
	struct model_share *s = model_add(m->all->conf.model, hash8);
	memcpy(s->hash, w->hash, 32);
	s->miner = m->number;
	s->account = sim_miner_account(m->number);
	s->login = m->login;
	s->kind = kind;
	s->target = s->easiest = j->target;
	if (otd_target_from_nbits(&block, j->nbits) == OTD_OK)
		s->block = otd_u256_cmp(otd_u256_from_le(w->hash), block) <= 0;
	/* The newest difficulty may be an easier one already. */
	if (otd_u256_cmp(m->target, s->easiest) > 0)
		s->easiest = m->target;
}

static void hand_in(struct miner *m, const struct work *w, const struct job *j,
		    enum model_kind kind)
{
	char user[120], en2[17], bits[16] = "", name[16];
	uint64_t hash8, slot = m->n_old++ % OLD_SHARES;
	keep(m, w, j, kind);
	memcpy(&hash8, w->hash + 24, 8);
	sim_miner_name(name, kind == SHARE_FOREIGN ? m->number + 50 : m->number);
	(void)snprintf(user, sizeof(user), "%s.%s",
		       m->all->conf.address[sim_miner_account(m->number)], name);
	otd_hex_encode(en2, w->en2, m->len2);
	if (m->mask || w->bits)
		(void)snprintf(bits, sizeof(bits), ",\"%08x\"", w->bits);
	(void)snprintf(m->old[slot].line, sizeof(m->old[slot].line),
		       ",\"method\":\"mining.submit\",\"params\":[\"%s\",\"%s\",\"%s\",\"%08x\","
		       "\"%08x\"%s]}\n",
		       user, j->id, en2, w->ntime, w->nonce, bits);
	m->old[slot].hash8 = hash8;
	m->old[slot].job = j->serial;
	send_line(m, "{\"id\":%llu%s", next_id(m), m->old[slot].line);
	struct pending *p = ask(m, ASKED_SHARE);
	p->hash8 = hash8;
	p->job = j->serial;
}

static void share_of(struct miner *m, const struct job *j, enum model_kind kind)
{
	struct work w = {.ntime = j->ntime + (uint32_t)sim_below(m->all->conf.sim, 3)};
	if (kind == SHARE_TIME)
		w.ntime = j->ntime + 40000;
	if (m->mask)
		w.bits = (uint32_t)sim_random(m->all->conf.sim) & m->mask;
	if (kind == SHARE_VERSION)
		w.bits |= 4;
	prepare(m, &w, j);
	if (kind == SHARE_LOW)
		too_easy(m, &w);
	else
		solve(m, &w, &j->target);
	hand_in(m, &w, j, kind);
}

static void send_again(struct miner *m)
{
	size_t n = m->n_old < OLD_SHARES ? m->n_old : OLD_SHARES;
	if (!n)
		return;
	size_t i = sim_below(m->all->conf.sim, n);
	m->all->fired[MINER_DUPLICATE]++;
	send_line(m, "{\"id\":%llu%s", next_id(m), m->old[i].line);
	struct pending *p = ask(m, ASKED_SHARE);
	p->hash8 = m->old[i].hash8;
	p->job = m->old[i].job;
	p->again = true;
}

static void nonsense(struct miner *m)
{
	static const char *const lines[] = {
		",\"method\":\"mining.submit\",\"params\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}\n",
		",\"method\":\"mining.submit\",\"params\":{}}\n",
		",\"method\":\"mining.submit\",\"params\":[1,2,3]}\n",
		",\"method\":\"mining.dig\",\"params\":[]}\n",
	};
	struct sim *s = m->all->conf.sim;
	m->all->fired[MINER_GARBAGE]++;
	send_line(m, "{\"id\":%llu%s", next_id(m), lines[sim_below(s, 4)]);
	(void)ask(m, ASKED_JUNK);
}

static void one_share(struct miner *m)
{
	struct sim_miners *all = m->all;
	struct sim *s = all->conf.sim;
	static const struct {
		enum model_kind kind;
		enum miner_site site;
	} bad[] = {{SHARE_LOW, MINER_LOW},         {SHARE_TIME, MINER_TIME},
		   {SHARE_VERSION, MINER_VERSION}, {SHARE_FOREIGN, MINER_FOREIGN},
		   {SHARE_STALE, MINER_STALE},     {SHARE_STALE, MINER_STALE}};
	if (all->calm || !sim_chance(s, 60000)) {
		/* Now and then it is still at the job before. */
		bool slow = m->n_jobs > 1 && !m->job[1].stale && sim_chance(s, 100000);
		share_of(m, &m->job[slow], SHARE_GOOD);
		return;
	}
	uint64_t i = sim_below(s, 9);
	if (i < 4) {
		all->fired[bad[i].site]++;
		share_of(m, &m->job[0], bad[i].kind);
	} else if (i < 6) {
		for (size_t j = 1; j < m->n_jobs; j++)
			if (m->job[j].stale) {
				all->fired[MINER_STALE]++;
				share_of(m, &m->job[j], SHARE_STALE);
				break;
			}
	} else if (i < 8) {
		send_again(m);
	} else {
		nonsense(m);
	}
}

/* --- a day of a miner --- */

static void work(struct miner *m)
{
	struct sim *s = m->all->conf.sim;
	uint64_t n = 1 + sim_below(s, sim_chance(s, 200000) ? 16 : 4);
	for (; n && m->n_pending < PENDING / 2; n--)
		one_share(m);
	if (!m->all->calm && sim_chance(s, 3000)) {
		m->all->fired[MINER_SUGGESTS]++;
		send_line(
			m,
			"{\"id\":null,\"method\":\"mining.suggest_difficulty\",\"params\":[%s]}\n",
			sim_chance(s, 500000) ? "0.000000001" : "0.00000003");
	}
}

static bool waits_too_long(struct miner *m)
{
	int64_t now = sim_now_ms(m->all->conf.sim);
	for (size_t i = 0; m->n_pending && i < PENDING; i++)
		if (m->pending[i].what != ASKED_NOTHING && now - m->pending[i].since_ms > PATIENCE)
			return true;
	return false;
}

/* True: it is gone. */
static bool maybe_leave(struct miner *m)
{
	struct sim_miners *all = m->all;
	struct sim *s = all->conf.sim;
	static const enum miner_site sites[] = {MINER_LEAVES, MINER_RESETS, MINER_VANISHES};
	if (m->open && (m->turned_away || waits_too_long(m))) {
		all->fired[MINER_GAVE_UP]++;
		go(m, SIM_BYE_RESET);
		return true;
	}
	if (all->calm || !m->open || !sim_chance(s, 5000))
		return false;
	uint64_t how = sim_below(s, 3);
	all->fired[sites[how]]++;
	go(m, (enum sim_bye)how);
	return true;
}

static void listen_again(struct miner *m, int64_t now)
{
	struct sim_miners *all = m->all;
	if (m->deaf && (now >= m->hears_at_ms || all->calm)) {
		m->deaf = false;
		sim_peer_read(m->peer, true);
	} else if (!m->deaf && m->open && !all->calm && sim_chance(all->conf.sim, 1000)) {
		all->fired[MINER_DEAF]++;
		m->deaf = true;
		m->hears_at_ms = now + (int64_t)sim_below(all->conf.sim, 40000);
		sim_peer_read(m->peer, false);
	}
}

static int64_t wake(void *arg)
{
	struct miner *m = arg;
	struct sim_miners *all = m->all;
	struct sim *s = all->conf.sim;
	int64_t now = sim_now_ms(s), pace = all->conf.pace_ms;
	if (!m->peer && now >= m->back_at_ms) {
		char from[46];
		(void)snprintf(from, sizeof(from), "10.0.%u.%u", m->number / 5, 1 + m->number % 5);
		m->peer =
			sim_peer_connect(s, from, all->conf.port[m->number % 5 == 4], &peer_ops, m);
	} else if (m->peer && !maybe_leave(m)) {
		listen_again(m, now);
		if (m->logged_in && m->n_jobs && !m->deaf && !all->quiet)
			work(m);
	}
	return pace / 2 + (int64_t)sim_below(s, (uint64_t)pace) + 1;
}

struct sim_miners *sim_miners_create(const struct sim_miners_conf *conf)
{
	struct sim_miners *all = sim_new(1, sizeof(*all));
	all->conf = *conf;
	for (uint32_t i = 0; i < MODEL_MINERS; i++) {
		struct miner *m = &all->miner[i];
		m->all = all;
		m->number = i;
		otd_bytes_init(&m->in, 1u << 20);
		sim_outside(conf->sim, 1 + (int64_t)sim_below(conf->sim, 3000), wake, m);
	}
	return all;
}

void sim_miners_destroy(struct sim_miners *all)
{
	for (uint32_t i = 0; all && i < MODEL_MINERS; i++) {
		for (size_t j = 0; j < JOBS; j++)
			drop_job(&all->miner[i].job[j]);
		otd_bytes_finish(&all->miner[i].in);
		if (all->miner[i].peer)
			sim_peer_close(all->miner[i].peer, SIM_BYE_RESET);
	}
	free(all);
}

void sim_miners_calm(struct sim_miners *m, bool calm, bool quiet)
{
	m->calm = calm;
	m->quiet = quiet;
}

void sim_miners_bad_disk(struct sim_miners *m, bool bad)
{
	m->bad_disk = bad;
}

size_t sim_miners_waiting(const struct sim_miners *m)
{
	size_t n = 0;
	for (size_t i = 0; i < MODEL_MINERS; i++)
		n += m->miner[i].open ? m->miner[i].n_pending : 0;
	return n;
}

size_t sim_miners_ready(const struct sim_miners *m)
{
	size_t n = 0;
	for (size_t i = 0; i < MODEL_MINERS; i++)
		n += m->miner[i].logged_in && m->miner[i].n_jobs;
	return n;
}

uint64_t sim_miners_fired(const struct sim_miners *m, enum miner_site site)
{
	return m->fired[site];
}
