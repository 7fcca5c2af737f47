/*
 * Lines of a miner through the whole dialect: the first byte says which port, the rest is lines. The
 * session stands on a reactor whose loop does not run, so what is tested is reading, dispatch and
 * the answers' order; what a line makes of memory, the sanitizers see.
 */
#include "stratum/session.h"
#include "stratum/v1/v1.h"
#include "unit/pool/reactor_rig.h"

#define WAITING_MOST 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct rig rig;
static struct otd_stratum *server;
static unsigned waiting; /* sessions that wait for the loop */

static void set_up(void)
{
	static struct otd_stratum_port port;
	struct otd_err err = {0};

	rig_init(&rig, NULL);
	port.start = port.min = target_of("1e-9");
	port.max = target_of("1e9");
	port.scheme = "";
	port.vardiff = true;
	const struct otd_stratum_conf conf = {
		.reactor = rig.reactor, .ports = &port, .n_ports = 1, .metrics = rig.metrics};
	if (otd_stratum_create(&server, &conf, &err))
		abort();
}

/* The loop runs for a moment, and those that wait go: so this can run for days. */
static void settle(void)
{
	rig_start(&rig);
	usleep(20000);
	rig_stop(&rig);
	waiting = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!server)
		set_up();
	struct otd_session *s = otd_session_create(server, &server->ports[0]->conf, NULL);
	if (!s)
		return 0;
	s->outstanding++; /* it has no connection: an answer that comes at once would end it */
	while (n && !s->closing) {
		const uint8_t *end = memchr(data, '\n', n);
		size_t len = end ? (size_t)(end - data) : n;
		if (len)
			s->dialect->line(s, (struct otd_span){data, len});
		data += len;
		n -= len;
		if (n) {
			data++;
			n--;
		}
	}
	/* Address checks and verdicts that the loop would bring: none comes, so the session stays
	   where there are any. */
	if (!--s->outstanding)
		otd_session_destroy(s);
	else if (++waiting >= WAITING_MOST)
		settle();
	return 0;
}
