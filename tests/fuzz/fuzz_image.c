/* What an old process hands over to a new one (otedama upgrade): the frame, its parts and sessions' records. */
#include <stdlib.h>
#include <string.h>

#include "app/upgrade/upgrade_image.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look_at_sessions(struct otd_span bytes)
{
	struct otd_unpack in = otd_unpack_of(bytes);
	struct otd_session_record r;
	struct otd_session_record_worker w;
	struct otd_err err = {0};
	while (in.left && otd_session_record_read(&r, &in, &err) == OTD_OK) {
		struct otd_bytes workers, again;
		struct otd_session_record same;
		size_t n = 0;
		otd_bytes_init(&workers, 1u << 20);
		otd_bytes_init(&again, 1u << 22);
		struct otd_session_record copy = r;
		for (; n < r.n_workers && otd_session_record_worker(&r, &w); n++)
			otd_session_record_add_worker(&workers, &w);
		copy.n_workers = (uint16_t)n;
		otd_session_record_write(&again, &copy, otd_bytes_span(&workers));
		/* What was understood is written so that it means the same. */
		if (!workers.failed && !again.failed) {
			struct otd_unpack u = otd_unpack_of(otd_bytes_span(&again));
			if (otd_session_record_read(&same, &u, &err) != OTD_OK ||
			    same.n_targets != copy.n_targets || same.flags != copy.flags ||
			    same.in.len != copy.in.len || same.out.len != copy.out.len ||
			    same.agent.len != copy.agent.len || strcmp(same.host, copy.host) != 0)
				abort();
		}
		otd_bytes_finish(&workers);
		otd_bytes_finish(&again);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct otd_upgrade_image image;
	struct otd_err err = {0};
	struct otd_span all = {data, n};
	otd_rc rc = otd_upgrade_image_read(&image, all, &err);
	if (rc && !err.text[0])
		abort();
	if (rc == OTD_OK) {
		for (uint32_t i = 0; i < image.meta.n_reactors; i++) {
			look_at_sessions(image.reactors[i].sessions);
			for (uint32_t to = 1; to <= OTD_UPGRADE_REACTORS_MAX; to++) {
				uint32_t at =
					otd_upgrade_reactor_of(i, image.meta.n_reactors, n, to);
				if (at >= to ||
				    !otd_upgrade_reactor_serves(at, to, i, image.meta.n_reactors))
					abort();
			}
		}
		otd_upgrade_image_finish(&image);
	}
	look_at_sessions(all);
	return 0;
}
