/*
 * Connections whose first bytes decide what becomes of them (net/door.h), and have not come yet: they go over as
 * they stand, with what was read of a PROXY header and the time that they have left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/upgrade/upgrade_own.h"
#include "net/door.h"

/* --- P1 --- */

/* A program that does not know them would take their descriptors for sessions'. */
static bool takes_doors(const struct otd_app *app)
{
	return otd_app_upgrade_leaves(app) && app->upgrade->hello.image >= OTD_UPGRADE_DOORS_IN;
}

void otd_app_upgrade_save_listener_doors(struct otd_app *app, size_t i)
{
	struct otd_app_listener *l = app->listeners[i];
	struct otd_upgrade *u = app->upgrade;
	struct otd_door_left left;
	while (takes_doors(app) && otd_listener_leave(l->listener, &left)) {
		struct otd_door_record r = {.kind = OTD_DOOR_PROXY,
					    .port = l->port,
					    .until_ms = left.until_ms,
					    .read = otd_bytes_span(&left.read)};
		(void)snprintf(r.listen, sizeof(r.listen), "%s", l->host);
		(void)otd_door_record_add(&u->doors, &u->door_fds, &r, app->env, left.s);
		otd_bytes_finish(&left.read);
	}
}

void otd_app_upgrade_save_reactor_doors(struct otd_app *app, size_t i)
{
	struct otd_upgrade *u = app->upgrade;
	if (takes_doors(app))
		(void)otd_stratum_save_doors(app->reactors[i].stratum, &u->doors, &u->door_fds);
}

bool otd_upgrade_put_doors(struct otd_upgrade *u)
{
	size_t n = u->door_fds.n;
	if (!n)
		return true;
	int *all = realloc(u->fds.fd, (u->fds.n + n) * sizeof(*all));
	if (!all)
		return false;
	memcpy(all + u->fds.n, u->door_fds.fd, n * sizeof(*all));
	u->fds.fd = all;
	u->fds.n = u->fds.cap = u->fds.n + n;
	u->door_fds.n = 0;
	size_t part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_DOORS);
	otd_pack_u32(&u->image, (uint32_t)n);
	(void)otd_bytes_add(&u->image, u->doors.ptr, u->doors.len);
	otd_upgrade_part_end(&u->image, part);
	return !u->image.failed;
}

/* --- P2 --- */

struct letting_in {
	struct otd_app *app;
	const struct otd_upgrade_image *image;
	uint32_t (*pool_now)(void *arg, uint32_t was);
	void *arg;
};

static bool to_listener(struct otd_app *app, struct otd_stream *s, const struct otd_door_record *r)
{
	for (size_t i = 0; i < app->n_listeners; i++) {
		struct otd_app_listener *l = app->listeners[i];
		if (l->port != r->port || strcmp(l->host, r->listen) != 0)
			continue;
		otd_listener_knock_again(l->listener, s, r->until_ms, r->read);
		return true;
	}
	return false;
}

static bool to_reactor(const struct letting_in *in, struct otd_stream *s,
		       const struct otd_door_record *r)
{
	struct otd_app *app = in->app;
	uint32_t pool = in->pool_now(in->arg, r->pool), before = in->image->meta.n_reactors;
	size_t port = pool == UINT32_MAX ? SIZE_MAX : otd_app_port_find(&app->ports, pool, r->port);
	struct otd_preface preface = {.until_ms = r->until_ms};
	struct otd_ticket ticket;
	char peer[46];
	if (port == SIZE_MAX || !app->ports.key[port].open || r->reactor >= before)
		return false;
	uint32_t to = otd_upgrade_reactor_of(r->reactor, before, 0, (uint32_t)app->n_reactors);
	app->env->ops->stream_peer(s, peer, sizeof(peer), NULL);
	if (*r->host) {
		preface.proxy.has_address = true;
		(void)snprintf(preface.proxy.host, sizeof(preface.proxy.host), "%.45s", r->host);
		preface.proxy.port = r->peer_port;
	}
	otd_gate_readmit(app->gate, &ticket, *r->host ? preface.proxy.host : peer, (uint16_t)to);
	if (otd_stratum_accept_from_post(app->reactors[to].stratum, s, (uint32_t)port, &ticket,
					 &preface) == OTD_OK)
		return true;
	otd_gate_release(app->gate, &ticket);
	return false;
}

size_t otd_upgrade_load_doors(struct otd_app *app, const struct otd_upgrade_image *image, int *fd,
			      uint32_t (*pool_now)(void *arg, uint32_t was), void *arg)
{
	const struct letting_in in = {app, image, pool_now, arg};
	struct otd_unpack from = otd_unpack_of(image->doors);
	struct otd_door_record r;
	struct otd_err err = {0};
	size_t n = 0;
	for (size_t i = 0; i < image->n_doors; i++) {
		struct otd_stream *s;
		if (otd_door_record_read(&r, &from, &err) != OTD_OK)
			break; /* it was read before: cannot be */
		otd_rc rc = app->env->ops->stream_adopt(app->env, &s, fd[i]);
		fd[i] = -1;
		if (rc != OTD_OK)
			continue;
		if (r.kind == OTD_DOOR_PROXY ? to_listener(app, s, &r) : to_reactor(&in, s, &r))
			n++;
		else
			app->env->ops->stream_close(s);
	}
	return n;
}
