/* Names of payment states. The steps themselves: see payment.h. */
#include "ledger/payment.h"

const char *otd_pay_state_name(enum otd_pay_state s)
{
	static const char *const names[] = {"unknown", "reserved", "funded",   "signed",
					    "sent",    "paid",     "cancelled"};
	return s >= OTD_PAY_RESERVED && s <= OTD_PAY_CANCELLED ? names[s] : names[0];
}
