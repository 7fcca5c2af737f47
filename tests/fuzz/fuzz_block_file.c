/* A block candidate on disk: raw bytes, or a written one that is damaged in one place. */
#include "fuzz/memory.h"
#include "pool/block_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct memory m;
	struct otd_err err = {0};
	struct otd_block_name name = {.epoch = 7, .share_seq = 99, .height = 123};
	struct otd_bytes block;
	char pool[64];
	if (n < 4)
		return 0;
	memory_init(&m);
	otd_bytes_init(&block, OTD_BLOCK_FILE_MAX);
	bool sound = false;
	size_t where = (size_t)data[1] << 8 | data[2];
	if (data[0] & 1) {
		if (otd_block_file_write(&m.table, "blocks", "blocks/b", "btc", &name,
					 (struct otd_span){data + 4, n - 4}, &err))
			abort();
		struct memory_file *f = memory_find(&m, "b");
		f->data[where % f->len] ^= data[3];
		sound = data[3] == 0;
	} else {
		memory_put(&m, "b", data + 1, n - 1);
	}
	otd_rc rc =
		otd_block_file_read(&m.table, "blocks/b", pool, sizeof(pool), &name, &block, &err);
	if (rc == OTD_OK && (data[0] & 1) &&
	    (block.len != n - 4 || memcmp(block.ptr, data + 4, n - 4) != 0))
		abort(); /* damage that was taken for the block */
	if ((sound && rc) || (rc && !err.text[0]))
		abort();
	otd_bytes_finish(&block);
	memory_finish(&m);
	return 0;
}
