/* What another process sends: frames, messages in them, and its figures. */
#include "base/metrics.h"
#include "loop/link.h"
#include "pool/msg.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct otd_metrics *metrics;
static size_t series;

/* A registry keeps every name: it begins anew before it is large. */
static void figures(struct otd_span s)
{
	if (!metrics || series > 2000) {
		otd_metrics_destroy(metrics);
		metrics = otd_metrics_create();
		series = 0;
	}
	series += s.len / 16;
	(void)otd_metrics_add_changes(metrics, s, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_link_frame f;
	uint8_t *p = malloc(n ? n : 1), *at = p;
	if (!p)
		return 0;
	memcpy(p, data, n);
	if (n && data[0] == 'm')
		figures((struct otd_span){p + 1, n - 1});
	while (otd_link_parse(&f, at, n, 4096) == OTD_OK) {
		struct otd_msg *m = otd_msg_copy(f.payload.ptr, f.payload.len);
		if (m && m->type == OTD_MSG_METRICS)
			figures(otd_msg_get(m, ((struct otd_msg_text *)m)->text));
		otd_msg_destroy(m);
		at += f.size;
		n -= f.size;
	}
	free(p);
	return 0;
}
