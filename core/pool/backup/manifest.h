/*
 * MANIFEST, the list in a backup: lines of text, the last of which is the SHA-256 of all before it, so
 * that a backup that was cut short is noticed.
 *
 *   otedama-backup 1
 *   version 0.2.0                     of the program
 *   schema 2                          of the database
 *   time_ms 1700000000000
 *   position 123                      of the coordinator's journal, as the database has it
 *   running yes                       whether a pool was running
 *   pool 1 BTC NAME                   number, asset
 *   block HEIGHT HASH TIME_MS NAME    the last one, and its pool
 *   sum KIND UNITS ASSET              all balances of that kind (enum otd_account_kind)
 *   secrets no                        passwords are not in it
 *   file BYTES SHA256 PATH            for each file
 *   end SHA256
 */
#ifndef OTD_POOL_MANIFEST_H
#define OTD_POOL_MANIFEST_H

#include "base/bytes.h"
#include "base/err.h"
#include <otedama/u256.h>

#define OTD_MANIFEST_NAME  "MANIFEST"
#define OTD_MANIFEST_BYTES (64u << 20) /* the longest that is read */
#define OTD_MANIFEST_PATH  400
#define OTD_MANIFEST_POOLS 256
#define OTD_MANIFEST_SUMS  1024

struct otd_manifest_pool {
	uint64_t id;
	char name[72], asset[32];
};

struct otd_manifest_sum {
	uint32_t kind; /* enum otd_account_kind */
	otd_i128 units;
	char asset[32];
};

struct otd_manifest_file {
	uint64_t bytes;
	uint8_t sha256[32];
	char *path; /* "data/..": below data_dir; else for people */
};

/* What is in the database, and when. */
struct otd_manifest_about {
	char version[32];
	int64_t schema, time_ms;
	uint64_t position;
	bool running;
	struct otd_manifest_pool *pools;
	size_t n_pools;
	uint64_t block_height; /* 0: none was found yet */
	int64_t block_ms;
	char block_hash[65], block_pool[72];
	struct otd_manifest_sum *sums;
	size_t n_sums;
};

struct otd_manifest {
	struct otd_manifest_about about;
	struct otd_manifest_file *files;
	size_t n_files, cap_files;
};

/* Zeroed by the caller before first use; all memory is given back. */
void otd_manifest_finish(struct otd_manifest *m);
/* Adds to what the database says. OTD_E_RANGE: too many. */
otd_rc otd_manifest_add_pool(struct otd_manifest *m, const struct otd_manifest_pool *p);
/* Adds units to the sum of its kind and asset. */
otd_rc otd_manifest_add_sum(struct otd_manifest *m, uint32_t kind, const char *asset,
			    otd_i128 units);
otd_rc otd_manifest_add_file(struct otd_manifest *m, const char *path, uint64_t bytes,
			     const uint8_t sha256[32]);

/* By path, as they have to stand in it. */
void otd_manifest_sort(struct otd_manifest *m);
/* Files are sorted. */
void otd_manifest_write(const struct otd_manifest *m, struct otd_bytes *out);
/*
 * Strict: what is not exactly as above is OTD_E_CORRUPT, another format OTD_E_VERSION. m is zeroed;
 * to be finished in any case.
 */
otd_rc otd_manifest_read(struct otd_manifest *m, struct otd_span text, struct otd_err *err);
/* Bytes of all files. */
uint64_t otd_manifest_bytes(const struct otd_manifest *m);

#endif
