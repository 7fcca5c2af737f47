/* What P1 and P2 say of themselves, and whether they fit: see app/upgrade/upgrade.h. */
#include "app/upgrade/upgrade.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

#define IMAGE_OLDEST 1

void otd_upgrade_hello_own(struct otd_upgrade_hello *h, const char *data_dir)
{
	struct stat st;
	*h = (struct otd_upgrade_hello){.image = OTD_UPGRADE_IMAGE,
					.image_oldest = IMAGE_OLDEST,
					.record = OTD_SESSION_RECORD,
					.record_oldest = OTD_SESSION_RECORD_OLDEST,
					.schema = otd_schema_newest()};
	snprintf(h->version, sizeof(h->version), "%s", OTEDAMA_VERSION);
	if (data_dir && stat(data_dir, &st) == 0) {
		h->folder[0] = (uint64_t)st.st_dev;
		h->folder[1] = (uint64_t)st.st_ino;
	}
}

void otd_upgrade_hello_write(struct otd_bytes *out, const struct otd_upgrade_hello *h)
{
	size_t part = otd_pack_begin(out);
	otd_pack_text(out, h->version);
	otd_pack_u32(out, h->image);
	otd_pack_u32(out, h->image_oldest);
	otd_pack_u32(out, h->record);
	otd_pack_u32(out, h->record_oldest);
	otd_pack_i64(out, h->schema);
	otd_pack_u64(out, h->folder[0]);
	otd_pack_u64(out, h->folder[1]);
	otd_pack_end(out, part);
}

otd_rc otd_upgrade_hello_read(struct otd_upgrade_hello *h, struct otd_span from,
			      struct otd_err *err)
{
	struct otd_unpack in = otd_unpack_of(from), u = otd_unpack_part(&in);
	memset(h, 0, sizeof(*h));
	otd_unpack_text(&u, h->version, sizeof(h->version));
	h->image = otd_unpack_u32(&u);
	h->image_oldest = otd_unpack_u32(&u);
	h->record = otd_unpack_u32(&u);
	h->record_oldest = otd_unpack_u32(&u);
	h->schema = otd_unpack_i64(&u);
	h->folder[0] = otd_unpack_u64(&u);
	h->folder[1] = otd_unpack_u64(&u);
	for (char *c = h->version; *c; c++) {
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	}
	return u.failed ? otd_fail(err, OTD_E_CORRUPT, "it does not say what it is") : OTD_OK;
}

#define RESTART "; make a backup ('otedama backup DIR'), then end this pool and start that program"

otd_rc otd_upgrade_fits(const struct otd_upgrade_hello *ours,
			const struct otd_upgrade_hello *theirs, struct otd_err *err)
{
	if (theirs->schema > ours->schema)
		return otd_fail(
			err, OTD_E_VERSION,
			"version %s wants schema version %lld of the database, this pool (%s) "
			"has %lld: there would be no way back from a hand-over" RESTART,
			theirs->version, (long long)theirs->schema, ours->version,
			(long long)ours->schema);
	if (theirs->schema < ours->schema)
		return otd_fail(
			err, OTD_E_VERSION,
			"version %s knows schema version %lld of the database, this pool (%s) "
			"has %lld already and cannot go back; take a newer program, or end "
			"this pool and restore the backup of before ('otedama restore')",
			theirs->version, (long long)theirs->schema, ours->version,
			(long long)ours->schema);
	if (memcmp(theirs->folder, ours->folder, sizeof(ours->folder)) != 0)
		return otd_fail(
			err, OTD_E_INVALID,
			"data_dir in the configuration is another folder than the one that this "
			"pool runs on: it cannot move in an upgrade; write the old one, or end "
			"this pool and start the new one");
	if (theirs->record_oldest > ours->record || theirs->image_oldest > ours->image)
		return otd_fail(err, OTD_E_VERSION,
				"version %s is too new to take over sessions from this one (%s); "
				"upgrade to a version between them first, or end this pool and "
				"start that program",
				theirs->version, ours->version);
	return OTD_OK;
}
