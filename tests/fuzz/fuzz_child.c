/* The report of a plugin's trial, which the plugin could have written: a verdict of one line, always. */
#include "plugin/child.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Three bytes say how it ended; then its report, a zero, and what it printed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct otd_plugin_child_conf conf = {.file = "fuzz.so"};
	struct otd_child_end end = {0};
	struct otd_bytes own, printed;
	struct otd_err err = {0};
	if (n < 3)
		return 0;
	end.timed_out = data[0] & 1;
	end.stopped = data[0] & 2;
	end.signal = data[1] % 65;
	end.status = data[2];
	data += 3;
	n -= 3;
	size_t split = strnlen((const char *)data, n);
	char *report = malloc(split + 1);
	if (!report)
		return 0;
	memcpy(report, data, split);
	report[split] = '\0';
	otd_bytes_init(&own, 4096);
	otd_bytes_init(&printed, 2048);
	if (split + 1 < n)
		(void)!otd_bytes_add(&printed, data + split + 1, n - split - 1);
	otd_rc rc = otd_plugin_child_judge(&own, report, &end, &printed, &conf, &err);
	/* Whoever died did not pass, and a refusal has words. */
	if (!rc && (end.timed_out || end.stopped || end.signal))
		abort();
	if (rc > 0 || (rc && (err.rc != rc || strchr(err.text, '\n'))))
		abort();
	otd_bytes_finish(&own);
	otd_bytes_finish(&printed);
	free(report);
	return 0;
}
