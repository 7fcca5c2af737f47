/* config check: certificates and keys of ports, and whom they take for proxies. */
#include "app/app_parts.h"
#include "app/app_tls.h"
#include "app/check/config_check.h"

static void check_certificate(struct otd_check *c, const struct otd_settings_pool *p,
			      const struct otd_settings_port *port)
{
	const char *key = otd_check_key(c, "pools.%s.ports.%s.tls", p->name, port->name);
	int64_t now_ms = otd_wall_ms(c->app.env);
	struct otd_tls *tls;
	struct otd_tls_facts f;
	struct otd_err err = {0};
	char worry[500];
	if (otd_app_tls_read(&tls, c->app.env, &port->tls, NULL, NULL, &err) != OTD_OK) {
		otd_check_say(c, OTD_CHECK_FAULT, port->tls.at, key, "%s", err.text);
		return;
	}
	otd_tls_facts(tls, &f);
	otd_tls_destroy(tls);
	if (otd_tls_validity(&f, port->tls.certificate, now_ms, &err) != OTD_OK)
		otd_check_say(c, OTD_CHECK_FAULT, port->tls.at, key, "%s", err.text);
	else if (*otd_app_tls_worry(worry, sizeof(worry), &f, port->tls.certificate, now_ms))
		otd_check_say(c, OTD_CHECK_WARNING, port->tls.at, key, "%s", worry);
}

void otd_check_tls(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	for (size_t i = 0; i < s->n_pools; i++) {
		const struct otd_settings_pool *p = &s->pools[i];
		for (size_t k = 0; k < p->n_ports; k++) {
			struct otd_err err = {0};
			if (otd_app_port_door(p, &p->ports[k], &err) != OTD_OK)
				otd_check_take(c, OTD_CHECK_FAULT, &err);
			if (p->ports[k].tls.certificate)
				check_certificate(c, p, &p->ports[k]);
		}
	}
}
