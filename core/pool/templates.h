/*
 * The transactions of recent templates on disk, for the blocks that are made of them: DATA_DIR/templates/
 * HEIGHT-PREV-ID.template, one a template, where ID is a hash of its head. A process that is killed between a share
 * that makes a block and the block's file leaves the share in its journal; with this file the next one puts
 * the block together all the same. They are written without a sync: what a killed process wrote stays with
 * the kernel, and the power's going is what a synced block file is for.
 *
 * One line of text, then the bytes that otd_chain_save() gave:
 *   otedama-template 1 HEAD_LENGTH BODY_LENGTH CRC32C\n
 * The CRC covers the bytes behind the line. Mode 0600. At most OTD_TEMPLATES_MOST of them and
 * OTD_TEMPLATES_BYTES; the oldest go first. One goes when its tip is the third of its chain: no reactor takes
 * shares of its jobs any more. [coordinator]
 */
#ifndef OTD_POOL_TEMPLATES_H
#define OTD_POOL_TEMPLATES_H

#include "base/bytes.h"
#include "base/env.h"

#define OTD_TEMPLATES_MOST  256
#define OTD_TEMPLATES_BYTES ((uint64_t)256 << 20)
#define OTD_TEMPLATE_HEAD   (1u << 20)  /* of one, at most */
#define OTD_TEMPLATE_BODY   (64u << 20) /* larger than any chain's block */

struct otd_templates;

/*
 * disk: who writes and removes, in order; the caller's, and gone (it waits for what it has) before
 * otd_templates_destroy(). Blocks; makes the folder and takes note of what is in it.
 */
otd_rc otd_templates_create(struct otd_templates **out, struct otd_env *env,
			    struct otd_worker *disk, const char *data_dir, struct otd_err *err);
void otd_templates_destroy(struct otd_templates *t); /* takes NULL */
/*
 * Takes both bytes. chain: an address that stands for the chain; what is kept of it and stands on neither
 * prev nor the tip before goes. What cannot be written is told in the log, once until it can.
 */
void otd_templates_keep(struct otd_templates *t, const void *chain, uint64_t height,
			const uint8_t prev[32], struct otd_bytes *head, struct otd_bytes *body);
/*
 * Reads those that stand on prev until fn is content (true). Blocks: at start only.
 * OTD_E_NOT_FOUND: fn was content with none; err says how many there were and what is wrong with them.
 */
typedef bool (*otd_template_fn)(void *arg, struct otd_span head, struct otd_span body,
				struct otd_err *err);
otd_rc otd_templates_find(struct otd_templates *t, uint64_t height, const uint8_t prev[32],
			  otd_template_fn fn, void *arg, struct otd_err *err);
/* What earlier runs left and this one has not kept itself goes. */
void otd_templates_cut_earlier(struct otd_templates *t);

/* --- one file --- */

/* Under a temporary name (.new), then renamed; nothing is synced. [disk] */
otd_rc otd_template_write(const struct otd_files *f, const char *path, struct otd_span head,
			  struct otd_span body, struct otd_err *err);
/* OTD_E_CORRUPT, OTD_E_VERSION: it is not whole, or not ours. */
otd_rc otd_template_read(const struct otd_files *f, const char *path, struct otd_bytes *head,
			 struct otd_bytes *body, struct otd_err *err);

#endif
