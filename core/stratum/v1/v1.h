/* Stratum V1, Bitcoin's dialect: the inside. One file a method. */
#ifndef OTD_STRATUM_V1_V1_H
#define OTD_STRATUM_V1_V1_H

#include "stratum/session.h"
#include <jansson.h>

/* One request, read by jansson. */
struct otd_v1_request {
	struct otd_span id; /* as JSON text; "null" where there is none */
	const char *method;
	const json_t *params; /* an array, or NULL where there is none */
	struct otd_span line; /* as it came */
};

typedef void (*otd_v1_handler)(struct otd_session *s, const struct otd_v1_request *q);

void otd_v1_handle_authorize(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_configure(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_extranonce_subscribe(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_get_transactions(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_health(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_get_version(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_multi_version(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_ping(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_submit(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_subscribe(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_suggest_difficulty(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_handle_suggest_target(struct otd_session *s, const struct otd_v1_request *q);

/* --- mining.submit, by a scanner of its own or by jansson; both give the same --- */

/* Texts within the line (or the tree); nothing of them is decoded yet. */
struct otd_v1_submit {
	struct otd_span id; /* JSON text */
	struct otd_span user, job, extranonce2, ntime, nonce, version;
	bool has_version;
};

/* True: it was a submit of the usual shape, and nothing else. False: not mine, ask jansson. */
bool otd_v1_scan_submit(struct otd_v1_submit *out, struct otd_span line);
/* Of a request whose method is mining.submit: OTD_E_INVALID where params are not as they must be. */
otd_rc otd_v1_read_submit(struct otd_v1_submit *out, const struct otd_v1_request *q);
void otd_v1_submit(struct otd_session *s, const struct otd_v1_submit *m);

/* --- what a line looks like, in one cheap pass --- */

/* A request is 3 deep (mining.configure) and has some twenty values. */
#define OTD_V1_DEPTH_MAX  16
#define OTD_V1_VALUES_MAX 256 /* brackets opened and commas, outside of strings */

enum otd_v1_shape {
	OTD_V1_SHAPE_OBJECT, /* maybe a JSON object, within these bounds */
	OTD_V1_SHAPE_NONE,   /* certainly none */
	OTD_V1_SHAPE_HUGE,   /* beyond them, whatever it is */
};

enum otd_v1_shape otd_v1_shape_of(struct otd_span line);

/*
 * Reads a line. *root is to be freed by json_decref() in any case. OTD_E_INVALID: no JSON object,
 * or nothing in it that a request has; OTD_E_RANGE: deeper or of more values than any request;
 * OTD_E_NOT_FOUND: an answer to a request of ours.
 */
otd_rc otd_v1_read_request(struct otd_v1_request *q, json_t **root, char id[OTD_SESSION_ID_MAX + 1],
			   struct otd_span line);

/* --- writing --- */

#define OTD_V1_ERROR_OTHER        20
#define OTD_V1_ERROR_UNAUTHORIZED 24
#define OTD_V1_ERROR_NO_METHOD    (-3)

/* result and error are JSON texts. */
void otd_v1_answer(struct otd_session *s, struct otd_span id, const char *result,
		   const char *error);
void otd_v1_answer_true(struct otd_session *s, const struct otd_v1_request *q);
void otd_v1_answer_error(struct otd_session *s, struct otd_span id, int code, const char *text);

/* The text of a JSON number (15 digits) or string, for otd_difficulty_parse(). Empty
   where v is neither a number nor a string. */
#define OTD_V1_NUMBER_TEXT 40
struct otd_span otd_v1_number(const json_t *v, char to[OTD_V1_NUMBER_TEXT]);

/* --- write.c: the rest of the dialect's table --- */
void *otd_v1_job_render(const struct otd_job *job);
void otd_v1_job_free(void *rendered);
void otd_v1_job_send(struct otd_session *s, const struct otd_job *job, uint8_t repeat,
		     int64_t time_s, bool clean, const struct otd_u256 *new_target);
void otd_v1_verdict(struct otd_bytes *out, struct otd_span id, enum otd_share_verdict v);
void otd_v1_authorized(struct otd_bytes *out, struct otd_span id, otd_rc rc,
		       struct otd_span reason);
void otd_v1_reconnect(struct otd_session *s, const char *host, uint16_t port, uint32_t wait_s);
void otd_v1_show_message(struct otd_session *s, const char *text);

/* mining.set_version_mask. */
void otd_v1_version_mask(struct otd_session *s);

#endif
