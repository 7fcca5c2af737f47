/* Stratum V1: lines to methods, and the dialect's table. */
#include "stratum/v1/v1.h"

#include <string.h>

static const struct {
	const char *method;
	otd_v1_handler handle;
} methods[] = {
	{"mining.submit", otd_v1_handle_submit},
	{"mining.authorize", otd_v1_handle_authorize},
	{"mining.configure", otd_v1_handle_configure},
	{"mining.extranonce.subscribe", otd_v1_handle_extranonce_subscribe},
	{"mining.get_transactions", otd_v1_handle_get_transactions},
	{"mining.get_version", otd_v1_handle_get_version},
	{"client.get_version", otd_v1_handle_get_version},
	{"health", otd_v1_handle_health},
	{"mining.multi_version", otd_v1_handle_multi_version},
	{"mining.ping", otd_v1_handle_ping},
	{"mining.subscribe", otd_v1_handle_subscribe},
	{"mining.suggest_difficulty", otd_v1_handle_suggest_difficulty},
	{"mining.suggest_target", otd_v1_handle_suggest_target},
};

static void dispatch(struct otd_session *s, const struct otd_v1_request *q)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (!strcmp(methods[i].method, q->method)) {
			methods[i].handle(s, q);
			return;
		}
	}
	/* Answered, not dropped: some clients try one dialect after the other. */
	otd_v1_answer_error(s, q->id, OTD_V1_ERROR_NO_METHOD, "Method not found");
}

/* No client sends the second kind by mistake: one of them is as much as the usual bound of the first. */
#define BAD_LINE  1
#define HUGE_LINE 16

static void refuse(struct otd_session *s, struct otd_span id, otd_rc rc)
{
	bool huge = rc == OTD_E_RANGE;

	otd_v1_answer_error(s, id, OTD_V1_ERROR_OTHER,
			    huge ? "Not a Stratum request: nested too deep, or too many values"
				 : "Not a Stratum request");
	(void)otd_session_bad_line(s, huge ? HUGE_LINE : BAD_LINE);
}

static void line(struct otd_session *s, struct otd_span text)
{
	struct otd_v1_submit submit;
	struct otd_v1_request q;
	char id[OTD_SESSION_ID_MAX + 1];
	json_t *root = NULL;
	otd_rc rc;

	if (otd_v1_scan_submit(&submit, text)) {
		otd_v1_submit(s, &submit);
		return;
	}
	otd_session_parsed(s, text.len);
	rc = otd_v1_read_request(&q, &root, id, text);
	switch (rc) {
	case OTD_OK:
		q.line = text;
		dispatch(s, &q);
		break;
	case OTD_E_NOT_FOUND: break;
	default: refuse(s, q.id, rc);
	}
	json_decref(root);
}

const struct otd_dialect otd_dialect_v1 = {
	.name = "stratum/1",
	.line = line,
	.job_render = otd_v1_job_render,
	.job_free = otd_v1_job_free,
	.job_send = otd_v1_job_send,
	.verdict = otd_v1_verdict,
	.authorized = otd_v1_authorized,
	.reconnect = otd_v1_reconnect,
	.show_message = otd_v1_show_message,
	.version_mask = otd_v1_version_mask,
};
