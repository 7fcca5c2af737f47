/* Certificates made on the spot, and the client's side of TLS in memory: for tests and fuzz targets. */
#ifndef TESTS_TLS_PAIR_H
#define TESTS_TLS_PAIR_H

#include "base/bytes.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum pair_kind { PAIR_EC = 0, PAIR_RSA = 1, PAIR_RSA_SHORT = 2 };

struct pem_pair {
	char *certificate, *key; /* PEM texts */
};

static inline char *pair_text(BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	char *text = calloc(1, (size_t)n + 1);
	memcpy(text, p, (size_t)n);
	BIO_free(b);
	return text;
}

/* Valid from and until so many seconds from now. */
static inline struct pem_pair pair_make(enum pair_kind kind, const char *name, long from_s,
					long until_s)
{
	struct pem_pair out;
	char alt[128];
	EVP_PKEY *key = kind == PAIR_EC    ? EVP_EC_gen("P-256")
			: kind == PAIR_RSA ? EVP_RSA_gen(2048)
					   : EVP_RSA_gen(1024);
	X509 *x = X509_new();
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), until_s);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	(void)snprintf(alt, sizeof(alt), "DNS:%s", name);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(x, key, EVP_sha256());
	BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(c, x);
	PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
	out.certificate = pair_text(c);
	out.key = pair_text(k);
	X509_free(x);
	EVP_PKEY_free(key);
	return out;
}

static inline void pair_free(struct pem_pair *p)
{
	free(p->certificate);
	free(p->key);
}

static inline struct otd_span pair_span(const char *s)
{
	return (struct otd_span){(const uint8_t *)s, strlen(s)};
}

#endif
