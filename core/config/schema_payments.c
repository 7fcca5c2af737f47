/* The schema of payments and of the pool's fee. */
#include "config/schema.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const payers[] = {"pool", "miners", NULL};

#define AT(member) offsetof(struct otd_settings_payments, member)
static const struct otd_key payments_keys[] = {
	{.name = "minimum",
	 .type = OTD_KEY_AMOUNT,
	 .flags = OTD_KEY_REQUIRED | OTD_KEY_RELOADABLE,
	 .offset = AT(minimum_text),
	 .help = "balance from which a miner is paid, as 0.05 LTC; at least what nodes pass on"},
	{.name = "every",
	 .type = OTD_KEY_DURATION,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(every_ms),
	 .def = "1h",
	 .min = 1000,
	 .max = 30 * 86400000LL,
	 .help = "between two rounds of payments"},
	{.name = "cap",
	 .type = OTD_KEY_AMOUNT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(cap_text),
	 .def = "0",
	 .help = "most that one round pays in all, as 5 LTC; 0: no limit"},
	{.name = "recipients",
	 .type = OTD_KEY_INT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(max_recipients),
	 .def = "500",
	 .min = 1,
	 .max = 2000,
	 .help = "most recipients of one payment; the others wait for the next one"},
	{.name = "network_fee",
	 .type = OTD_KEY_CHOICE,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(network_fee),
	 .def = "pool",
	 .choices = payers,
	 .help = "who pays what the network takes: the pool out of its fee, or the recipients each "
		 "in proportion"},
	{.name = "confirmations",
	 .type = OTD_KEY_INT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(confirmations),
	 .def = "6",
	 .min = 1,
	 .max = 1000,
	 .help = "of a payment before it is final; and of another transaction that has spent its "
		 "coins, before it is made anew"},
	{.name = "coin_confirmations",
	 .type = OTD_KEY_INT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(coin_confirmations),
	 .def = "6",
	 .min = 1,
	 .max = 1000,
	 .help = "that a coin of the wallet has before it is used"},
	{.name = "fee_rate",
	 .type = OTD_KEY_INT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(fee_rate),
	 .def = "0",
	 .max = 100000000,
	 .help = "network fee in base units a virtual byte (satoshi, litoshi); 0: as the node "
		 "advises"},
	{.name = "max_fee_rate",
	 .type = OTD_KEY_INT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(max_fee_rate),
	 .def = "2000",
	 .min = 1,
	 .max = 100000000,
	 .help = "most, whatever the node advises"},
	{.name = "max_fee",
	 .type = OTD_KEY_RATE,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(max_fee_ppm),
	 .def = "5%",
	 .min = 1,
	 .max = 1000000,
	 .help = "a network fee above this part of a payment waits for a person"},
};
#undef AT
const struct otd_key_table otd_keys_payments = {payments_keys, COUNT(payments_keys)};

static const struct otd_key recipient_keys[] = {
	{.name = "share",
	 .type = OTD_KEY_RATE,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = offsetof(struct otd_settings_recipient, share_ppm),
	 .def = "100%",
	 .min = 1,
	 .max = 1000000,
	 .help = "part of the fee; all of a pool come to 100%"},
};
static const struct otd_key_table recipient_table = {
	recipient_keys,
	COUNT(recipient_keys),
	sizeof(struct otd_settings_recipient),
	offsetof(struct otd_settings_recipient, address),
	offsetof(struct otd_settings_recipient, at),
	"ADDRESS"};

#define AT(member) offsetof(struct otd_settings_pool, member)
static const struct otd_key fee_keys[] = {
	{.name = "rate",
	 .type = OTD_KEY_RATE,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(fee_ppm),
	 .def = "0%",
	 .max = 1000000,
	 .help = "the pool's part of each block"},
	{.name = "recipients",
	 .type = OTD_KEY_MAP,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(recipients),
	 .count_at = AT(n_recipients),
	 .max = 16,
	 .sub = &recipient_table,
	 .help = "addresses that the fee is paid to, as {ltc1...: {share: 70%}, ltc1...: {share: "
		 "30%}}; none: it stays in the wallet and in the ledger"},
};
#undef AT
const struct otd_key_table otd_keys_fee = {fee_keys, COUNT(fee_keys)};
