/* How a pool pays, as the file has it: pools.X.payments and the recipients of pools.X.fee. */
#ifndef OTD_CONFIG_SETTINGS_PAYMENTS_H
#define OTD_CONFIG_SETTINGS_PAYMENTS_H

#include <otedama/u256.h>

struct otd_yaml;

enum otd_settings_fee_payer { OTD_SETTINGS_POOL_PAYS = 0, OTD_SETTINGS_MINERS_PAY = 1 };

struct otd_settings_payments {
	bool on;                             /* the key is present */
	const char *minimum_text, *cap_text; /* as written: "0.05 LTC" */
	otd_i128 minimum, cap;               /* base units; cap 0: none */
	int64_t every_ms, max_recipients;
	int64_t network_fee; /* enum otd_settings_fee_payer */
	int64_t confirmations, coin_confirmations;
	int64_t fee_rate,
		max_fee_rate; /* base units a virtual byte; fee_rate 0: the node's advice */
	int64_t max_fee_ppm;  /* of what a payment pays in all */
};

/* Who gets the pool's fee. */
struct otd_settings_recipient {
	const char *address;
	int64_t share_ppm; /* of it; of a pool they sum to 1,000,000 */
	const struct otd_yaml *at;
};

#endif
