/* TLS in memory: OpenSSL's client against our filter. What is agreed on, what is refused, what certificates
   say of themselves, tickets over reactors, restarts and hours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/tls.h"
#include "tls_pair.h"
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

/* --- a time of its own --- */

static int64_t wall = 1800000000000;

static int64_t fake_wall(struct otd_env *e)
{
	(void)e;
	return wall;
}

static void fake_random(struct otd_env *e, void *to, size_t n)
{
	static uint8_t next;
	(void)e;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = next++;
	next = (uint8_t)(next + 3);
}

static const struct otd_env_ops fake_ops = {.wall_ms = fake_wall, .random = fake_random};
static struct otd_env env = {&fake_ops, NULL};

/* --- both sides --- */

static struct otd_tls *server_of(const struct pem_pair *p, struct otd_tls_tickets *t)
{
	const struct otd_tls_conf conf = {.certificate_file = "c.pem",
					  .key_file = "k.pem",
					  .certificate = pair_span(p->certificate),
					  .key = pair_span(p->key),
					  .tickets = t,
					  .env = &env};
	struct otd_tls *tls;
	struct otd_err err = {0};
	assert_int_equal(otd_tls_create(&tls, &conf, &err), OTD_OK);
	return tls;
}

struct link {
	SSL *client;
	BIO *in, *out; /* the client's */
	struct otd_filter *filter;
	struct otd_bytes plain; /* what the server has read */
	otd_rc rc;              /* of the filter */
};

static struct link link_open(SSL_CTX *ctx, struct otd_tls *tls, SSL_SESSION *resume)
{
	struct link l = {.in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem())};
	l.client = SSL_new(ctx);
	SSL_set_bio(l.client, l.in, l.out);
	SSL_set_connect_state(l.client);
	if (resume)
		assert_int_equal(SSL_set_session(l.client, resume), 1);
	assert_int_equal(otd_tls_filter(tls, &l.filter, "192.0.2.1"), OTD_OK);
	otd_bytes_init(&l.plain, 1 << 20);
	return l;
}

static void link_close(struct link *l)
{
	SSL_free(l->client);
	l->filter->ops->destroy(l->filter);
	otd_bytes_finish(&l->plain);
}

static void to_client(struct link *l, struct otd_bytes *wire)
{
	if (wire->len)
		assert_int_equal(BIO_write(l->in, wire->ptr, (int)wire->len), (int)wire->len);
	otd_bytes_finish(wire);
}

/* Moves what either has for the other, so many bytes at a time, until both are quiet. */
static void link_pump(struct link *l, size_t at_a_time)
{
	uint8_t some[4096];
	char ignored[512];
	bool moved = true;
	while (moved && !l->rc) {
		moved = false;
		if (SSL_is_init_finished(l->client))
			(void)SSL_peek(l->client, ignored, sizeof(ignored));
		else
			(void)SSL_do_handshake(l->client);
		ERR_clear_error();
		int n = BIO_read(l->out, some,
				 (int)(at_a_time < sizeof(some) ? at_a_time : sizeof(some)));
		if (n > 0) {
			struct otd_bytes wire;
			otd_bytes_init(&wire, 1 << 20);
			l->rc = l->filter->ops->take(l->filter, (struct otd_span){some, (size_t)n},
						     &l->plain, &wire);
			to_client(l, &wire);
			moved = true;
		}
	}
}

static void server_says(struct link *l, const char *s)
{
	struct otd_bytes wire;
	otd_bytes_init(&wire, 1 << 20);
	assert_int_equal(l->filter->ops->give(l->filter, pair_span(s), &wire), OTD_OK);
	to_client(l, &wire);
}

static bool client_has(struct link *l, const char *s)
{
	char got[256] = "";
	int n = SSL_read(l->client, got, sizeof(got) - 1);
	return n == (int)strlen(s) && strcmp(got, s) == 0;
}

/* The session that the client may come back with; of TLS 1.3 it comes after the handshake. */
static SSL_SESSION *kept;

static int on_session(SSL *s, SSL_SESSION *session)
{
	(void)s;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

static SSL_CTX *client_of(int version)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	if (version) {
		SSL_CTX_set_min_proto_version(c, version);
		SSL_CTX_set_max_proto_version(c, version);
	}
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(c, on_session);
	return c;
}

static void forget_session(void)
{
	SSL_SESSION_free(kept);
	kept = NULL;
}

/* --- the way of bytes --- */

static void both_versions_carry_lines(void **state)
{
	static const int version[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	static const char *const name[] = {"TLSv1.2", "TLSv1.3"};
	static const enum pair_kind kind[] = {PAIR_EC, PAIR_RSA};
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pem_pair p = pair_make(kind[i / 2], "pool.example", -60, 3600);
		struct otd_tls *tls = server_of(&p, NULL);
		SSL_CTX *ctx = client_of(version[i % 2]);
		/* Also a byte at a time. */
		for (size_t step = 1; step <= 4096; step *= 4096) {
			struct link l = link_open(ctx, tls, NULL);
			server_says(&l, "early\n"); /* waits for the handshake */
			link_pump(&l, step);
			assert_int_equal(l.rc, OTD_OK);
			assert_true(SSL_is_init_finished(l.client));
			assert_string_equal(l.filter->name, name[i % 2]);
			assert_true(client_has(&l, "early\n"));
			assert_int_equal(SSL_write(l.client, "hello\n", 6), 6);
			assert_int_equal(SSL_write(l.client, "again\n", 6), 6);
			link_pump(&l, step);
			assert_int_equal(l.plain.len, 12);
			assert_memory_equal(l.plain.ptr, "hello\nagain\n", 12);
			server_says(&l, "and back\n");
			assert_true(client_has(&l, "and back\n"));
			link_close(&l);
		}
		SSL_CTX_free(ctx);
		otd_tls_destroy(tls);
		pair_free(&p);
	}
}

static void a_long_line_takes_many_records(void **state)
{
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls *tls = server_of(&p, NULL);
	SSL_CTX *ctx = client_of(0);
	struct link l = link_open(ctx, tls, NULL);
	struct otd_bytes wire;
	char *big = malloc(100000), got[40000];
	size_t n = 0;
	(void)state;
	for (size_t i = 0; i < 100000; i++)
		big[i] = (char)('a' + i % 23);
	link_pump(&l, 4096);
	otd_bytes_init(&wire, 1 << 20);
	assert_int_equal(
		l.filter->ops->give(l.filter, (struct otd_span){(uint8_t *)big, 100000}, &wire),
		OTD_OK);
	to_client(&l, &wire);
	for (int r; (r = SSL_read(l.client, got, sizeof(got))) > 0; n += (size_t)r)
		assert_memory_equal(got, big + n, (size_t)r);
	assert_int_equal(n, 100000);
	assert_int_equal(SSL_write(l.client, big, 100000), 100000);
	link_pump(&l, 1000);
	assert_int_equal(l.plain.len, 100000);
	assert_memory_equal(l.plain.ptr, big, 100000);
	link_close(&l);
	free(big);
	SSL_CTX_free(ctx);
	otd_tls_destroy(tls);
	pair_free(&p);
}

static void an_end_is_said_and_heard(void **state)
{
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls *tls = server_of(&p, NULL);
	SSL_CTX *ctx = client_of(0);
	struct link l = link_open(ctx, tls, NULL);
	struct otd_bytes wire;
	char c;
	(void)state;
	link_pump(&l, 4096);
	otd_bytes_init(&wire, 1 << 20);
	l.filter->ops->end(l.filter, &wire);
	assert_true(wire.len > 0);
	to_client(&l, &wire);
	assert_int_equal(SSL_read(l.client, &c, 1), 0);
	assert_int_equal(SSL_get_error(l.client, 0), SSL_ERROR_ZERO_RETURN);
	link_close(&l);
	l = link_open(ctx, tls, NULL);
	link_pump(&l, 4096);
	assert_int_equal(SSL_write(l.client, "last\n", 5), 5);
	SSL_shutdown(l.client);
	link_pump(&l, 4096);
	assert_int_equal(l.rc, OTD_E_CLOSED);
	assert_int_equal(l.plain.len, 5); /* what came before it is not lost */
	link_close(&l);
	SSL_CTX_free(ctx);
	otd_tls_destroy(tls);
	pair_free(&p);
}

/* --- refused --- */

static void old_and_weak_are_refused(void **state)
{
	static const struct {
		int version;
		const char *ciphers;
	} weak[] = {{TLS1_VERSION, "ALL:@SECLEVEL=0"},
		    {TLS1_1_VERSION, "ALL:@SECLEVEL=0"},
		    {TLS1_2_VERSION, "AES128-GCM-SHA256"}, /* RSA key exchange */
		    {TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256"},
		    {TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256"}, /* CBC */
		    {TLS1_2_VERSION, "aNULL:@SECLEVEL=0"}};
	struct pem_pair p = pair_make(PAIR_RSA, "pool.example", -60, 3600);
	struct otd_tls *tls = server_of(&p, NULL);
	(void)state;
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		SSL_CTX *ctx = client_of(weak[i].version);
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, weak[i].ciphers), 1);
		struct link l = link_open(ctx, tls, NULL);
		link_pump(&l, 4096);
		assert_int_equal(l.rc, OTD_E_INVALID);
		assert_false(SSL_is_init_finished(l.client));
		link_close(&l);
		SSL_CTX_free(ctx);
	}
	otd_tls_destroy(tls);
	pair_free(&p);
}

static void a_renegotiation_is_refused(void **state)
{
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls *tls = server_of(&p, NULL);
	SSL_CTX *ctx = client_of(TLS1_2_VERSION);
	struct link l = link_open(ctx, tls, NULL);
	(void)state;
	link_pump(&l, 4096);
	assert_int_equal(SSL_renegotiate(l.client), 1);
	assert_true(SSL_do_handshake(l.client) <= 0);
	link_pump(&l, 4096);
	assert_true(SSL_do_handshake(l.client) <= 0); /* no_renegotiation came back */
	assert_true(SSL_renegotiate_pending(l.client) || !SSL_is_init_finished(l.client));
	link_close(&l);
	SSL_CTX_free(ctx);
	otd_tls_destroy(tls);
	pair_free(&p);
}

static otd_rc take_bytes(struct otd_filter *f, const void *p, size_t n, size_t *wire_n)
{
	struct otd_bytes plain, wire;
	otd_bytes_init(&plain, 1 << 20);
	otd_bytes_init(&wire, 1 << 20);
	otd_rc rc = f->ops->take(f, (struct otd_span){p, n}, &plain, &wire);
	assert_int_equal(plain.len, 0);
	*wire_n = wire.len;
	otd_bytes_finish(&plain);
	otd_bytes_finish(&wire);
	return rc;
}

static void garbage_is_refused_and_hellos_end(void **state)
{
	static const uint8_t garbage[] =
		"\x16 this is no handshake at all, it only begins like one";
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls *tls = server_of(&p, NULL);
	struct otd_filter *f;
	size_t wire;
	otd_rc rc = OTD_OK;
	/* A hello that says it has 100,000 bytes, in records of 16 KiB. */
	uint8_t record[5 + 16384] = {0x16, 3, 1, 0x40, 0, 1, 0x01, 0x86, 0xa0, 3, 3};
	(void)state;
	assert_int_equal(otd_tls_filter(tls, &f, "192.0.2.1"), OTD_OK);
	assert_int_equal(take_bytes(f, garbage, sizeof(garbage), &wire), OTD_E_INVALID);
	f->ops->destroy(f);
	assert_int_equal(otd_tls_filter(tls, &f, "192.0.2.1"), OTD_OK);
	for (int i = 0; i < 4 && !rc; i++) {
		rc = take_bytes(f, record, sizeof(record), &wire);
		memset(record + 5, 0, sizeof(record) - 5);
	}
	assert_int_equal(rc, OTD_E_INVALID);
	f->ops->destroy(f);
	otd_tls_destroy(tls);
	pair_free(&p);
}

/* --- certificates --- */

static void wrong(const char *certificate, const char *key, const char *says)
{
	const struct otd_tls_conf conf = {.certificate_file = "c.pem",
					  .key_file = "k.pem",
					  .certificate = pair_span(certificate),
					  .key = pair_span(key),
					  .env = &env};
	struct otd_tls *tls;
	struct otd_err err = {0};
	assert_int_equal(otd_tls_create(&tls, &conf, &err), OTD_E_INVALID);
	assert_null(tls);
	if (!strstr(err.text, says))
		fail_msg("'%s' does not say '%s'", err.text, says);
}

static void wrong_files_are_told_apart(void **state)
{
	struct pem_pair a = pair_make(PAIR_EC, "a.example", -60, 3600);
	struct pem_pair b = pair_make(PAIR_EC, "b.example", -60, 3600);
	struct pem_pair s = pair_make(PAIR_RSA_SHORT, "s.example", -60, 3600);
	BIO *out = BIO_new(BIO_s_mem()), *in = BIO_new_mem_buf(a.key, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	char *locked, *cut = strdup(a.certificate), *chain;
	(void)state;
	PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	locked = pair_text(out);
	wrong("", a.key, "c.pem: has no certificate");
	wrong(a.key, a.key, "c.pem: has no certificate");
	wrong(a.certificate, "", "k.pem: has no private key");
	wrong(a.certificate, a.certificate, "k.pem: has no private key");
	wrong(a.certificate, b.key, "k.pem: this key does not belong to the certificate in c.pem");
	wrong(a.certificate, locked, "k.pem: the key has a passphrase");
	wrong(s.certificate, s.key, "c.pem: the certificate cannot be used");
	/* A chain whose second certificate lost a letter. */
	cut[200] = '!';
	chain = malloc(strlen(a.certificate) + strlen(cut) + 1);
	memcpy(chain, a.certificate, strlen(a.certificate));
	memcpy(chain + strlen(a.certificate), cut, strlen(cut) + 1);
	wrong(chain, a.key, "c.pem: a certificate of its chain is damaged");
	free(chain);
	free(cut);
	free(locked);
	EVP_PKEY_free(key);
	BIO_free(in);
	pair_free(&a);
	pair_free(&b);
	pair_free(&s);
}

static void facts_and_validity(void **state)
{
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls *tls = server_of(&p, NULL);
	struct otd_tls_facts f;
	struct otd_err err = {0};
	(void)state;
	otd_tls_facts(tls, &f);
	assert_string_equal(f.names, "pool.example");
	assert_string_equal(f.key, "EC 256 bits");
	assert_int_equal(strlen(f.digest), 64);
	assert_int_equal(f.chain, 0);
	assert_int_equal(f.until_ms - f.from_ms, 3660000);
	assert_int_equal(otd_tls_validity(&f, "c.pem", f.from_ms, &err), OTD_OK);
	assert_int_equal(otd_tls_validity(&f, "c.pem", f.until_ms - 1, &err), OTD_OK);
	assert_int_equal(otd_tls_validity(&f, "c.pem", f.until_ms, &err), OTD_E_RANGE);
	assert_non_null(strstr(err.text, "c.pem: the certificate ended on "));
	assert_int_equal(otd_tls_validity(&f, "c.pem", f.from_ms - 1, &err), OTD_E_RANGE);
	assert_non_null(strstr(err.text, "is not valid before "));
	otd_tls_destroy(tls);
	pair_free(&p);
}

static void a_fresh_certificate_is_for_new_handshakes(void **state)
{
	struct pem_pair a = pair_make(PAIR_EC, "a.example", -60, 3600);
	struct pem_pair b = pair_make(PAIR_EC, "b.example", -60, 3600);
	struct otd_tls *tls = server_of(&a, NULL);
	SSL_CTX *ctx = client_of(0);
	struct link old = link_open(ctx, tls, NULL), young;
	struct otd_filter *f;
	char name[64];
	(void)state;
	link_pump(&old, 4096);
	otd_tls_replace(tls, server_of(&b, NULL));
	young = link_open(ctx, tls, NULL);
	link_pump(&young, 4096);
	X509 *x = SSL_get1_peer_certificate(young.client);
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "b.example");
	X509_free(x);
	server_says(&old, "still here\n");
	assert_true(client_has(&old, "still here\n"));
	otd_tls_retire(tls);
	assert_int_equal(otd_tls_filter(tls, &f, "192.0.2.1"), OTD_E_CLOSED);
	server_says(&old, "and here\n");
	assert_true(client_has(&old, "and here\n"));
	otd_tls_destroy(tls);
	server_says(&young, "even now\n");
	assert_true(client_has(&young, "even now\n"));
	link_close(&old);
	link_close(&young);
	SSL_CTX_free(ctx);
	pair_free(&a);
	pair_free(&b);
}

/* --- tickets --- */

static struct otd_tls_tickets *tickets_make(void)
{
	struct otd_tls_tickets *t;
	struct otd_err err = {0};
	assert_int_equal(otd_tls_tickets_create(&t, &env, &err), OTD_OK);
	return t;
}

/* Whether a handshake with what was kept is a short one; keeps what comes of it. */
static bool resumes(SSL_CTX *ctx, struct otd_tls *tls, SSL_SESSION *with)
{
	/* A copy: one that was renewed is marked as used up. */
	SSL_SESSION *mine = with ? SSL_SESSION_dup(with) : NULL;
	struct link l = link_open(ctx, tls, mine);
	SSL_SESSION_free(mine);
	link_pump(&l, 4096);
	assert_int_equal(l.rc, OTD_OK);
	assert_true(SSL_is_init_finished(l.client));
	server_says(&l, "line\n"); /* TLS 1.3: the ticket is in front of it */
	assert_true(client_has(&l, "line\n"));
	bool yes = SSL_session_reused(l.client);
	/* A renewed one of TLS 1.2 comes by no callback. */
	if (SSL_version(l.client) == TLS1_2_VERSION) {
		SSL_SESSION_free(kept);
		kept = SSL_get1_session(l.client);
	}
	SSL_shutdown(l.client);
	link_close(&l);
	return yes;
}

static void tickets_for(int version)
{
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls_tickets *t = tickets_make(), *next = tickets_make();
	/* Two reactors, two ports: what they share is the keys. */
	struct otd_tls *one = server_of(&p, t), *two = server_of(&p, t), *after;
	SSL_CTX *ctx = client_of(version);
	struct otd_bytes flat;
	struct otd_err err = {0};
	assert_false(resumes(ctx, one, NULL));
	assert_non_null(kept);
	SSL_SESSION *first = kept;
	SSL_SESSION_up_ref(first);
	assert_true(resumes(ctx, two, first));
	/* A restart: the keys come over as bytes. */
	otd_bytes_init(&flat, 4096);
	assert_int_equal(otd_tls_tickets_export(t, &flat), OTD_OK);
	after = server_of(&p, next);
	assert_false(resumes(ctx, after, first));
	assert_int_equal(otd_tls_tickets_import(next, otd_bytes_span(&flat), &err), OTD_OK);
	assert_true(resumes(ctx, after, first));
	/* An hour, two: with a key that is no longer the newest. Three: no more. */
	for (int hours = 1; hours <= 2; hours++) {
		wall += OTD_TLS_TICKET_TURN_MS;
		assert_true(otd_tls_tickets_turn(next));
		assert_false(otd_tls_tickets_turn(next));
		assert_true(resumes(ctx, after, first));
	}
	wall += OTD_TLS_TICKET_TURN_MS;
	assert_false(resumes(ctx, after, first)); /* over, though nobody has turned yet */
	assert_true(otd_tls_tickets_turn(next));
	assert_false(resumes(ctx, after, first));
	/* What is over is not taken up again, and does not take the place of what is not. */
	assert_int_equal(otd_tls_tickets_import(next, otd_bytes_span(&flat), &err),
			 OTD_E_NOT_FOUND);
	forget_session();
	assert_false(resumes(ctx, after, NULL));
	assert_true(resumes(ctx, after, kept));
	forget_session();
	SSL_SESSION_free(first);
	otd_bytes_finish(&flat);
	SSL_CTX_free(ctx);
	otd_tls_destroy(one);
	otd_tls_destroy(two);
	otd_tls_destroy(after);
	otd_tls_tickets_destroy(t);
	otd_tls_tickets_destroy(next);
	pair_free(&p);
}

static void tickets_of_both_versions(void **state)
{
	(void)state;
	tickets_for(TLS1_2_VERSION);
	tickets_for(TLS1_3_VERSION);
}

/* A client that comes back with an old key gets a ticket of the newest. */
static void an_old_ticket_is_renewed(void **state)
{
	static const int version[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct otd_tls_tickets *t = tickets_make();
		struct otd_tls *tls = server_of(&p, t);
		SSL_CTX *ctx = client_of(version[i]);
		assert_false(resumes(ctx, tls, NULL));
		for (int hours = 0; hours < 5; hours++) {
			SSL_SESSION *s = kept;
			SSL_SESSION_up_ref(s);
			assert_true(resumes(ctx, tls, s));
			SSL_SESSION_free(s);
			wall += OTD_TLS_TICKET_TURN_MS;
			assert_true(otd_tls_tickets_turn(t));
		}
		forget_session();
		SSL_CTX_free(ctx);
		otd_tls_destroy(tls);
		otd_tls_tickets_destroy(t);
	}
	pair_free(&p);
}

static void flat_keys_are_checked(void **state)
{
	struct otd_tls_tickets *t = tickets_make();
	struct otd_tls_ticket_key before, now;
	struct otd_bytes flat;
	struct otd_err err = {0};
	(void)state;
	otd_tls_tickets_newest(t, &before);
	otd_bytes_init(&flat, 4096);
	assert_int_equal(otd_tls_tickets_export(t, &flat), OTD_OK);
	for (size_t i = 0; i < flat.len; i++) {
		flat.ptr[i] ^= 0x40;
		assert_int_not_equal(otd_tls_tickets_import(t, otd_bytes_span(&flat), &err),
				     OTD_OK);
		flat.ptr[i] ^= 0x40;
		assert_int_not_equal(
			otd_tls_tickets_import(t, (struct otd_span){flat.ptr, i}, &err), OTD_OK);
	}
	otd_tls_tickets_newest(t, &now);
	assert_memory_equal(&before, &now, sizeof(now));
	assert_int_equal(otd_tls_tickets_import(t, otd_bytes_span(&flat), &err), OTD_OK);
	/* A clock that was put back: a key of the future would live too long. */
	wall -= 2 * (int64_t)OTD_TLS_TICKET_TURN_MS;
	assert_int_equal(otd_tls_tickets_import(t, otd_bytes_span(&flat), &err), OTD_E_NOT_FOUND);
	assert_true(otd_tls_tickets_turn(t));
	otd_tls_tickets_newest(t, &now);
	assert_int_equal(now.created_ms, wall);
	wall += 2 * (int64_t)OTD_TLS_TICKET_TURN_MS;
	otd_bytes_finish(&flat);
	otd_tls_tickets_destroy(t);
}

/* --- threads --- */

struct hands {
	SSL_CTX *ctx;
	struct otd_tls *tls;
	unsigned shaken;
};

/* cmocka's checks are for one thread: what goes wrong is not counted. */
static void *shake_hands(void *arg)
{
	struct hands *h = arg;
	for (int i = 0; i < 60; i++) {
		struct link l = {.in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem())};
		bool good = otd_tls_filter(h->tls, &l.filter, "192.0.2.1") == OTD_OK;
		l.client = SSL_new(h->ctx);
		SSL_set_bio(l.client, l.in, l.out);
		SSL_set_connect_state(l.client);
		otd_bytes_init(&l.plain, 1 << 20);
		if (good) {
			link_pump(&l, 4096);
			h->shaken += l.rc == OTD_OK && SSL_is_init_finished(l.client);
			l.filter->ops->destroy(l.filter);
		}
		SSL_free(l.client);
		otd_bytes_finish(&l.plain);
	}
	return NULL;
}

static void reactors_share_it_while_it_changes(void **state)
{
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls_tickets *t = tickets_make();
	struct otd_tls *tls = server_of(&p, t);
	struct hands h[3];
	pthread_t thread[3];
	struct otd_tls_facts f;
	struct otd_bytes flat;
	struct otd_err err = {0};
	(void)state;
	for (int i = 0; i < 3; i++) {
		h[i] = (struct hands){.ctx = SSL_CTX_new(TLS_client_method()), .tls = tls};
		assert_int_equal(pthread_create(&thread[i], NULL, shake_hands, &h[i]), 0);
	}
	for (int i = 0; i < 40; i++) {
		otd_tls_replace(tls, server_of(&p, t));
		otd_tls_facts(tls, &f);
		otd_bytes_init(&flat, 4096);
		assert_int_equal(otd_tls_tickets_export(t, &flat), OTD_OK);
		assert_int_equal(otd_tls_tickets_import(t, otd_bytes_span(&flat), &err), OTD_OK);
		otd_bytes_finish(&flat);
		(void)otd_tls_tickets_turn(t);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(h[i].shaken, 60);
		SSL_CTX_free(h[i].ctx);
	}
	otd_tls_destroy(tls);
	otd_tls_tickets_destroy(t);
	pair_free(&p);
}

/* --- memory --- */

/* What a connection at rest costs, after its first lines; printed, and held below a bound. */
static void a_connection_at_rest_is_small(void **state)
{
	enum { N = 64 };
	static const int version[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	(void)state;
	if (!mallinfo2().uordblks)
		skip(); /* a sanitizer's own memory is not counted */
	struct pem_pair p = pair_make(PAIR_EC, "pool.example", -60, 3600);
	struct otd_tls_tickets *t = tickets_make();
	struct otd_tls *tls = server_of(&p, t);
	for (int v = 0; v < 2; v++) {
		SSL_CTX *ctx = client_of(version[v]);
		struct otd_filter *kept_filters[N];
		size_t before = 0;
		for (int i = 0; i < N; i++) {
			struct link l = link_open(ctx, tls, NULL);
			link_pump(&l, 4096);
			server_says(&l, "line\n");
			assert_true(client_has(&l, "line\n"));
			assert_int_equal(SSL_write(l.client, "hello\n", 6), 6);
			link_pump(&l, 4096);
			kept_filters[i] = l.filter;
			SSL_free(l.client);
			otd_bytes_finish(&l.plain);
			/* What the first ones made for all is not theirs. */
			if (i == N / 2 - 1)
				before = mallinfo2().uordblks;
		}
		forget_session();
		size_t each = (mallinfo2().uordblks - before) / (N / 2);
		print_message("a TLS 1.%d connection at rest: %zu bytes\n", 2 + v, each);
		assert_true(each > 0 && each < 16384);
		for (int i = 0; i < N; i++)
			kept_filters[i]->ops->destroy(kept_filters[i]);
		SSL_CTX_free(ctx);
	}
	otd_tls_destroy(tls);
	otd_tls_tickets_destroy(t);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_versions_carry_lines),
		cmocka_unit_test(a_long_line_takes_many_records),
		cmocka_unit_test(an_end_is_said_and_heard),
		cmocka_unit_test(old_and_weak_are_refused),
		cmocka_unit_test(a_renegotiation_is_refused),
		cmocka_unit_test(garbage_is_refused_and_hellos_end),
		cmocka_unit_test(wrong_files_are_told_apart),
		cmocka_unit_test(facts_and_validity),
		cmocka_unit_test(a_fresh_certificate_is_for_new_handshakes),
		cmocka_unit_test(tickets_of_both_versions),
		cmocka_unit_test(an_old_ticket_is_renewed),
		cmocka_unit_test(flat_keys_are_checked),
		cmocka_unit_test(reactors_share_it_while_it_changes),
		cmocka_unit_test(a_connection_at_rest_is_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
