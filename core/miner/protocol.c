/* Stratum V1 as a miner speaks it: the greeting, and what the pool says. */
#include "base/text.h"
#include "miner/internal.h"
#include <string.h>

#define TEXT_MAX 200

static json_t *request(uint64_t id, const char *method, json_t *params)
{
	return json_pack("{s:I, s:s, s:o}", "id", (json_int_t)id, "method", method, "params",
			 params);
}

void otd_miner_ask(struct otd_miner *m, enum otd_miner_request what)
{
	json_t *message = NULL;
	char mask[9];
	uint8_t be[4];
	for (int i = 0; i < 4; i++)
		be[i] = (uint8_t)(m->conf.version_mask >> (24 - 8 * i));
	otd_hex_encode(mask, be, sizeof(be));
	if (what == REQ_CONFIGURE)
		message = request(what, "mining.configure",
				  json_pack("[[s], {s:s, s:i}]", "version-rolling",
					    "version-rolling.mask", mask,
					    "version-rolling.min-bit-count", 2));
	else if (what == REQ_SUBSCRIBE)
		message = request(what, "mining.subscribe", json_pack("[s]", m->agent));
	else if (what == REQ_AUTHORIZE)
		message = request(what, "mining.authorize",
				  json_pack("[s, s]", m->user, m->password));
	else
		message = request(what, "mining.extranonce.subscribe", json_array());
	if (otd_miner_send(m, message)) {
		m->drop = "no memory";
		return;
	}
	/* Pools need not answer the last one. */
	if (what != REQ_EXTRANONCE) {
		m->asked = what;
		m->asked_ns = otd_mono_ns(m->env);
	}
}

void otd_miner_greet(struct otd_miner *m)
{
	m->drop = NULL;
	m->mask = 0;
	m->extranonce1_len = m->next_extranonce1_len = 0;
	m->target = m->diff1; /* until the pool says otherwise */
	memcpy(m->difficulty, "1", 2);
	m->clean_serial = 0;
	m->next_id = OTD_MINER_FIRST_ID;
	otd_miner_ask(m, m->conf.version_mask ? REQ_CONFIGURE : REQ_SUBSCRIBE);
}

/* Printable ASCII of a text of the pool; it goes to terminals and logs. */
static const char *clean(char out[TEXT_MAX], const char *s)
{
	size_t n = 0;
	for (; s && s[n] && n < TEXT_MAX - 1; n++)
		out[n] = s[n] >= ' ' && s[n] < 127 ? s[n] : '?';
	out[n] = 0;
	return out;
}

/* [code, text, ...] or {code, message} or a text. */
static const char *error_text(char out[TEXT_MAX], const json_t *error)
{
	const json_t *text = error;
	if (json_is_array(error))
		text = json_array_get(error, 1);
	else if (json_is_object(error))
		text = json_object_get(error, "message");
	return clean(out, json_is_string(text) ? json_string_value(text) : "no reason given");
}

bool otd_miner_raw_param(const char *line, size_t n, const char **out, size_t *len)
{
	static const char key[] = "\"params\"";
	int depth = 0;
	for (size_t i = 0; i < n; i++) {
		char c = line[i];
		if (c == '"') {
			size_t start = i;
			for (i++; i < n && line[i] != '"'; i++)
				i += line[i] == '\\';
			if (depth != 1 || i - start + 1 != sizeof(key) - 1 ||
			    memcmp(line + start, key, sizeof(key) - 1) != 0)
				continue;
			for (i++; i < n && strchr(" \t:", line[i]); i++)
				;
			if (i >= n || line[i] != '[')
				continue; /* a value of that name, or not a list */
			for (i++; i < n && strchr(" \t", line[i]); i++)
				;
			*out = line + i;
			for (*len = 0; i < n && !strchr(" \t,]", line[i]); i++)
				++*len;
			return *len > 0;
		}
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
	}
	return false;
}

static void unusable(struct otd_miner *m, const char *what)
{
	otd_miner_emit(m, OTD_MINER_PROTOCOL, "the pool's %s cannot be used: left out", what);
}

static void on_set_difficulty(struct otd_miner *m, const json_t *params, const char *line, size_t n)
{
	const json_t *first = json_array_get(params, 0);
	const char *text = NULL;
	size_t len = 0;
	struct otd_u256 target;
	if (json_is_string(first)) {
		text = json_string_value(first);
		len = strlen(text);
	} else if (!json_is_number(first) || !otd_miner_raw_param(line, n, &text, &len)) {
		len = 0;
	}
	if (!len || len >= sizeof(m->difficulty) ||
	    otd_difficulty_parse(&target, text, len, m->diff1)) {
		unusable(m, "mining.set_difficulty");
		return;
	}
	m->target = target;
	memcpy(m->difficulty, text, len);
	m->difficulty[len] = 0;
	otd_miner_emit(m, OTD_MINER_DIFFICULTY, "%s", m->difficulty);
}

/* hex into at most OTD_MINER_EXTRANONCE bytes, and the length of the other part. */
static bool read_extranonce(uint8_t to[OTD_MINER_EXTRANONCE], uint32_t *to_len, uint32_t *len2,
			    const json_t *hex, const json_t *size)
{
	const char *s = json_string_value(hex);
	json_int_t n2 = json_is_integer(size) ? json_integer_value(size) : 0;
	size_t n = 0;
	if (!s || n2 < 1 || n2 > (json_int_t)OTD_MINER_EXTRANONCE ||
	    otd_hex_decode(to, OTD_MINER_EXTRANONCE, &n, s, strlen(s)))
		return false;
	*to_len = (uint32_t)n;
	*len2 = (uint32_t)n2;
	return true;
}

static void on_set_extranonce(struct otd_miner *m, const json_t *params)
{
	if (!read_extranonce(m->next_extranonce1, &m->next_extranonce1_len,
			     &m->next_extranonce2_len, json_array_get(params, 0),
			     json_array_get(params, 1)))
		unusable(m, "mining.set_extranonce");
}

static bool hex_u32(uint32_t *out, const json_t *j)
{
	const char *s = json_string_value(j);
	return s && strlen(s) == 8 && otd_hex_u32(out, s, 8) == OTD_OK;
}

/* hex of any length up to a bound; free() it. */
static bool hex_bytes(struct otd_span *out, const json_t *j)
{
	const char *s = json_string_value(j);
	size_t n = s ? strlen(s) : 0;
	uint8_t *p;
	if (!s || n > OTD_MINER_COINBASE * 2)
		return false;
	p = malloc(n / 2 + 1);
	if (!p || otd_hex_decode(p, n / 2, &n, s, n)) {
		free(p);
		return false;
	}
	*out = (struct otd_span){p, n};
	return true;
}

static bool read_branches(uint8_t branch[OTD_MINER_BRANCHES][32], uint32_t *n, const json_t *list)
{
	size_t i, len;
	const json_t *j;
	if (!json_is_array(list) || json_array_size(list) > OTD_MINER_BRANCHES)
		return false;
	json_array_foreach(list, i, j)
	{
		const char *s = json_string_value(j);
		if (!s || otd_hex_decode(branch[i], 32, &len, s, strlen(s)) || len != 32)
			return false;
	}
	*n = (uint32_t)json_array_size(list);
	return true;
}

static void take_job(struct otd_miner *m, struct otd_miner_job *job, bool clean_jobs)
{
	job->session = m->session;
	job->target = m->target;
	job->serial = ++m->stats.jobs;
	memcpy(job->difficulty, m->difficulty, sizeof(job->difficulty));
	memcpy(m->stats.job, job->id, sizeof(m->stats.job));
	memcpy(m->stats.difficulty, job->difficulty, sizeof(m->stats.difficulty));
	if (clean_jobs)
		m->clean_serial = job->serial;
	if (!m->session_good)
		m->session_good = true;
	otd_miner_devices_job(m, job, clean_jobs);
}

static void on_notify(struct otd_miner *m, const json_t *params)
{
	struct otd_span cb1 = {0}, cb2 = {0};
	uint8_t branch[OTD_MINER_BRANCHES][32];
	struct otd_miner_notify n = {.mask = m->mask};
	struct otd_miner_job *job = NULL;
	const char *prev = json_string_value(json_array_get(params, 1));
	bool clean_jobs = json_is_true(json_array_get(params, 8));
	char text[TEXT_MAX];
	size_t len = 0;
	if (m->next_extranonce1_len) {
		memcpy(m->extranonce1, m->next_extranonce1, sizeof(m->extranonce1));
		m->extranonce1_len = m->next_extranonce1_len;
		m->extranonce2_len = m->next_extranonce2_len;
		m->next_extranonce1_len = 0;
	}
	n.id = json_string_value(json_array_get(params, 0));
	if (!n.id || strlen(n.id) >= sizeof(job->id) || !prev ||
	    otd_hex_decode(n.prev_wire, 32, &len, prev, strlen(prev)) || len != 32 ||
	    !hex_bytes(&cb1, json_array_get(params, 2)) ||
	    !hex_bytes(&cb2, json_array_get(params, 3)) ||
	    !read_branches(branch, &n.n_branches, json_array_get(params, 4)) ||
	    !hex_u32(&n.version, json_array_get(params, 5)) ||
	    !hex_u32(&n.nbits, json_array_get(params, 6)) ||
	    !hex_u32(&n.time_s, json_array_get(params, 7)) || !m->extranonce2_len) {
		unusable(m, "mining.notify");
		goto out;
	}
	n.coinbase1 = cb1;
	n.coinbase2 = cb2;
	n.extranonce1 = (struct otd_span){m->extranonce1, m->extranonce1_len};
	n.extranonce2_len = m->extranonce2_len;
	n.branch = (const uint8_t(*)[32])branch;
	/* Not from zero again, not even on a new connection: the same words once more (a session that
	   the pool resumes) would give the same shares. */
	if (m->job)
		m->extranonce2_count = atomic_load(&m->job->next_extranonce2) + m->n_units;
	n.first_extranonce2 = m->extranonce2_count;
	job = otd_miner_job_create(&n);
	if (!job) {
		m->drop = "no memory";
		goto out;
	}
	take_job(m, job, clean_jobs);
	otd_miner_emit_event(m, &(struct otd_miner_event){.kind = OTD_MINER_NEW_JOB,
							  .clean = clean_jobs,
							  .text = clean(text, m->stats.job)});
out:
	free((void *)(uintptr_t)cb1.ptr);
	free((void *)(uintptr_t)cb2.ptr);
}

/* The part of a name behind its first label: pools move their miners within it. */
static const char *domain_of(const char *host)
{
	const char *dot = strchr(host, '.');
	bool number = strspn(host, "0123456789.") == strlen(host) || strchr(host, ':');
	return dot && !number && strchr(dot + 1, '.') ? dot + 1 : host;
}

static void on_reconnect(struct otd_miner *m, const json_t *params)
{
	const struct otd_miner_pool *p = &m->pool[m->at];
	const json_t *port = json_array_get(params, 1), *wait = json_array_get(params, 2);
	const char *host = json_string_value(json_array_get(params, 0));
	uint64_t number = p->port;
	json_int_t wait_s = json_is_integer(wait) ? json_integer_value(wait) : 0;
	char text[TEXT_MAX];
	if (!host || !host[0])
		host = p->host;
	if (json_is_integer(port))
		number = (uint64_t)json_integer_value(port);
	else if (json_is_string(port) &&
		 otd_parse_u64(&number, json_string_value(port), json_string_length(port)))
		number = 0;
	if (number == 0 || number > 65535 || strlen(host) >= sizeof(m->redirect_host) ||
	    (strcmp(host, p->host) != 0 && strcmp(domain_of(host), domain_of(p->host)) != 0)) {
		otd_miner_emit(m, OTD_MINER_PROTOCOL,
			       "the pool wants to send us to another domain (%s): refused",
			       clean(text, host));
		return;
	}
	memcpy(m->redirect_host, host, strlen(host) + 1);
	m->redirect_port = (uint16_t)number;
	m->redirect_wait_ms = wait_s < 0 ? 0 : wait_s > 600 ? 600000 : (int64_t)wait_s * 1000;
	m->drop = "the pool asks to reconnect";
}

static void on_version_mask(struct otd_miner *m, const json_t *params)
{
	uint32_t mask;
	if (!hex_u32(&mask, json_array_get(params, 0))) {
		unusable(m, "mining.set_version_mask");
		return;
	}
	m->mask = mask & m->conf.version_mask;
}

static void reply(struct otd_miner *m, const json_t *id, json_t *result)
{
	if (!id || json_is_null(id)) {
		json_decref(result);
		return;
	}
	if (otd_miner_send(m, json_pack("{s:O, s:o, s:n}", "id", id, "result", result, "error")))
		m->drop = "no memory";
}

static void on_method(struct otd_miner *m, const char *method, const json_t *message,
		      const char *line, size_t n)
{
	const json_t *params = json_object_get(message, "params");
	const json_t *id = json_object_get(message, "id");
	char text[TEXT_MAX];
	if (strcmp(method, "mining.notify") == 0) {
		on_notify(m, params);
	} else if (strcmp(method, "mining.set_difficulty") == 0) {
		on_set_difficulty(m, params, line, n);
	} else if (strcmp(method, "mining.set_extranonce") == 0) {
		on_set_extranonce(m, params);
	} else if (strcmp(method, "mining.set_version_mask") == 0) {
		on_version_mask(m, params);
	} else if (strcmp(method, "client.reconnect") == 0) {
		on_reconnect(m, params);
	} else if (strcmp(method, "client.show_message") == 0) {
		otd_miner_emit(m, OTD_MINER_MESSAGE, "%s",
			       clean(text, json_string_value(json_array_get(params, 0))));
		reply(m, id, json_true());
	} else if (strcmp(method, "client.get_version") == 0) {
		reply(m, id, json_string(m->agent));
	} else if (strcmp(method, "mining.ping") == 0) {
		reply(m, id, json_string("pong"));
	} else if (id && !json_is_null(id)) {
		if (otd_miner_send(m, json_pack("{s:O, s:n, s:[i,s,n]}", "id", id, "result",
						"error", -3, "method not found")))
			m->drop = "no memory";
	}
}

static void on_configured(struct otd_miner *m, const json_t *result)
{
	const json_t *mask = json_object_get(result, "version-rolling.mask");
	uint32_t bits;
	if (json_is_true(json_object_get(result, "version-rolling")) && hex_u32(&bits, mask))
		m->mask = bits & m->conf.version_mask;
	otd_miner_ask(m, REQ_SUBSCRIBE);
}

static void on_greeting(struct otd_miner *m, enum otd_miner_request id, const json_t *result,
			const json_t *error)
{
	char text[TEXT_MAX];
	bool refused = error && !json_is_null(error);
	if (id == m->asked)
		m->asked = 0;
	else
		return; /* of mining.extranonce.subscribe: either answer will do; or late */
	if (id == REQ_CONFIGURE) {
		on_configured(m, refused ? NULL : result);
	} else if (id == REQ_SUBSCRIBE) {
		if (refused ||
		    !read_extranonce(m->extranonce1, &m->extranonce1_len, &m->extranonce2_len,
				     json_array_get(result, 1), json_array_get(result, 2))) {
			m->drop = refused ? "the pool refuses mining.subscribe"
					  : "the pool's answer to mining.subscribe cannot be used";
			return;
		}
		otd_miner_ask(m, REQ_AUTHORIZE);
	} else if (refused || !json_is_true(result)) {
		otd_miner_emit(m, OTD_MINER_UNAUTHORIZED, "%s",
			       refused ? error_text(text, error) : "the pool says no");
		m->drop = "the pool does not take this user";
	} else {
		m->state = OTD_MINER_MINING;
		otd_miner_emit(m, OTD_MINER_AUTHORIZED, "%s", m->user);
		if (m->stream)
			otd_miner_ask(m, REQ_EXTRANONCE);
	}
}

void otd_miner_line(struct otd_miner *m, const char *line, size_t n)
{
	json_error_t where;
	json_t *message = json_loadb(line, n, 0, &where);
	const char *method = json_string_value(json_object_get(message, "method"));
	const json_t *id = json_object_get(message, "id");
	if (!json_is_object(message)) {
		m->drop = "the pool sends something else than JSON objects";
	} else if (method) {
		on_method(m, method, message, line, n);
	} else if (json_is_integer(id) && json_integer_value(id) > 0) {
		uint64_t number = (uint64_t)json_integer_value(id);
		const json_t *result = json_object_get(message, "result");
		const json_t *error = json_object_get(message, "error");
		if (number < OTD_MINER_FIRST_ID)
			on_greeting(m, (enum otd_miner_request)number, result, error);
		else
			otd_miner_answered(m, number, result, error);
	}
	json_decref(message);
}
