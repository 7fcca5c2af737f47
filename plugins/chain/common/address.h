/* What both chains share, part 4: addresses of the base58 and bech32 families. */
#ifndef OTD_PLUGIN_CHAIN_ADDRESS_H
#define OTD_PLUGIN_CHAIN_ADDRESS_H

#include "common/bytes.h"
#include <otedama/option.h>

#define BTC_MAX_VERSIONS 4
#define BTC_MAX_SCRIPT   42

/* How the addresses of one network look. */
struct btc_address_form {
	const char *network;
	uint16_t p2pkh[BTC_MAX_VERSIONS], p2sh[BTC_MAX_VERSIONS]; /* above 255: two bytes */
	size_t n_p2pkh, n_p2sh;
	char hrp[16];      /* of bech32; "" where the network has none */
	char cashaddr[16]; /* prefix of CashAddr; "" where the network has none */
	char mweb[16];     /* prefix of MWEB's stealth addresses, to refuse them by name */
};

/*
 * Reads a list such as [p2pkh 111, p2sh 196, bech32 bcrt]; p2pkh and p2sh may come twice (old forms).
 * network is kept by pointer. Words by set_error.
 */
otd_rc btc_address_form_read(const struct btc_host *host, struct btc_address_form *out,
			     const char *network, const struct otd_option_list *list);
/*
 * The output script of text: forms[0] is the network wanted, the others are known so that an address
 * of theirs is named in the error. script has room for BTC_MAX_SCRIPT bytes.
 */
otd_rc btc_address_script(const struct btc_host *host, uint8_t *script, size_t *len,
			  struct otd_span text, const struct btc_address_form *forms,
			  size_t n_forms);
/*
 * The one text of an output script on form's network, in small letters where letters may be either:
 * CashAddr with its prefix where the network has it, bech32 of witness programs, else base58 by the
 * first version of its kind. OTD_E_UNSUPPORTED: a script that has no address there.
 */
#define BTC_MAX_ADDRESS 128
otd_rc btc_address_text(const struct btc_host *host, char out[BTC_MAX_ADDRESS],
			const uint8_t *script, size_t n, const struct btc_address_form *form);

/* --- shared by reading and writing --- */
#define BTC_BECH32_ONE  1u /* constants of BIP 173 and BIP 350 */
#define BTC_BECH32M_ONE 0x2bc830a3u
extern const char btc_bech32_set[33], btc_base58_set[59];
uint32_t btc_bech32_polymod(uint32_t c, uint8_t v);
uint32_t btc_bech32_begin(const char *hrp); /* what the checksum is over the prefix */
uint64_t btc_cash_polymod(uint64_t c, uint8_t v);

#endif
