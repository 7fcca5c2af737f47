/* P2's side of an upgrade: a serve that goes on where another process has stopped. See app/upgrade/upgrade.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/check/config_check.h"
#include "app/policy/app_policy.h"
#include "app/processes/processes.h"
#include "app/upgrade/upgrade.h"
#include "app/upgrade/upgrade_own.h"
#include "base/log.h"
#include "base/text.h"
#include "config/settings_image.h"

#define RECONNECT "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[]}\n"

struct otd_heir {
	int sock; /* -1: P1 was let go */
	struct otd_upgrade_image image;
	struct otd_span bytes; /* of it */
	int lock_fd;
	int *fd; /* -1: used */
	size_t n_fds;
	size_t loaded, left_out, doors;
	/* Its settings are those of the process before, not what the file says by now. */
	bool kept_settings;
	uint32_t *pool_now; /* of each of the image's pools, ours; UINT32_MAX: none */
	/* known afterwards */
	struct otd_upgrade_meta meta;
	bool serves;
	int64_t at_ms, pause_ms;
	char trouble[600];
};

/* --- packets --- */

static otd_rc say(struct otd_heir *h, uint32_t word, uint32_t n, struct otd_err *err)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 64);
	otd_pack_u32(&b, word);
	otd_pack_u32(&b, n);
	otd_rc rc = b.failed ? otd_fail(err, OTD_E_NOMEM, "out of memory")
			     : otd_heir_send(h->sock, b.ptr, b.len, NULL, 0, err);
	otd_bytes_finish(&b);
	return rc;
}

static otd_rc say_hello(struct otd_heir *h, const char *data_dir, struct otd_err *err)
{
	struct otd_upgrade_hello own;
	struct otd_bytes b;
	otd_upgrade_hello_own(&own, data_dir);
	otd_bytes_init(&b, 4096);
	otd_pack_u32(&b, OTD_UPGRADE_HELLO);
	otd_upgrade_hello_write(&b, &own);
	otd_rc rc = b.failed ? otd_fail(err, OTD_E_NOMEM, "out of memory")
			     : otd_heir_send(h->sock, b.ptr, b.len, NULL, 0, err);
	otd_bytes_finish(&b);
	return rc;
}

/* The next packet, which must be word; *first is the number behind it. */
static otd_rc expect(struct otd_heir *h, uint32_t word, uint32_t *first, int *fds, size_t *n_fds,
		     struct otd_err *err)
{
	struct otd_bytes packet;
	otd_bytes_init(&packet, 2 * OTD_HEIR_PACKET_MAX);
	/* However long: it is P1 that has a clock, and ends us. */
	otd_rc rc = otd_heir_receive(h->sock, &packet, fds, n_fds, -1, NULL, err);
	struct otd_unpack in = otd_unpack_of(otd_bytes_span(&packet));
	uint32_t got = rc ? 0 : otd_unpack_u32(&in);
	uint32_t n = rc ? 0 : otd_unpack_u32(&in);
	if (rc == OTD_OK && (got != word || in.failed)) {
		rc = otd_fail(err, OTD_E_INVALID, "the process before said what nobody asked for");
		for (size_t i = 0; n_fds && i < *n_fds; i++)
			close(fds[i]);
	}
	if (first)
		*first = n;
	otd_bytes_finish(&packet);
	return rc;
}

/* --- check --- */

static void on_policy(void *arg, const struct otd_err *err)
{
	otd_check_take(arg, OTD_CHECK_FAULT, err);
}

/* An instance of everything that the file chooses, in a folder of its own: data_dir is another's still. */
static otd_rc check_plugins(struct otd_app *app, struct otd_err *err)
{
	char folder[600];
	struct otd_check *c = calloc(1, sizeof(*c));
	otd_rc rc = c ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (c)
		c->problem = calloc(OTD_CHECK_PROBLEMS, sizeof(*c->problem));
	/* Beside the copies of plugins: the one place that is ours in any case. */
	snprintf(folder, sizeof(folder), "%s/plugins/try-XXXXXX", app->data_dir);
	if (rc == OTD_OK && (!c->problem || !mkdtemp(folder)))
		rc = otd_fail(err, OTD_E_IO, "cannot make a folder in %s/plugins: %s",
			      app->data_dir, strerror(errno));
	if (rc == OTD_OK) {
		c->app.env = app->env;
		c->app.settings = app->settings;
		c->app.plugins = app->plugins;
		c->app.metrics = app->metrics;
		c->app.data_dir = folder;
		c->app.lock_fd = -1;
		c->offline = c->json = true;
		otd_check_plugins(c);
		otd_check_tls(c);
		(void)!otd_app_policy_check(app->env, app->settings, on_policy, c);
		for (size_t i = 0; i < c->n_problems && rc == OTD_OK; i++) {
			const struct otd_check_problem *p = &c->problem[i];
			if (p->level == OTD_CHECK_FAULT)
				rc = otd_fail(err, OTD_E_INVALID, "%s%s%s%s%.400s", p->file,
					      *p->file ? ": " : "", p->key, *p->key ? ": " : "",
					      p->text);
		}
		otd_check_plugins_finish(c);
		otd_check_folder_remove(folder);
	}
	if (c)
		free(c->problem);
	free(c);
	return rc;
}

static otd_rc take_image(struct otd_heir *h, struct otd_err *err)
{
	int fds[OTD_HEIR_FDS_MAX];
	size_t n = 0;
	uint32_t total = 0;
	otd_rc rc = expect(h, OTD_UPGRADE_TAKE, &total, fds, &n, err);
	if (rc)
		return rc;
	if (n != 2) {
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		return otd_fail(err, OTD_E_INVALID, "the process before hands over no image");
	}
	h->bytes = otd_heir_map(fds[0]);
	close(fds[0]);
	h->lock_fd = fds[1];
	rc = otd_upgrade_image_read(&h->image, h->bytes, err);
	if (rc == OTD_OK && total != h->image.meta.n_fds)
		rc = otd_fail(err, OTD_E_CORRUPT, "what was handed over does not fit together");
	if (rc == OTD_OK)
		h->fd = malloc((total ? total : 1) * sizeof(*h->fd));
	if (rc == OTD_OK && !h->fd)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	return rc ? rc : say(h, OTD_UPGRADE_ACK, 0, err);
}

static otd_rc take_fds(struct otd_heir *h, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	while (rc == OTD_OK && h->n_fds < h->image.meta.n_fds) {
		int fds[OTD_HEIR_FDS_MAX];
		size_t n = 0;
		uint32_t first = 0;
		rc = expect(h, OTD_UPGRADE_FDS, &first, fds, &n, err);
		if (rc)
			break;
		bool good = n && first == h->n_fds && n <= h->image.meta.n_fds - h->n_fds;
		for (size_t i = 0; i < n; i++) {
			if (good)
				h->fd[h->n_fds++] = fds[i];
			else
				close(fds[i]);
		}
		rc = good ? say(h, OTD_UPGRADE_ACK, (uint32_t)h->n_fds, err)
			  : otd_fail(err, OTD_E_INVALID, "descriptors in another order");
	}
	return rc;
}

static otd_rc make_heir(struct otd_app *app, struct otd_err *err)
{
	struct otd_heir *h = app->heir ? app->heir : calloc(1, sizeof(*h));
	if (!h)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	app->heir = h;
	h->sock = OTD_HEIR_FD;
	h->lock_fd = -1;
	return OTD_OK;
}

otd_rc otd_heir_settings(struct otd_app *app, struct otd_err *err)
{
	int fds[OTD_HEIR_FDS_MAX];
	size_t n = 0;
	otd_rc rc = make_heir(app, err);
	if (rc == OTD_OK)
		rc = expect(app->heir, OTD_UPGRADE_SETTINGS, NULL, fds, &n, err);
	if (rc)
		return rc;
	struct otd_span image = n ? otd_heir_map(fds[0]) : (struct otd_span){NULL, 0};
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	rc = otd_settings_unpack(&app->settings, app->env, image, err);
	otd_heir_unmap(image);
	app->heir->kept_settings = rc == OTD_OK;
	return rc;
}

otd_rc otd_heir_prepare(struct otd_app *app, struct otd_err *err)
{
	otd_rc rc = make_heir(app, err);
	if (rc)
		return rc;
	struct otd_heir *h = app->heir;
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	if (otd_app_processes_wanted(app->settings))
		rc = otd_fail(
			err, OTD_E_UNSUPPORTED,
			"threads.processes: reactors in processes of their own cannot take over "
			"connections so far; set it to 0");
	/* Another folder is found by its number; one that is not there is not made here. */
	if (rc == OTD_OK && access(app->data_dir, X_OK) != 0)
		rc = otd_fail(err, OTD_E_INVALID,
			      "data_dir %s is not there: it cannot move in an upgrade",
			      app->data_dir);
	if (rc == OTD_OK)
		rc = otd_app_make_plugins(app, err);
	/* What ran a moment ago is not asked whether it would. */
	if (rc == OTD_OK && !h->kept_settings)
		rc = check_plugins(app, err);
	if (rc == OTD_OK)
		rc = say_hello(h, app->data_dir, err);
	if (rc == OTD_OK)
		rc = take_image(h, err);
	return rc ? rc : take_fds(h, err);
}

/* --- what the start takes of it --- */

int otd_heir_lock(struct otd_app *app)
{
	int fd = app->heir ? app->heir->lock_fd : -1;
	if (app->heir)
		app->heir->lock_fd = -1;
	return fd;
}

int otd_heir_listener(struct otd_app *app, const char *host, uint16_t port)
{
	struct otd_heir *h = app->heir;
	for (size_t i = 0; h && h->fd && i < h->image.n_listeners; i++) {
		const struct otd_upgrade_listener *l = &h->image.listeners[i];
		if (h->fd[i] < 0 || l->port != port || strcmp(l->host, host) != 0)
			continue;
		int fd = h->fd[i];
		h->fd[i] = -1;
		return fd;
	}
	return -1;
}

bool otd_heir_epoch_is_free(const struct otd_app *app, uint64_t epoch)
{
	return !app->heir || !app->heir->fd || !otd_upgrade_epoch_kept(&app->heir->image, epoch);
}

/* --- work and sessions --- */

static uint32_t pool_now(void *arg, uint32_t was)
{
	const struct otd_heir *h = arg;
	return was < h->image.n_pools ? h->pool_now[was] : UINT32_MAX;
}

/* The same pool by its name, on the same chain and with the same extranonces: else it is another. */
static otd_rc find_pools(struct otd_app *app, struct otd_heir *h, struct otd_err *err)
{
	h->pool_now = malloc((h->image.n_pools + 1) * sizeof(*h->pool_now));
	if (!h->pool_now)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < h->image.n_pools; i++) {
		const struct otd_upgrade_pool *was = &h->image.pools[i];
		h->pool_now[i] = UINT32_MAX;
		for (size_t k = 0; *was->name && k < app->n_pools; k++) {
			const struct otd_settings_pool *s = app->pools[k].settings;
			const struct otd_reactor_pool *r =
				otd_reactor_pool(app->reactors[0].reactor, (uint32_t)k);
			if (strcmp(s->name, was->name) == 0 && strcmp(s->coin_id, was->coin) == 0 &&
			    strcmp(s->network, was->network) == 0 &&
			    r->extranonce1_len == was->extranonce1_len &&
			    r->extranonce2_len == was->extranonce2_len)
				h->pool_now[i] = (uint32_t)k;
		}
	}
	return OTD_OK;
}

/* Orders of jobs by reactor of before, pool of before and reactor of now. */
struct orders {
	struct otd_job_orders *at;
	size_t n_before, n_pools, n_now;
};

static struct otd_job_orders *orders_at(struct orders *o, size_t before, size_t pool, size_t now)
{
	return &o->at[(before * o->n_pools + pool) * o->n_now + now];
}

static otd_rc load_pool(struct otd_app *app, struct otd_heir *h, struct orders *o, uint32_t to,
			size_t pool, struct otd_err *err)
{
	struct otd_span images[OTD_UPGRADE_REACTORS_MAX] = {{0}};
	struct otd_job_orders *found = calloc(OTD_UPGRADE_REACTORS_MAX, sizeof(*found));
	uint32_t from[OTD_UPGRADE_REACTORS_MAX], before = h->image.meta.n_reactors;
	size_t n = 0;
	if (!found)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (uint32_t f = 0; f < before; f++) {
		if (!h->image.reactors[f].pools ||
		    !otd_upgrade_reactor_serves(to, (uint32_t)app->n_reactors, f, before))
			continue;
		from[n] = f;
		images[n++] = h->image.reactors[f].pools[pool];
	}
	otd_rc rc = otd_reactor_load_pool(app->reactors[to].reactor, h->pool_now[pool], images, n,
					  found, err);
	for (size_t i = 0; i < n; i++)
		*orders_at(o, from[i], pool, to) = found[i];
	free(found);
	return rc;
}

static otd_rc load_work(struct otd_app *app, struct otd_heir *h, struct orders *o,
			struct otd_err *err)
{
	otd_rc rc = otd_coordinator_load(app->coordinator, h->image.coordinator, pool_now, h, err);
	for (uint32_t r = 0; rc == OTD_OK && r < app->n_reactors; r++) {
		for (size_t p = 0; rc == OTD_OK && p < h->image.n_pools; p++) {
			if (h->pool_now[p] != UINT32_MAX)
				rc = load_pool(app, h, o, r, p, err);
		}
		otd_stratum_load_jobs(app->reactors[r].stratum);
	}
	return rc;
}

/* One whose pool or port is not here any more: told to come again, and closed. */
static void send_away(struct otd_heir *h, int fd)
{
	h->left_out++;
	(void)!send(fd, RECONNECT, sizeof(RECONNECT) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void load_session(struct otd_app *app, struct otd_heir *h, struct orders *o, uint32_t from,
			 uint32_t k, int fd, struct otd_session_record *r)
{
	uint32_t to = otd_upgrade_reactor_of(from, h->image.meta.n_reactors, k,
					     (uint32_t)app->n_reactors);
	uint32_t pool = pool_now(h, r->pool);
	size_t port = pool == UINT32_MAX ? SIZE_MAX : otd_app_port_find(&app->ports, pool, r->port);
	struct otd_ticket ticket;
	if (port == SIZE_MAX || !app->ports.key[port].open) {
		send_away(h, fd);
		return;
	}
	otd_gate_readmit(app->gate, &ticket, r->host, (uint16_t)to);
	otd_rc rc = otd_stratum_load(app->reactors[to].stratum, fd, (uint32_t)port, &ticket, r,
				     orders_at(o, from, r->pool, to));
	if (rc == OTD_OK) {
		h->loaded++;
		return;
	}
	h->left_out++;
	otd_gate_release(app->gate, &ticket);
	otd_log(OTD_LOG_ERROR, "app", "upgrade.session_lost", "peer=%s port=%u error=%s", r->host,
		r->peer_port, otd_rc_name(rc));
}

/* For one reactor of before, and its namesake of now: an id names it by its number. */
struct kept_of {
	const struct otd_heir *h;
	struct orders *o;
	uint32_t from;
};

static uint32_t kept_pool_now(void *arg, uint32_t was)
{
	const struct kept_of *k = arg;
	return was < k->h->image.n_pools ? k->h->pool_now[was] : UINT32_MAX;
}

static const struct otd_job_orders *kept_orders(void *arg, uint32_t was)
{
	const struct kept_of *k = arg;
	return was < k->o->n_pools ? orders_at(k->o, k->from, was, k->from) : NULL;
}

/* Those that may be resumed; without them their miners get new sessions. */
static void load_kept(struct otd_app *app, struct otd_heir *h, struct orders *o)
{
	for (uint32_t f = 0; f < h->image.meta.n_reactors && f < app->n_reactors; f++) {
		struct kept_of k = {.h = h, .o = o, .from = f};
		otd_rc rc =
			otd_stratum_load_kept(app->reactors[f].stratum, h->image.reactors[f].kept,
					      0, kept_pool_now, &k, kept_orders);
		if (rc)
			otd_log(OTD_LOG_WARN, "app", "upgrade.kept_lost", "reactor=%u error=%s", f,
				otd_rc_name(rc));
	}
}

static otd_rc load_sessions(struct otd_app *app, struct otd_heir *h, struct orders *o,
			    struct otd_err *err)
{
	size_t at = h->image.n_listeners;
	for (uint32_t f = 0; f < h->image.meta.n_reactors; f++) {
		const struct otd_upgrade_reactor *from = &h->image.reactors[f];
		struct otd_unpack in = otd_unpack_of(from->sessions);
		for (uint32_t k = 0; k < from->n_sessions; k++, at++) {
			struct otd_session_record r;
			otd_rc rc = otd_session_record_read(&r, &in, err);
			if (rc)
				return rc;
			int fd = h->fd[at];
			h->fd[at] = -1;
			load_session(app, h, o, f, k, fd, &r);
		}
	}
	return OTD_OK;
}

otd_rc otd_heir_load(struct otd_app *app, struct otd_err *err)
{
	struct otd_heir *h = app->heir;
	if (!h)
		return OTD_OK;
	struct orders o = {.n_before = h->image.meta.n_reactors,
			   .n_pools = h->image.n_pools,
			   .n_now = app->n_reactors};
	app->upgrades = h->image.meta.times + 1;
	app->first_started_ms = h->image.meta.started_ms;
	/* Pages that nobody writes to are not there. */
	o.at = calloc(o.n_before * (o.n_pools + 1) * o.n_now + 1, sizeof(*o.at));
	otd_rc rc = o.at ? find_pools(app, h, err) : otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK && h->image.coordinator.len)
		rc = load_work(app, h, &o, err);
	if (rc == OTD_OK)
		rc = load_sessions(app, h, &o, err);
	if (rc == OTD_OK)
		load_kept(app, h, &o);
	free(o.at);
	return rc;
}

/* --- the end of it --- */

/* What was not used is closed; the image is not looked at any more. */
static void free_image(struct otd_heir *h)
{
	for (size_t i = 0; h->fd && i < h->n_fds; i++) {
		if (h->fd[i] >= 0)
			close(h->fd[i]);
	}
	free(h->fd);
	free(h->pool_now);
	h->fd = NULL;
	h->pool_now = NULL;
	otd_upgrade_image_finish(&h->image);
	otd_heir_unmap(h->bytes);
	h->bytes = (struct otd_span){0};
}

/* Whoever has not sent a first byte; they are no sessions yet. */
static void let_in(struct otd_app *app, struct otd_heir *h)
{
	size_t first = h->image.n_listeners + h->image.n_sessions;
	h->doors = otd_upgrade_load_doors(app, &h->image, h->fd + first, pool_now, h);
}

otd_rc otd_heir_go(struct otd_app *app, struct otd_err *err)
{
	struct otd_heir *h = app->heir;
	if (!h)
		return OTD_OK;
	otd_rc rc = say(h, OTD_UPGRADE_LOADED, (uint32_t)h->loaded, err);
	if (rc == OTD_OK)
		rc = expect(h, OTD_UPGRADE_GO, NULL, NULL, NULL, err);
	/* P1 ends us before it starts another: where it has gone there is nobody but us. */
	if (rc && rc != OTD_E_CLOSED)
		return rc;
	if (err)
		*err = (struct otd_err){0};
	close(h->sock);
	h->sock = -1;
	h->serves = true;
	h->at_ms = otd_wall_ms(app->env);
	h->pause_ms = (int64_t)(otd_mono_ns(app->env) / 1000000) - h->image.meta.frozen_ms;
	h->meta = h->image.meta;
	let_in(app, h);
	free_image(h);
	otd_log(OTD_LOG_INFO, "app", "upgrade.taken_over",
		"from=%s version=%s sessions=%zu left_out=%zu at_doors=%zu pause_ms=%" PRId64
		" times=%u",
		h->meta.version, OTEDAMA_VERSION, h->loaded, h->left_out, h->doors, h->pause_ms,
		app->upgrades);
	if (h->kept_settings)
		otd_log(OTD_LOG_WARN, "app", "upgrade.settings_kept",
			"file=%s why=\"the upgrade was taken back: what was in force before it is "
			"in force\" hint=\"otedama reload reads the file again\"",
			OTD_Q(app->config));
	return OTD_OK;
}

void otd_heir_fail(struct otd_app *app, const struct otd_err *err)
{
	struct otd_err ignored;
	struct otd_bytes b;
	if (app->heir && app->heir->sock < 0)
		return;
	otd_bytes_init(&b, 4096);
	otd_pack_u32(&b, OTD_UPGRADE_FAILED);
	otd_pack_text(&b, *err->text ? err->text : "it cannot take over");
	if (!b.failed)
		(void)!otd_heir_send(OTD_HEIR_FD, b.ptr, b.len, NULL, 0, &ignored);
	otd_bytes_finish(&b);
}

void otd_heir_finish(struct otd_app *app)
{
	struct otd_heir *h = app->heir;
	if (!h)
		return;
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	if (h->sock >= 0)
		close(h->sock);
	free_image(h);
	free(h);
	app->heir = NULL;
}

void otd_heir_file_was_read(struct otd_app *app)
{
	if (app->heir)
		app->heir->kept_settings = false;
}

const char *otd_heir_trouble(struct otd_app *app)
{
	struct otd_heir *h = app->heir;
	if (!h || !h->serves || !h->kept_settings)
		return "";
	(void)snprintf(
		h->trouble, sizeof(h->trouble),
		"the last upgrade failed and was taken back; the settings of before it are in "
		"force, whatever %.300s says by now: 'otedama reload' reads it again",
		app->config);
	return h->trouble;
}

void otd_heir_status(const struct otd_app *app, struct otd_bytes *json)
{
	const struct otd_heir *h = app->heir;
	if (!h || !h->serves)
		return;
	(void)otd_bytes_text(json, ",\"upgraded\":{\"from\":");
	(void)otd_bytes_json(json, h->meta.version, strlen(h->meta.version));
	(void)otd_bytes_format(json,
			       ",\"at_ms\":%" PRId64 ",\"times\":%u,\"sessions\":%zu"
			       ",\"left_out\":%zu,\"pause_ms\":%" PRId64
			       ",\"first_started_ms\":%" PRId64 ",\"settings_kept\":%s}",
			       h->at_ms, app->upgrades, h->loaded, h->left_out, h->pause_ms,
			       app->first_started_ms, h->kept_settings ? "true" : "false");
}
