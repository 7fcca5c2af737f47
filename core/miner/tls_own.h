/* Between tls.c, the connection, and tls_trust.c, whom it believes. */
#ifndef OTD_MINER_TLS_OWN_H
#define OTD_MINER_TLS_OWN_H

#include "miner/tls.h"
#include <openssl/ssl.h>

#define OTD_MINER_DIGEST_TEXT 65 /* SHA-256 in hex */

struct otd_miner_tls {
	SSL_CTX *ctx;
	SSL_SESSION *session[OTD_MINER_TLS_SLOTS];
	uint8_t pin[OTD_MINER_PINS_MAX][32];
	size_t n_pins;
	bool insecure;
	/* of the connection */
	SSL *ssl; /* NULL: none */
	uint32_t slot;
	bool up, broken;
	char host[256], name[160], why[480];
};

/* Reads trust into t and its context. */
OTD_WARN_UNUSED otd_rc miner_tls_trust(struct otd_miner_tls *t, const struct otd_miner_trust *trust,
				       struct otd_err *err);
/* For SSL_CTX_set_cert_verify_callback(), arg is t. 1: it is who it should be; 0: t->why says what is wrong. */
int miner_tls_verify(X509_STORE_CTX *x, void *arg);
/* Of a certificate; "" for NULL. */
void miner_tls_digest(char to[OTD_MINER_DIGEST_TEXT], const X509 *own);

#endif
