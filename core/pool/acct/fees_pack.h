/* Recipients of an account's fee as bytes, behind the texts of OTD_REC_ACCOUNT_TERMS: their number, and of each
   its part, the length of its address, and its address. */
#ifndef OTD_POOL_ACCT_FEES_PACK_H
#define OTD_POOL_ACCT_FEES_PACK_H

#include "pool/acct/fees.h"

#define ACCT_RECIPIENTS_BYTES (2 + OTD_ACCT_RECIPIENTS * (6 + OTD_ACCT_ADDRESS)) /* at most */

/* Puts them into their one form: by address, one of each, none of nothing. OTD_E_RANGE: more than the whole;
   OTD_E_INVALID: one without an address, or without its end. */
otd_rc acct_recipients_order(struct otd_acct_recipient *to, size_t *n);
/* How many bytes of ACCT_RECIPIENTS_BYTES; 0: there are none. They are in their one form. */
size_t acct_recipients_pack(uint8_t *out, const struct otd_acct_recipient *to, size_t n);
/* Into their one form; no bytes are none, as in records of before. False: it makes no sense. */
bool acct_recipients_unpack(struct otd_acct_recipient to[OTD_ACCT_RECIPIENTS], size_t *n,
			    const uint8_t *from, size_t len);

#endif
