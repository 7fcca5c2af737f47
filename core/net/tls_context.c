/* A certificate with its key: read, checked, and made the way handshakes go. */
#include "net/tls.h"
#include "net/tls_own.h"
#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A ticket's key lives so long at least after the last ticket was made with it. */
#define TICKET_LIFE_S ((OTD_TLS_TICKETS_KEPT - 1) * (OTD_TLS_TICKET_TURN_MS / 1000))

struct otd_tls {
	CRYPTO_RWLOCK *lock;
	SSL_CTX *ctx; /* NULL: retired */
	struct otd_tls_facts facts;
	struct otd_tls_metrics m;
};

/* --- what is wrong --- */

static const char *library_says(void)
{
	const char *s = ERR_reason_error_string(ERR_peek_last_error());
	return s ? s : "no reason given";
}

static otd_rc bad(struct otd_err *err, const char *file, const char *what)
{
	otd_rc rc = otd_fail(err, OTD_E_INVALID, "%s: %s", file, what);
	ERR_clear_error();
	return rc;
}

static otd_rc bad_by(struct otd_err *err, const char *file, const char *what)
{
	otd_rc rc = otd_fail(err, OTD_E_INVALID, "%s: %s (%s)", file, what, library_says());
	ERR_clear_error();
	return rc;
}

/* --- reading --- */

/* Nobody is asked for a passphrase: the default asks the terminal. */
static int no_passphrase(char *to, int n, int writing, void *arg)
{
	(void)to;
	(void)n;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static BIO *open_text(struct otd_span s)
{
	return s.len <= OTD_TLS_PEM_MAX ? BIO_new_mem_buf(s.ptr, (int)s.len) : NULL;
}

static X509 *next_certificate(BIO *b)
{
	bool asked = false;
	return PEM_read_bio_X509(b, NULL, no_passphrase, &asked);
}

static otd_rc read_chain(SSL_CTX *ctx, X509 **own, const struct otd_tls_conf *conf,
			 struct otd_tls_facts *facts, struct otd_err *err)
{
	const char *file = conf->certificate_file;
	BIO *b = open_text(conf->certificate);
	X509 *more;
	otd_rc rc = OTD_OK;
	*own = b ? next_certificate(b) : NULL;
	if (!*own)
		rc = bad(err, file,
			 "has no certificate in PEM form in it ('-----BEGIN CERTIFICATE-----'); "
			 "name the file with the server's certificate and its chain");
	else if (SSL_CTX_use_certificate(ctx, *own) != 1)
		rc = bad_by(err, file,
			    "the certificate cannot be used; make one with an EC key "
			    "(P-256), or RSA of 2048 bits or more");
	while (rc == OTD_OK && (more = next_certificate(b))) {
		/* Takes it where it succeeds. */
		if (SSL_CTX_add0_chain_cert(ctx, more) != 1) {
			X509_free(more);
			rc = bad_by(err, file, "a certificate of its chain cannot be used");
		}
		facts->chain++;
	}
	/* What stopped the loop: the end, or a block that is none. */
	unsigned long e = ERR_peek_last_error();
	if (rc == OTD_OK && e && ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
		rc = bad_by(err, file, "a certificate of its chain is damaged");
	ERR_clear_error();
	BIO_free(b);
	return rc;
}

static otd_rc read_key(SSL_CTX *ctx, X509 *own, const struct otd_tls_conf *conf,
		       struct otd_tls_facts *facts, struct otd_err *err)
{
	const char *file = conf->key_file;
	bool asked = false;
	BIO *b = open_text(conf->key);
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &asked) : NULL;
	otd_rc rc = OTD_OK;
	if (!key && asked)
		rc = bad(
			err, file,
			"the key has a passphrase, which nobody is there to type; write it without "
			"one ('openssl pkey -in FILE -out NEW') and let only the pool's user read "
			"it");
	else if (!key)
		rc = bad(err, file,
			 "has no private key in PEM form in it ('-----BEGIN PRIVATE KEY-----')");
	else if (X509_check_private_key(own, key) != 1)
		rc = otd_fail(
			err, OTD_E_INVALID,
			"%s: this key does not belong to the certificate in %s; name the pair "
			"that was made together",
			file, conf->certificate_file);
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		rc = bad_by(err, file, "the key cannot be used");
	if (rc == OTD_OK)
		(void)snprintf(facts->key, sizeof(facts->key), "%.20s %d bits",
			       EVP_PKEY_get0_type_name(key) ? EVP_PKEY_get0_type_name(key) : "?",
			       EVP_PKEY_get_bits(key));
	EVP_PKEY_free(key);
	BIO_free(b);
	ERR_clear_error();
	return rc;
}

/* --- facts --- */

static int64_t time_ms(const ASN1_TIME *t)
{
	struct tm tm = {0};
	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}

/* Appends a name for people; what a log line could not bear becomes '?'. */
static void add_name(struct otd_tls_facts *f, const uint8_t *s, size_t n)
{
	size_t at = strlen(f->names);
	if (!n || at + n + 3 > sizeof(f->names))
		return;
	if (at) {
		memcpy(f->names + at, ", ", 2);
		at += 2;
	}
	for (size_t i = 0; i < n; i++)
		f->names[at++] = (char)(s[i] > ' ' && s[i] < 0x7f && s[i] != '"' ? s[i] : '?');
	f->names[at] = '\0';
}

static void facts_of(struct otd_tls_facts *f, const X509 *own)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	GENERAL_NAMES *alt = X509_get_ext_d2i(own, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; alt && i < sk_GENERAL_NAME_num(alt); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);
		if (g->type == GEN_DNS)
			add_name(f, ASN1_STRING_get0_data(g->d.dNSName),
				 (size_t)ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(alt);
	X509_NAME *subject = X509_get_subject_name(own);
	int at = f->names[0] ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at >= 0) {
		const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
		add_name(f, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	}
	f->from_ms = time_ms(X509_get0_notBefore(own));
	f->until_ms = time_ms(X509_get0_notAfter(own));
	if (X509_digest(own, EVP_sha256(), digest, &n) == 1) {
		for (unsigned i = 0; i < n && 2 * i + 2 < sizeof(f->digest); i++)
			(void)snprintf(f->digest + (size_t)2 * i, 3, "%02x", digest[i]);
	}
	ERR_clear_error();
}

static void date_text(char to[32], int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	if (!gmtime_r(&s, &tm) || !strftime(to, 32, "%Y-%m-%d %H:%M UTC", &tm))
		(void)snprintf(to, 32, "%" PRId64, ms);
}

otd_rc otd_tls_validity(const struct otd_tls_facts *f, const char *file, int64_t now_ms,
			struct otd_err *err)
{
	char when[32];
	if (now_ms >= f->until_ms) {
		date_text(when, f->until_ms);
		return otd_fail(err, OTD_E_RANGE,
				"%s: the certificate ended on %s; miners that check it will not "
				"connect: renew it, then 'otedama reload'",
				file, when);
	}
	if (now_ms < f->from_ms) {
		date_text(when, f->from_ms);
		return otd_fail(err, OTD_E_RANGE,
				"%s: the certificate is not valid before %s; is this machine's "
				"clock right?",
				file, when);
	}
	return OTD_OK;
}

/* --- tickets --- */

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int making)
{
	struct otd_tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct otd_tls_ticket_key k;
	char sha256[] = "SHA256";
	bool newest = true;
	int is = 1;
	if (making) {
		otd_tls_tickets_newest(t, &k);
		memcpy(name, k.name, sizeof(k.name));
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			is = -1;
	} else if (!otd_tls_tickets_find(t, &k, name, &newest)) {
		return 0; /* a whole handshake, then */
	}
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k.mac, sizeof(k.mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_end()};
	if (is == 1 &&
	    (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.aes, iv, making) != 1 ||
	     EVP_MAC_CTX_set_params(mac, params) != 1))
		is = -1;
	OPENSSL_cleanse(&k, sizeof(k));
	/* 2: good, and a new one is due. */
	return is == 1 && !newest ? 2 : is;
}

/* --- the context --- */

static otd_rc set_up(SSL_CTX *ctx, const struct otd_tls_conf *conf)
{
	static const unsigned char shared[] = "otedama"; /* sessions are good on all ports */
	/* ECDHE and authenticated ciphers only; in TLS 1.3 there is nothing else. */
	bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		  SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
		  SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") == 1 &&
		  SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1 &&
		  SSL_CTX_set_session_id_context(ctx, shared, sizeof(shared) - 1) == 1;
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					       SSL_OP_CIPHER_SERVER_PREFERENCE |
					       SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	/* Sessions are in tickets, at the clients; here is none to look up or to fill memory with. */
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	(void)SSL_CTX_set_num_tickets(ctx, conf->tickets ? 1 : 0);
	if (conf->tickets) {
		(void)SSL_CTX_set_app_data(ctx, conf->tickets);
		ok = ok && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
	} else {
		(void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	}
	return ok ? OTD_OK : OTD_E_UNSUPPORTED;
}

static void metrics_make(struct otd_tls_metrics *to, struct otd_metrics *m)
{
	static const char *const version[] = {"1.2", "1.3"}, *const how[] = {"no", "yes"};
	char labels[64];
	if (!m)
		return;
	for (int v = 0; v < 2; v++) {
		for (int r = 0; r < 2; r++) {
			(void)snprintf(labels, sizeof(labels), "version=\"%s\",resumed=\"%s\"",
				       version[v], how[r]);
			to->done[v][r] = otd_metric(m, OTD_COUNTER, "otd_tls_handshakes_total",
						    labels, "TLS handshakes that came through.");
		}
	}
	to->failed = otd_metric(m, OTD_COUNTER, "otd_tls_handshakes_failed_total", "",
				"TLS handshakes that did not.");
}

otd_rc otd_tls_create(struct otd_tls **out, const struct otd_tls_conf *conf, struct otd_err *err)
{
	struct otd_tls *t = calloc(1, sizeof(*t));
	X509 *own = NULL;
	otd_rc rc = OTD_OK;
	*out = NULL;
	ERR_clear_error();
	if (t) {
		t->lock = CRYPTO_THREAD_lock_new();
		t->ctx = SSL_CTX_new(TLS_server_method());
	}
	if (!t || !t->lock || !t->ctx)
		rc = otd_fail(err, OTD_E_NOMEM, "%s: out of memory", conf->certificate_file);
	if (rc == OTD_OK && set_up(t->ctx, conf) != OTD_OK)
		rc = otd_fail(err, OTD_E_UNSUPPORTED,
			      "this machine's OpenSSL refuses TLS 1.2 with ECDHE (%s); look at its "
			      "openssl.cnf",
			      library_says());
	if (rc == OTD_OK)
		rc = read_chain(t->ctx, &own, conf, &t->facts, err);
	if (rc == OTD_OK)
		rc = read_key(t->ctx, own, conf, &t->facts, err);
	if (rc == OTD_OK) {
		facts_of(&t->facts, own);
		metrics_make(&t->m, conf->metrics);
		*out = t;
		t = NULL;
	}
	X509_free(own);
	otd_tls_destroy(t);
	ERR_clear_error();
	return rc;
}

void otd_tls_destroy(struct otd_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	CRYPTO_THREAD_lock_free(t->lock);
	free(t);
}

void otd_tls_replace(struct otd_tls *t, struct otd_tls *fresh)
{
	SSL_CTX *old;
	(void)CRYPTO_THREAD_write_lock(t->lock);
	old = t->ctx;
	t->ctx = fresh->ctx;
	t->facts = fresh->facts;
	(void)CRYPTO_THREAD_unlock(t->lock);
	fresh->ctx = old; /* connections that stand hold it on */
	otd_tls_destroy(fresh);
}

void otd_tls_retire(struct otd_tls *t)
{
	SSL_CTX *old;
	(void)CRYPTO_THREAD_write_lock(t->lock);
	old = t->ctx;
	t->ctx = NULL;
	(void)CRYPTO_THREAD_unlock(t->lock);
	SSL_CTX_free(old);
}

void otd_tls_facts(struct otd_tls *t, struct otd_tls_facts *out)
{
	(void)CRYPTO_THREAD_read_lock(t->lock);
	*out = t->facts;
	(void)CRYPTO_THREAD_unlock(t->lock);
}

otd_rc otd_tls_filter(struct otd_tls *t, struct otd_filter **out, const char *peer)
{
	SSL_CTX *ctx;
	otd_rc rc = OTD_E_CLOSED;
	*out = NULL;
	(void)CRYPTO_THREAD_read_lock(t->lock);
	ctx = t->ctx;
	if (ctx)
		(void)SSL_CTX_up_ref(ctx);
	(void)CRYPTO_THREAD_unlock(t->lock);
	if (ctx)
		rc = otd_tls_filter_of(ctx, &t->m, out, peer);
	SSL_CTX_free(ctx);
	return rc;
}
