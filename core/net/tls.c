/*
 * The filter: an SSL object over a BIO of our own that reads from the bytes in hand and writes to where
 * the caller wants them. So nothing is buffered between calls but half a record, inside of OpenSSL.
 */
#include "net/tls.h"
#include "base/log.h"
#include "net/tls_own.h"
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A handshake of a client that has no certificate is a few KiB, also with keys of post-quantum size. */
#define HANDSHAKE_MAX 16384
#define WAITING_MAX   65536
#define RECORD_MAX    16384

struct tls_filter {
	struct otd_filter f;
	SSL *ssl;
	struct otd_span in;     /* what is left of the bytes in hand */
	struct otd_bytes *wire; /* during a call */
	struct otd_bytes waiting;
	uint32_t taken; /* bytes before the handshake was done */
	bool done, broken;
	struct otd_tls_metrics m;
	char peer[46];
};

/* --- the BIO --- */

static int bio_read(BIO *b, char *to, int n)
{
	struct tls_filter *f = BIO_get_data(b);
	size_t take = n > 0 ? (size_t)n : 0;
	BIO_clear_retry_flags(b);
	if (take > f->in.len)
		take = f->in.len;
	if (!take) {
		BIO_set_retry_read(b);
		return -1;
	}
	memcpy(to, f->in.ptr, take);
	f->in.ptr += take;
	f->in.len -= take;
	return (int)take;
}

static int bio_write(BIO *b, const char *p, int n)
{
	const struct tls_filter *f = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	if (n <= 0 || !f->wire || otd_bytes_add(f->wire, p, (size_t)n))
		return -1;
	return n;
}

static long bio_ctrl(BIO *b, int what, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return what == BIO_CTRL_FLUSH;
}

static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method;

static void method_make(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "otedama");
	if (!m)
		return;
	(void)BIO_meth_set_read(m, bio_read);
	(void)BIO_meth_set_write(m, bio_write);
	(void)BIO_meth_set_ctrl(m, bio_ctrl);
	method = m;
}

/* --- the filter --- */

static otd_rc say(struct tls_filter *f, struct otd_span plain)
{
	size_t sent = 0;
	for (; plain.len; plain.ptr += sent, plain.len -= sent) {
		sent = 0;
		if (SSL_write_ex(f->ssl, plain.ptr, plain.len, &sent) != 1) {
			f->broken = true;
			return f->wire->failed ? OTD_E_NOMEM : OTD_E_INVALID;
		}
	}
	return OTD_OK;
}

/* The handshake is through: what waited for it goes out. */
static otd_rc is_done(struct tls_filter *f)
{
	bool tls13 = SSL_version(f->ssl) == TLS1_3_VERSION;
	bool resumed = SSL_session_reused(f->ssl) == 1;
	f->done = true;
	f->f.name = SSL_get_version(f->ssl);
	if (f->m.done[tls13][resumed])
		otd_metric_add(f->m.done[tls13][resumed], 1);
	otd_rc rc = say(f, otd_bytes_span(&f->waiting));
	otd_bytes_finish(&f->waiting);
	return rc;
}

/* Of the bytes that OpenSSL stumbled over, or of what the peer said by an alert. */
static void is_failed(const struct tls_filter *f)
{
	const char *says = ERR_reason_error_string(ERR_peek_last_error());
	if (f->m.failed)
		otd_metric_add(f->m.failed, 1);
	otd_log(OTD_LOG_INFO, "net", "tls.failed", "peer=%s why=\"%s\"", f->peer,
		says ? says : "the handshake has no end");
}

static otd_rc ended(struct tls_filter *f, int why)
{
	if (why == SSL_ERROR_ZERO_RETURN)
		return OTD_E_CLOSED;
	f->broken = true;
	if (!f->done)
		is_failed(f);
	return f->wire->failed ? OTD_E_NOMEM : OTD_E_INVALID;
}

static otd_rc take(struct otd_filter *filter, struct otd_span from_socket, struct otd_bytes *plain,
		   struct otd_bytes *wire)
{
	struct tls_filter *f = (struct tls_filter *)(void *)filter;
	uint8_t some[RECORD_MAX];
	otd_rc rc = OTD_OK;
	f->wire = wire;
	f->in = from_socket;
	while (rc == OTD_OK) {
		size_t got = 0;
		ERR_clear_error();
		int is = SSL_read_ex(f->ssl, some, sizeof(some), &got);
		int why = is == 1 ? SSL_ERROR_NONE : SSL_get_error(f->ssl, is);
		if (!f->done && SSL_is_init_finished(f->ssl))
			rc = is_done(f);
		if (got && !rc)
			rc = otd_bytes_add(plain, some, got);
		if (is != 1 && !rc && why == SSL_ERROR_WANT_READ)
			break;
		if (is != 1 && !rc)
			rc = ended(f, why);
	}
	/* A hello that never ends. */
	if (rc == OTD_OK && !f->done) {
		f->taken += (uint32_t)from_socket.len;
		if (f->taken > HANDSHAKE_MAX)
			rc = ended(f, SSL_ERROR_SSL);
	}
	ERR_clear_error();
	f->wire = NULL;
	f->in = (struct otd_span){0};
	return rc;
}

static otd_rc give(struct otd_filter *filter, struct otd_span plain, struct otd_bytes *wire)
{
	struct tls_filter *f = (struct tls_filter *)(void *)filter;
	if (f->broken)
		return OTD_E_INVALID;
	if (!f->done)
		return otd_bytes_add(&f->waiting, plain.ptr, plain.len);
	f->wire = wire;
	ERR_clear_error();
	otd_rc rc = say(f, plain);
	ERR_clear_error();
	f->wire = NULL;
	return rc;
}

static void end(struct otd_filter *filter, struct otd_bytes *wire)
{
	struct tls_filter *f = (struct tls_filter *)(void *)filter;
	if (f->broken || !f->done)
		return;
	f->wire = wire;
	(void)SSL_shutdown(f->ssl);
	ERR_clear_error();
	f->wire = NULL;
	f->broken = true; /* nothing goes out behind it */
}

static void destroy(struct otd_filter *filter)
{
	struct tls_filter *f = (struct tls_filter *)(void *)filter;
	SSL_free(f->ssl); /* and its BIO */
	otd_bytes_finish(&f->waiting);
	free(f);
}

static const struct otd_filter_ops ops = {
	.take = take, .give = give, .end = end, .destroy = destroy};

otd_rc otd_tls_filter_of(SSL_CTX *ctx, const struct otd_tls_metrics *m, struct otd_filter **out,
			 const char *peer)
{
	struct tls_filter *f = calloc(1, sizeof(*f));
	BIO *b = NULL;
	*out = NULL;
	(void)CRYPTO_THREAD_run_once(&method_once, method_make);
	ERR_clear_error();
	if (f && method) {
		f->ssl = SSL_new(ctx);
		b = BIO_new(method);
	}
	if (!b || !f->ssl) {
		BIO_free(b);
		if (f)
			SSL_free(f->ssl);
		free(f);
		ERR_clear_error();
		return OTD_E_NOMEM;
	}
	BIO_set_data(b, f);
	BIO_set_init(b, 1);
	SSL_set_bio(f->ssl, b, b);
	SSL_set_accept_state(f->ssl);
	otd_bytes_init(&f->waiting, WAITING_MAX);
	f->f.ops = &ops;
	f->f.name = "TLS";
	f->m = *m;
	(void)snprintf(f->peer, sizeof(f->peer), "%s", peer);
	*out = &f->f;
	return OTD_OK;
}
