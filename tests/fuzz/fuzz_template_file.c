/* A template's file on disk: raw bytes, or a written one that is damaged in one place. */
#include "fuzz/memory.h"
#include "pool/templates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The middle of the input is the place between head and body. */
static size_t written(struct memory *m, const uint8_t *data, size_t n, size_t where, uint8_t flip)
{
	struct otd_err err = {0};
	size_t head = n ? where % (n + 1) : 0;
	if (otd_template_write(&m->table, "templates/t", (struct otd_span){data, head},
			       (struct otd_span){data + head, n - head}, &err))
		abort();
	struct memory_file *f = memory_find(m, "t");
	f->data[where % f->len] ^= flip;
	return head;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct memory m;
	struct otd_err err = {0};
	struct otd_bytes head, body;
	size_t split = 0;
	if (n < 4)
		return 0;
	memory_init(&m);
	otd_bytes_init(&head, OTD_TEMPLATE_HEAD);
	otd_bytes_init(&body, OTD_TEMPLATE_BODY);
	bool ours = data[0] & 1, sound = ours && data[3] == 0;
	if (ours)
		split = written(&m, data + 4, n - 4, (size_t)data[1] << 8 | data[2], data[3]);
	else
		memory_put(&m, "t", data + 1, n - 1);
	otd_rc rc = otd_template_read(&m.table, "templates/t", &head, &body, &err);
	/* What was read is what was written, wherever the damage is: the line may say the same otherwise. */
	if (rc == OTD_OK && ours &&
	    (head.len + body.len != n - 4 || (sound && head.len != split) ||
	     (head.len && memcmp(head.ptr, data + 4, head.len) != 0) ||
	     (body.len && memcmp(body.ptr, data + 4 + head.len, body.len) != 0)))
		abort();
	if ((sound && rc) || (rc && !err.text[0]))
		abort();
	otd_bytes_finish(&head);
	otd_bytes_finish(&body);
	memory_finish(&m);
	return 0;
}
