/*
 * Bytes of a peer into the TLS filter. The first byte says what else happens: a client of OpenSSL's may
 * have shaken hands before, so that the bytes come where records are expected; they come cut as they like;
 * flat ticket keys are read out of them, too. Certificates, keys and randomness are fixed.
 */
#include "base/log.h"
#include "net/tls.h"
#include "tls_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int64_t wall_of(struct otd_env *e)
{
	(void)e;
	return 1800000000000;
}

static void random_of(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 7, n);
}

static const struct otd_env_ops ops = {.wall_ms = wall_of, .random = random_of};
static struct otd_env env = {&ops, NULL};
static struct otd_tls *tls;
static struct otd_tls_tickets *tickets;
static SSL_CTX *clients;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void once(void)
{
	static const struct otd_log_conf quiet = {.level = OTD_LOG_ERROR};
	struct otd_err err = {0};
	if (tls)
		return;
	otd_log_levels(&quiet);
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	must(otd_tls_tickets_create(&tickets, &env, &err) == OTD_OK);
	const struct otd_tls_conf conf = {.certificate_file = "c",
					  .key_file = "k",
					  .certificate = pair_span(p.certificate),
					  .key = pair_span(p.key),
					  .tickets = tickets,
					  .env = &env};
	must(otd_tls_create(&tls, &conf, &err) == OTD_OK);
	clients = SSL_CTX_new(TLS_client_method());
	pair_free(&p);
}

/* A client's handshake to its end. */
static void shake_hands(struct otd_filter *f, int version)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL *c = SSL_new(clients);
	uint8_t some[4096];
	int got;
	SSL_set_max_proto_version(c, version);
	SSL_set_bio(c, in, out);
	SSL_set_connect_state(c);
	for (int i = 0; i < 4; i++) {
		(void)SSL_do_handshake(c);
		while ((got = BIO_read(out, some, sizeof(some))) > 0) {
			struct otd_bytes plain, wire;
			otd_bytes_init(&plain, 1 << 20);
			otd_bytes_init(&wire, 1 << 20);
			must(f->ops->take(f, (struct otd_span){some, (size_t)got}, &plain, &wire) ==
			     OTD_OK);
			if (wire.len)
				(void)BIO_write(in, wire.ptr, (int)wire.len);
			otd_bytes_finish(&plain);
			otd_bytes_finish(&wire);
		}
	}
	must(SSL_is_init_finished(c));
	SSL_free(c);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_filter *f;
	struct otd_bytes plain, wire;
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	if (n < 2)
		return 0;
	once();
	(void)!otd_tls_tickets_import(tickets, (struct otd_span){data + 2, n - 2}, &err);
	must(otd_tls_filter(tls, &f, "192.0.2.1") == OTD_OK);
	if (data[0] & 3)
		shake_hands(f, (data[0] & 3) == 1 ? TLS1_2_VERSION : TLS1_3_VERSION);
	otd_bytes_init(&plain, 1 << 20);
	otd_bytes_init(&wire, 1 << 20);
	size_t at = 2, step = (size_t)data[1] + 1;
	if (data[0] & 4)
		(void)f->ops->give(f, (struct otd_span){data, n}, &wire);
	while (at < n && rc == OTD_OK) {
		size_t len = n - at < step ? n - at : step;
		rc = f->ops->take(f, (struct otd_span){data + at, len}, &plain, &wire);
		must(rc == OTD_OK || rc == OTD_E_CLOSED || rc == OTD_E_INVALID);
		at += len;
		/* Nobody gets lines without the keys, and answers grow with what was asked. */
		must(plain.len == 0);
		must(wire.len <= 16384 + 64 * n);
	}
	if (rc == OTD_OK && (data[0] & 8))
		f->ops->end(f, &wire);
	f->ops->destroy(f);
	otd_bytes_finish(&plain);
	otd_bytes_finish(&wire);
	return 0;
}
