/* See stratum/turned_away.h. */
#include "stratum/turned_away.h"

#include "net/listener.h"
#include <stdio.h>
#include <string.h>

/* Who is in deny knows why, or need not. */
static const struct {
	const char *reason, *says;
} row[] = {
	{OTD_GATE_TOTAL, "the pool is full, try again later or use its other addresses"},
	{OTD_GATE_ADDRESS, "your address has too many connections to this pool"},
	{OTD_GATE_RATE, "your address connects too often, wait a minute"},
	{OTD_GATE_PREFIX, "your network has too many connections to this pool"},
	{OTD_GATE_PREFIX_RATE, "your network connects too often, wait a minute"},
	{OTD_GATE_TABLE, "the pool is full, try again later or use its other addresses"},
	{OTD_GATE_BANNED, "your address is banned from this pool"},
};

size_t otd_stratum_turned_away(char *to, size_t cap, const char *reason)
{
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if (strcmp(row[i].reason, reason) != 0)
			continue;
		int n = snprintf(
			to, cap,
			"{\"id\":1,\"result\":null,\"error\":[20,\"%s\",null]}\n"
			"{\"id\":null,\"method\":\"client.show_message\",\"params\":[\"%s\"]}\n",
			row[i].says, row[i].says);
		return n > 0 && (size_t)n < cap ? (size_t)n : 0;
	}
	return 0;
}
