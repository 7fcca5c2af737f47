/* Whose certificate is believed, and what is said of the others. */
#include "base/text.h"
#include "miner/tls_own.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CA_MAX 4194304 /* bytes of a file; a whole system's is 0.2 MB */

/* --- reading the conf --- */

/* 64 hex digits, as openssl x509 -fingerprint prints them (with colons) or without. */
static bool read_pin(uint8_t to[32], const char *text)
{
	char digits[65];
	size_t n = 0, len = 0;
	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (n == 64)
			return false;
		digits[n++] = *text;
	}
	return n == 64 && otd_hex_decode(to, 32, &len, digits, n) == OTD_OK && len == 32;
}

static otd_rc read_pins(struct otd_miner_tls *t, const struct otd_miner_trust *trust,
			struct otd_err *err)
{
	if (trust->n_pins > OTD_MINER_PINS_MAX)
		return otd_fail(err, OTD_E_RANGE, "miner: %zu certificates are pinned; at most %u",
				trust->n_pins, OTD_MINER_PINS_MAX);
	for (size_t i = 0; i < trust->n_pins; i++) {
		if (!read_pin(t->pin[i], trust->pins[i]))
			return otd_fail(
				err, OTD_E_INVALID,
				"'%.80s' is no SHA-256 of a certificate: write its 64 hex digits, "
				"as 'openssl x509 -in FILE -noout -fingerprint -sha256' prints "
				"them",
				trust->pins[i]);
	}
	t->n_pins = trust->n_pins;
	return OTD_OK;
}

static int no_passphrase(char *to, int n, int writing, void *arg)
{
	(void)to;
	(void)n;
	(void)writing;
	(void)arg;
	return -1;
}

static otd_rc read_authorities(struct otd_miner_tls *t, const struct otd_miner_trust *trust,
			       struct otd_err *err)
{
	const char *file = trust->ca_file ? trust->ca_file : "the CA";
	X509_STORE *store = SSL_CTX_get_cert_store(t->ctx);
	BIO *b =
		trust->ca.len <= CA_MAX ? BIO_new_mem_buf(trust->ca.ptr, (int)trust->ca.len) : NULL;
	X509 *x;
	size_t n = 0;
	otd_rc rc = OTD_OK;
	while (b && !rc && (x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
		if (X509_STORE_add_cert(store, x) != 1)
			rc = otd_fail(err, OTD_E_INVALID, "%s: certificate %zu cannot be used",
				      file, n + 1);
		X509_free(x);
		n++;
	}
	if (!rc && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		rc = otd_fail(err, OTD_E_INVALID, "%s: certificate %zu is damaged", file, n + 1);
	if (!rc && !n)
		rc = otd_fail(err, OTD_E_INVALID,
			      "%s: has no certificate in PEM form in it ('-----BEGIN "
			      "CERTIFICATE-----')",
			      file);
	/* What is named is believed, also a pool's own certificate that no CA has signed. */
	if (!rc)
		(void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	BIO_free(b);
	ERR_clear_error();
	return rc;
}

otd_rc miner_tls_trust(struct otd_miner_tls *t, const struct otd_miner_trust *trust,
		       struct otd_err *err)
{
	if ((trust->insecure ? 1 : 0) + (trust->n_pins ? 1 : 0) + (trust->ca.ptr ? 1 : 0) > 1)
		return otd_fail(err, OTD_E_INVALID,
				"--ca, --pin and --insecure say three different things of whom to "
				"believe: give one of them");
	t->insecure = trust->insecure;
	if (trust->insecure)
		return OTD_OK;
	if (trust->n_pins)
		return read_pins(t, trust, err);
	if (trust->ca.ptr)
		return read_authorities(t, trust, err);
	if (SSL_CTX_set_default_verify_paths(t->ctx) != 1)
		return otd_fail(err, OTD_E_IO,
				"the system's CA certificates cannot be read: install "
				"ca-certificates, or give --ca FILE");
	return OTD_OK;
}

/* --- what is wrong, for people --- */

void miner_tls_digest(char to[OTD_MINER_DIGEST_TEXT], const X509 *own)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	to[0] = '\0';
	if (own && X509_digest(own, EVP_sha256(), digest, &n) == 1 && n == 32)
		otd_hex_encode(to, digest, n);
}

static void date_text(char to[32], const ASN1_TIME *when)
{
	struct tm tm = {0};
	if (!when || ASN1_TIME_to_tm(when, &tm) != 1 ||
	    !strftime(to, 32, "%Y-%m-%d %H:%M UTC", &tm))
		(void)snprintf(to, 32, "a date that cannot be read");
}

/* Printable, and no word of a log line's own. */
static void add_name(char *to, size_t cap, const char *s, size_t n)
{
	size_t at = strlen(to);
	if (!n || at + n + 3 > cap)
		return;
	if (at) {
		memcpy(to + at, ", ", 2);
		at += 2;
	}
	for (size_t i = 0; i < n; i++)
		to[at++] = (char)(s[i] > ' ' && s[i] < 0x7f && s[i] != '"' ? s[i] : '?');
	to[at] = '\0';
}

static void add_address(char *to, size_t cap, const ASN1_OCTET_STRING *ip)
{
	const uint8_t *p = ASN1_STRING_get0_data(ip);
	char text[48] = "an IPv6 address";
	if (ASN1_STRING_length(ip) == 4)
		(void)snprintf(text, sizeof(text), "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
	add_name(to, cap, text, strlen(text));
}

static void names_of(char *to, size_t cap, const X509 *own)
{
	GENERAL_NAMES *alt = X509_get_ext_d2i(own, NID_subject_alt_name, NULL, NULL);
	to[0] = '\0';
	for (int i = 0; alt && i < sk_GENERAL_NAME_num(alt); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);
		if (g->type == GEN_DNS)
			add_name(to, cap, (const char *)ASN1_STRING_get0_data(g->d.dNSName),
				 (size_t)ASN1_STRING_length(g->d.dNSName));
		else if (g->type == GEN_IPADD)
			add_address(to, cap, g->d.iPAddress);
	}
	GENERAL_NAMES_free(alt);
	if (!to[0])
		(void)snprintf(to, cap, "no name");
}

static void explain(struct otd_miner_tls *t, const X509 *own, int why)
{
	char text[200], digest[OTD_MINER_DIGEST_TEXT];
	size_t cap = sizeof(t->why);
	miner_tls_digest(digest, own);
	switch (why) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		date_text(text, X509_get0_notAfter(own));
		(void)snprintf(t->why, cap,
			       "the pool's certificate ended on %s: its operator must renew it "
			       "(or this machine's clock is wrong)",
			       text);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		date_text(text, X509_get0_notBefore(own));
		(void)snprintf(t->why, cap,
			       "the pool's certificate is not valid before %s: is this machine's "
			       "clock right?",
			       text);
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		names_of(text, sizeof(text), own);
		(void)snprintf(t->why, cap,
			       "the pool's certificate is for %s, not for %.80s: use the name in "
			       "it, or pin it (--pin %s)",
			       text, t->host, digest);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		(void)snprintf(t->why, cap,
			       "the pool's certificate is self-signed, nobody vouches for it: ask "
			       "its operator whether this is its SHA-256, then give --pin %s, or "
			       "its CA with --ca FILE",
			       digest);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		(void)snprintf(t->why, cap,
			       "the pool's certificate is signed by a CA that is not known here: "
			       "give it with --ca FILE, install ca-certificates, or pin the "
			       "certificate (--pin %s)",
			       digest);
		break;
	default:
		(void)snprintf(t->why, cap, "the pool's certificate is not accepted: %s",
			       X509_verify_cert_error_string(why));
	}
}

/* --- judging --- */

static bool is_pinned(struct otd_miner_tls *t, const X509 *own)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char text[OTD_MINER_DIGEST_TEXT];
	unsigned n = 0;
	if (X509_digest(own, EVP_sha256(), digest, &n) != 1 || n != 32)
		return false;
	for (size_t i = 0; i < t->n_pins; i++) {
		if (!memcmp(digest, t->pin[i], 32))
			return true;
	}
	miner_tls_digest(text, own);
	(void)snprintf(t->why, sizeof(t->why),
		       "the pool's certificate is not the pinned one, its SHA-256 is %s: ask its "
		       "operator whether it was renewed, then change --pin; else somebody stands "
		       "between",
		       text);
	return false;
}

int miner_tls_verify(X509_STORE_CTX *x, void *arg)
{
	struct otd_miner_tls *t = arg;
	const X509 *own = X509_STORE_CTX_get0_cert(x);
	if (t->insecure)
		return 1;
	if (t->n_pins && own) {
		if (is_pinned(t, own))
			return 1;
		X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	if (X509_verify_cert(x) == 1)
		return 1;
	explain(t, own, X509_STORE_CTX_get_error(x));
	return 0;
}
