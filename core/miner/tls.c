/* The miner's side of TLS, see tls.h. How a certificate is judged: tls_trust.c. */
#include "miner/tls_own.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the context --- */

/* A ticket came: for the next connection to the same pool. 1: taken. */
static int on_session(SSL *ssl, SSL_SESSION *s)
{
	struct otd_miner_tls *t = SSL_get_app_data(ssl);
	if (t->slot >= OTD_MINER_TLS_SLOTS)
		return 0;
	SSL_SESSION_free(t->session[t->slot]);
	t->session[t->slot] = s;
	return 1;
}

static bool set_up(struct otd_miner_tls *t)
{
	SSL_CTX *ctx = t->ctx;
	/* As the pool's own side: forward secrecy, and authenticated ciphers. */
	bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		  SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
		  SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") == 1;
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					       SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
							  SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, miner_tls_verify, t);
	return ok;
}

otd_rc otd_miner_tls_create(struct otd_miner_tls **out, const struct otd_miner_trust *trust,
			    struct otd_err *err)
{
	struct otd_miner_tls *t = calloc(1, sizeof(*t));
	otd_rc rc = OTD_OK;
	*out = NULL;
	ERR_clear_error();
	if (t)
		t->ctx = SSL_CTX_new(TLS_client_method());
	if (!t || !t->ctx)
		rc = otd_fail(err, OTD_E_NOMEM, "miner: no memory");
	if (!rc)
		rc = miner_tls_trust(t, trust, err);
	if (!rc && !set_up(t))
		rc = otd_fail(err, OTD_E_UNSUPPORTED,
			      "this machine's OpenSSL refuses TLS 1.2 with ECDHE; look at its "
			      "openssl.cnf");
	ERR_clear_error();
	if (rc)
		otd_miner_tls_destroy(t);
	else
		*out = t;
	return rc;
}

void otd_miner_tls_destroy(struct otd_miner_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	for (size_t i = 0; i < OTD_MINER_TLS_SLOTS; i++)
		SSL_SESSION_free(t->session[i]);
	SSL_CTX_free(t->ctx);
	free(t);
}

/* --- what goes wrong --- */

static void forget_ticket(struct otd_miner_tls *t)
{
	if (t->slot >= OTD_MINER_TLS_SLOTS)
		return;
	SSL_SESSION_free(t->session[t->slot]);
	t->session[t->slot] = NULL;
}

/* Of a handshake that failed elsewhere than at the certificate. */
static void explain(struct otd_miner_tls *t)
{
	unsigned long e = ERR_peek_last_error();
	const char *says = ERR_reason_error_string(e);
	switch (ERR_GET_REASON(e)) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
		(void)snprintf(t->why, sizeof(t->why),
			       "the pool does not speak TLS on this port: ask for its TLS port, or "
			       "use stratum+tcp://");
		break;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		(void)snprintf(t->why, sizeof(t->why),
			       "the pool speaks no TLS 1.2 or 1.3, and what is older is not safe");
		break;
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		(void)snprintf(t->why, sizeof(t->why),
			       "the pool refuses the TLS handshake: it has no cipher with forward "
			       "secrecy (ECDHE), or it does not know this name");
		break;
	default:
		(void)snprintf(t->why, sizeof(t->why), "TLS with the pool failed: %s",
			       says ? says : "it has broken the rules");
	}
}

static otd_rc broken(struct otd_miner_tls *t)
{
	t->broken = true;
	forget_ticket(t);
	if (!t->why[0])
		explain(t);
	ERR_clear_error();
	return OTD_E_INVALID;
}

/* --- the connection --- */

/* What OpenSSL wants to say. */
static otd_rc pump(struct otd_miner_tls *t, struct otd_bytes *wire)
{
	char *p;
	long n = BIO_get_mem_data(SSL_get_wbio(t->ssl), &p);
	if (n <= 0)
		return OTD_OK;
	otd_rc rc = otd_bytes_add(wire, p, (size_t)n);
	(void)BIO_reset(SSL_get_wbio(t->ssl));
	return rc;
}

/* The name that the certificate must bear, and that a server with several is told. */
static bool set_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
	if (X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1)
		return true;
	ERR_clear_error();
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

/*
 * The same again and again until another comes: a pool that takes one need not send the next, and ours
 * does so once an hour. RFC 8446, C.4 advises against it, lest somebody on the way knows two connections as
 * one peer's: a miner comes from the same address each time. Of a copy, since OpenSSL uses a ticket up.
 */
static void use_ticket(struct otd_miner_tls *t)
{
	SSL_SESSION *s = t->slot < OTD_MINER_TLS_SLOTS ? t->session[t->slot] : NULL;
	SSL_SESSION *copy = s ? SSL_SESSION_dup(s) : NULL;
	if (copy)
		(void)SSL_set_session(t->ssl, copy);
	SSL_SESSION_free(copy);
}

otd_rc otd_miner_tls_begin(struct otd_miner_tls *t, const char *host, uint32_t slot,
			   struct otd_bytes *wire)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL_free(t->ssl);
	t->why[0] = t->name[0] = '\0';
	t->up = t->broken = false;
	t->slot = slot;
	(void)snprintf(t->host, sizeof(t->host), "%s", host);
	ERR_clear_error();
	t->ssl = SSL_new(t->ctx);
	if (!t->ssl || !in || !out || !set_host(t->ssl, host)) {
		BIO_free(in);
		BIO_free(out);
		SSL_free(t->ssl);
		t->ssl = NULL;
		(void)snprintf(t->why, sizeof(t->why), "no memory");
		return OTD_E_NOMEM;
	}
	/* An empty one says "come again", not "the end". */
	(void)BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(t->ssl, in, out);
	SSL_set_connect_state(t->ssl);
	SSL_set_app_data(t->ssl, t);
	use_ticket(t);
	(void)SSL_do_handshake(t->ssl);
	ERR_clear_error();
	return pump(t, wire);
}

otd_rc otd_miner_tls_feed(struct otd_miner_tls *t, struct otd_span from_socket)
{
	size_t taken = 0;
	if (!from_socket.len)
		return OTD_OK;
	return BIO_write_ex(SSL_get_rbio(t->ssl), from_socket.ptr, from_socket.len, &taken) == 1 &&
			       taken == from_socket.len
		       ? OTD_OK
		       : OTD_E_NOMEM;
}

static void is_up(struct otd_miner_tls *t)
{
	char digest[OTD_MINER_DIGEST_TEXT] = "";
	t->up = true;
	miner_tls_digest(digest, SSL_get0_peer_certificate(t->ssl));
	(void)snprintf(t->name, sizeof(t->name), "%s%s%s%s", SSL_get_version(t->ssl),
		       SSL_session_reused(t->ssl) == 1 ? ", resumed" : "",
		       t->insecure ? ", its certificate is NOT checked: SHA-256 " : "",
		       t->insecure ? digest : "");
}

otd_rc otd_miner_tls_read(struct otd_miner_tls *t, uint8_t *to, size_t cap, size_t *n,
			  struct otd_bytes *wire)
{
	otd_rc rc = OTD_OK;
	*n = 0;
	ERR_clear_error();
	int is = SSL_read_ex(t->ssl, to, cap, n);
	int why = is == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, is);
	if (!t->up && SSL_is_init_finished(t->ssl))
		is_up(t);
	if (why == SSL_ERROR_WANT_READ)
		rc = OTD_E_BUSY;
	else if (why == SSL_ERROR_ZERO_RETURN)
		rc = OTD_E_CLOSED;
	else if (why != SSL_ERROR_NONE)
		rc = broken(t);
	ERR_clear_error();
	return pump(t, wire) ? OTD_E_NOMEM : rc;
}

otd_rc otd_miner_tls_give(struct otd_miner_tls *t, struct otd_bytes *plain, struct otd_bytes *wire)
{
	size_t sent = 0;
	otd_rc rc = OTD_OK;
	if (!t->up || !plain->len)
		return OTD_OK;
	ERR_clear_error();
	/* A memory BIO takes all of it. */
	if (SSL_write_ex(t->ssl, plain->ptr, plain->len, &sent) != 1)
		rc = broken(t);
	otd_bytes_drop(plain, sent);
	ERR_clear_error();
	return pump(t, wire) ? OTD_E_NOMEM : rc;
}

bool otd_miner_tls_is_up(const struct otd_miner_tls *t)
{
	return t->up;
}

const char *otd_miner_tls_name(const struct otd_miner_tls *t)
{
	return t->name;
}

const char *otd_miner_tls_why(const struct otd_miner_tls *t)
{
	return t->why;
}

void otd_miner_tls_end(struct otd_miner_tls *t, struct otd_bytes *wire)
{
	if (!t->ssl)
		return;
	if (t->up && !t->broken)
		(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
	(void)pump(t, wire);
	SSL_free(t->ssl);
	t->ssl = NULL;
	t->up = false;
}
