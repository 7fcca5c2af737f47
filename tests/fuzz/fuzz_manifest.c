/* MANIFEST of a backup: raw text, or text that is given the right hash at its end. */
#include <stdlib.h>
#include <string.h>

#include <otedama/sha256.h>

#include "pool/backup/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_one(struct otd_span text)
{
	struct otd_manifest m = {0}, again = {0};
	struct otd_err err = {0};
	struct otd_bytes out;
	otd_bytes_init(&out, OTD_MANIFEST_BYTES);
	otd_rc rc = otd_manifest_read(&m, text, &err);
	if (rc && !err.text[0])
		abort();
	if (rc == OTD_OK) {
		/* What was understood is written so that it means the same. */
		otd_manifest_write(&m, &out);
		if (otd_manifest_read(&again, otd_bytes_span(&out), &err) != OTD_OK ||
		    again.n_files != m.n_files || again.about.n_sums != m.about.n_sums ||
		    otd_manifest_bytes(&again) != otd_manifest_bytes(&m))
			abort();
		for (size_t i = 0; i < m.n_files; i++)
			if (m.files[i].path[0] == '/' || strstr(m.files[i].path, "/../") ||
			    strncmp(m.files[i].path, "../", 3) == 0)
				abort();
	}
	otd_manifest_finish(&m);
	otd_manifest_finish(&again);
	otd_bytes_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_bytes text;
	uint8_t sha[32];
	read_one((struct otd_span){data, n});
	otd_bytes_init(&text, 1 << 24);
	(void)otd_bytes_text(&text, "otedama-backup 1\nversion 1\nschema 1\n");
	(void)otd_bytes_add(&text, data, n);
	otd_sha256(sha, text.ptr, text.len);
	(void)otd_bytes_text(&text, "end ");
	(void)otd_bytes_hex(&text, sha, 32);
	(void)otd_bytes_text(&text, "\n");
	read_one(otd_bytes_span(&text));
	otd_bytes_finish(&text);
	return 0;
}
