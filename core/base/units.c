/* Units of the YAML, and hash rates for people. */
#include "base/text.h"
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* A whole number with one of the units behind it. */
static otd_rc parse_unit(int64_t *out, const char *s, size_t n, const struct unit *units,
			 size_t n_units)
{
	size_t digits = 0;
	while (digits < n && s[digits] >= '0' && s[digits] <= '9')
		digits++;
	if (!digits)
		return OTD_E_INVALID;
	for (size_t i = 0; i < n_units; i++) {
		uint64_t v;
		size_t len = strlen(units[i].name);
		if (len != n - digits || memcmp(units[i].name, s + digits, len) != 0)
			continue;
		if (otd_parse_u64(&v, s, digits) || v > INT64_MAX ||
		    __builtin_mul_overflow((int64_t)v, units[i].factor, out))
			return OTD_E_RANGE;
		return OTD_OK;
	}
	return OTD_E_INVALID;
}

otd_rc otd_parse_duration(int64_t *ms, const char *s, size_t n)
{
	static const struct unit units[] = {
		{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	return parse_unit(ms, s, n, units, sizeof(units) / sizeof(units[0]));
}

otd_rc otd_parse_size(int64_t *bytes, const char *s, size_t n)
{
	static const struct unit units[] = {{"", 1},
					    {"KiB", 1LL << 10},
					    {"MiB", 1LL << 20},
					    {"GiB", 1LL << 30},
					    {"TiB", 1LL << 40}};
	return parse_unit(bytes, s, n, units, sizeof(units) / sizeof(units[0]));
}

otd_rc otd_parse_rate(int64_t *ppm, const char *s, size_t n)
{
	otd_i128 v;
	if (n < 2 || s[n - 1] != '%' || s[0] == '-')
		return OTD_E_INVALID;
	otd_rc rc = otd_parse_amount(&v, s, n - 1, 4);
	if (rc)
		return rc;
	if (v > INT64_MAX)
		return OTD_E_RANGE;
	*ppm = (int64_t)v;
	return OTD_OK;
}

char *otd_format_hashrate(char out[OTD_RATE_TEXT], otd_u128 work, int64_t ms)
{
	static const char prefix[] = " kMGTPEZYRQ";
	const char *per = ms > 0 ? "/s" : "";
	/* milli-hashes, or milli-hashes a second */
	struct otd_u256 v = otd_u256_mul_u128(work, ms > 0 ? 1000000 : 1000);
	if (ms > 0)
		(void)otd_u256_div(&v, NULL, v, otd_u256_from_u64((uint64_t)ms));
	/* Nothing is above 999 of the last unit. */
	const otd_u128 most = (otd_u128)1000000000000000000ULL * 999000000000000000ULL;
	otd_u128 n = otd_u256_low_u128(v);
	if (v.w[2] || v.w[3] || n > most)
		n = most;
	unsigned unit = 0;
	if (ms <= 0 && work < 1000) {
		(void)snprintf(out, OTD_RATE_TEXT, "%u H", (unsigned)work);
		return out;
	}
	/* Rounded to three digits, 999.5 of a unit is 1.00 of the next. */
	for (; n >= 999500 && unit + 1 < sizeof(prefix) - 1; unit++)
		n = n >= 1000000 ? (n + 500) / 1000 : 1000;
	unsigned milli = (unsigned)n;
	unsigned decimals = milli < 9995 ? 2 : milli < 99950 ? 1 : 0;
	unsigned step = decimals == 2 ? 10 : decimals == 1 ? 100 : 1000;
	unsigned shown = (milli + step / 2) / step; /* in units of 10^-decimals */
	unsigned scale = 1000 / step;
	if (n == 0)
		(void)snprintf(out, OTD_RATE_TEXT, "0 H%s", per);
	else if (decimals)
		(void)snprintf(out, OTD_RATE_TEXT, "%u.%0*u %.*sH%s", shown / scale, (int)decimals,
			       shown % scale, unit ? 1 : 0, prefix + unit, per);
	else
		(void)snprintf(out, OTD_RATE_TEXT, "%u %.*sH%s", shown, unit ? 1 : 0, prefix + unit,
			       per);
	return out;
}
