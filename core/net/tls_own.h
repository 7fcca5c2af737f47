/* Between tls.c, the filter, and tls_context.c, certificates. Inside of net. */
#ifndef OTD_NET_TLS_OWN_H
#define OTD_NET_TLS_OWN_H

#include "base/metrics.h"
#include "net/filter.h"
#include <openssl/ssl.h>

struct otd_tls_metrics {
	struct otd_metric *done[2][2]; /* [TLS 1.3][resumed] */
	struct otd_metric *failed;
};

OTD_WARN_UNUSED otd_rc otd_tls_filter_of(SSL_CTX *ctx, const struct otd_tls_metrics *m,
					 struct otd_filter **out, const char *peer);

#endif
