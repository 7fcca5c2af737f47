/* Connections that have not said yet what they are, as bytes: see stratum/image.h. */
#include "stratum/image.h"

#include <stdlib.h>
#include <string.h>

static bool fds_room(struct otd_image_fds *fds)
{
	if (fds->n < fds->cap)
		return true;
	size_t cap = fds->cap ? 2 * fds->cap : 64;
	int *p = realloc(fds->fd, cap * sizeof(*p));
	if (!p)
		return false;
	fds->fd = p;
	fds->cap = cap;
	return true;
}

size_t otd_door_record_add(struct otd_bytes *out, struct otd_image_fds *fds,
			   const struct otd_door_record *r, struct otd_env *e, struct otd_stream *s)
{
	/* Room first: once it is released there is no way back. */
	if (!fds_room(fds) || !otd_bytes_room(out, sizeof(*r) + r->read.len + 64)) {
		e->ops->stream_close(s);
		return 0;
	}
	int fd = e->ops->stream_release(s);
	if (fd < 0)
		return 0;
	fds->fd[fds->n++] = fd;
	size_t part = otd_pack_begin(out);
	otd_pack_u8(out, r->kind);
	otd_pack_text(out, r->listen);
	otd_pack_u32(out, r->pool);
	otd_pack_u32(out, r->reactor);
	otd_pack_u16(out, r->port);
	otd_pack_text(out, r->host);
	otd_pack_u16(out, r->peer_port);
	otd_pack_i64(out, r->until_ms);
	otd_pack_span(out, r->read);
	otd_pack_end(out, part);
	return 1;
}

otd_rc otd_door_record_read(struct otd_door_record *r, struct otd_unpack *from, struct otd_err *err)
{
	struct otd_unpack u = otd_unpack_part(from);
	memset(r, 0, sizeof(*r));
	r->kind = otd_unpack_u8(&u);
	otd_unpack_text(&u, r->listen, sizeof(r->listen));
	r->pool = otd_unpack_u32(&u);
	r->reactor = otd_unpack_u32(&u);
	r->port = otd_unpack_u16(&u);
	otd_unpack_text(&u, r->host, sizeof(r->host));
	r->peer_port = otd_unpack_u16(&u);
	r->until_ms = otd_unpack_i64(&u);
	r->read = otd_unpack_span(&u);
	if (!u.failed && (r->kind == OTD_DOOR_PROXY || r->kind == OTD_DOOR_FIRST_BYTE) &&
	    r->until_ms > 0 && r->read.len <= OTD_PROXY_MAX)
		return OTD_OK;
	return otd_fail(err, OTD_E_CORRUPT,
			"a connection that was handed over before its first byte is garbled");
}
