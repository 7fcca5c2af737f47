#include "app/check/plugin_try.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cmd/cmd_plugin_new.h"
#include "app/cmd/plugin_file.h"
#include "app/cmd/sdk_where.h"
#include "base/text.h"
#include "config/yaml.h"
#include <otedama/u256.h>

#define MEASURE_MS    200
#define BLOCK_S       2 /* of the miner's one thread */
#define SHARES_A_S    4
#define FILE_MAX      (64u << 20)
#define OPTIONS_BYTES 512

/* Texts that the configuration is made of. */
struct words {
	char algo[32], chain[32], payout[32], hw[32];
	char algo_options[OPTIONS_BYTES], chain_options[OPTIONS_BYTES],
		payout_options[OPTIONS_BYTES];
	char bits[12], share[OTD_DIFFICULTY_TEXT], share_min[OTD_DIFFICULTY_TEXT], port[8];
};

static otd_rc copy_plugin(const struct otd_try *t, struct otd_err *err)
{
	char path[512];
	struct otd_bytes bytes;
	snprintf(path, sizeof(path), "%s/plugins", t->folder);
	int bad = mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/plugins/%s", t->folder, t->kind);
	bad |= mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/coins", t->folder);
	bad |= mkdir(path, 0700);
	if (bad)
		return otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	otd_bytes_init(&bytes, FILE_MAX);
	otd_rc rc = otd_project_read(&bytes, t->file, err);
	snprintf(path, sizeof(path), "%s/plugins/%s/%s.so", t->folder, t->kind, t->id);
	FILE *f = rc ? NULL : fopen(path, "wxe");
	if (!rc && (!f || fwrite(bytes.ptr, 1, bytes.len, f) != bytes.len))
		rc = otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	if (f && fclose(f) != 0 && !rc)
		rc = otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	otd_bytes_finish(&bytes);
	return rc;
}

/* Compact form of a target, rounded down. Source: Bitcoin Core, arith_uint256::GetCompact. */
static uint32_t compact(struct otd_u256 target)
{
	unsigned size = (otd_u256_bits(target) + 7) / 8;
	uint32_t word = size <= 3 ? (uint32_t)target.w[0] << 8 * (3 - size)
				  : (uint32_t)otd_u256_shr(target, 8 * (size - 3)).w[0];
	if (word & 0x00800000) {
		word >>= 8;
		size++;
	}
	return word | (uint32_t)size << 24;
}

/* The target that so many hashes meet once. */
static struct otd_u256 target_of(uint64_t hashes)
{
	struct otd_u256 q;
	(void)otd_u256_div(&q, NULL, otd_u256_max(), otd_u256_from_u64(hashes ? hashes : 1));
	return q;
}

/* Speed decides bits and difficulties. */
static otd_rc measure(struct otd_try *t, struct words *w, struct otd_err *err)
{
	struct otd_plugin_instance *algo = NULL;
	struct otd_algo_speed speed;
	struct otd_tool tool;
	bool mine = strcmp(t->kind, "algo") == 0;
	otd_rc rc = otd_tool_init(&tool, NULL, err);
	if (rc != OTD_OK)
		return rc;
	rc = otd_tool_algo(&tool, &algo, w->algo, mine ? t->file : NULL, mine ? t->options : NULL,
			   err);
	const struct otd_algo_info *info = algo ? otd_instance_algo_info(algo) : NULL;
	if (rc == OTD_OK &&
	    (info->header_len != 80 || info->nonce_offset != 76 || info->nonce_len != 4))
		rc = otd_fail(err, OTD_E_UNSUPPORTED,
			      "%s: headers of %u bytes with %u bytes of nonce at %u; the embedded "
			      "chain has Bitcoin's 80, 4 and 76. 'otedama bench --plugin' and "
			      "'plugin check' do run it",
			      t->file, info->header_len, info->nonce_len, info->nonce_offset);
	if (rc == OTD_OK)
		rc = otd_algo_speed_batch(&speed, algo, 1, MEASURE_MS, err);
	/* A whole batch where that does not take for ever. */
	if (rc == OTD_OK && speed.ns / speed.hashes * info->batch_hint < MEASURE_MS * 1000000ull)
		rc = otd_algo_speed_batch(&speed, algo, info->batch_hint, MEASURE_MS, err);
	if (rc == OTD_OK) {
		struct otd_u256 diff1 = otd_u256_from_be(info->diff1);
		t->hashes = speed.hashes;
		t->ms = speed.ns / 1000000;
		uint64_t rate = t->hashes * 1000 / t->ms;
		/* The easiest target that a header can say is half of all hashes. */
		uint64_t block = rate * BLOCK_S > 2 ? rate * BLOCK_S : 2;
		uint64_t share = rate / SHARES_A_S > 2 ? rate / SHARES_A_S : 2;
		snprintf(w->bits, sizeof(w->bits), "%08x", (unsigned)compact(target_of(block)));
		otd_difficulty_format(w->share, target_of(share), diff1);
		otd_difficulty_format(w->share_min, target_of(share / 64 > 2 ? share / 64 : 2),
				      diff1);
	}
	if (algo)
		otd_instance_destroy(algo);
	otd_tool_finish(&tool);
	return rc;
}

/* A port that nobody has now. */
static otd_rc free_port(char port[8], struct otd_err *err)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		  getsockname(fd, (struct sockaddr *)&a, &n) == 0;
	if (!ok)
		otd_fail(err, OTD_E_IO, "no port for the pool: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	snprintf(port, 8, "%u", (unsigned)ntohs(a.sin_port));
	return ok ? OTD_OK : OTD_E_IO;
}

static void word_of(char *to, size_t cap, const struct otd_yaml *map, const char *key)
{
	const struct otd_yaml *y = otd_yaml_get(map, key);
	snprintf(to, cap, "%s", y ? otd_yaml_text(y) : "");
}

/* What stands in the other places: sdk/try/use.yaml. */
static otd_rc read_use(struct words *w, struct otd_err *err)
{
	struct otd_yaml_doc *doc = NULL;
	struct otd_bytes text;
	char path[4200];
	otd_bytes_init(&text, OTD_PROJECT_FILE_MAX);
	otd_rc rc = otd_sdk_where(path, sizeof(path), "try/use.yaml", err);
	if (rc == OTD_OK)
		rc = otd_project_read(&text, path, err);
	if (rc == OTD_OK)
		rc = otd_yaml_parse(&doc, otd_bytes_cstr(&text), text.len, path, err);
	if (rc == OTD_OK) {
		const struct otd_yaml *map = otd_yaml_root(doc);
		word_of(w->algo, sizeof(w->algo), map, "algo");
		word_of(w->chain, sizeof(w->chain), map, "chain");
		word_of(w->chain_options, sizeof(w->chain_options), map, "chain_options");
		word_of(w->payout, sizeof(w->payout), map, "payout");
		word_of(w->payout_options, sizeof(w->payout_options), map, "payout_options");
		word_of(w->hw, sizeof(w->hw), map, "hw");
	}
	otd_yaml_destroy(doc);
	otd_bytes_finish(&text);
	return rc;
}

/* "{n: 2048}" as ", n: 2048", to stand in a mapping that has begun. */
static otd_rc inner_options(char to[OPTIONS_BYTES], const char *options, struct otd_err *err)
{
	size_t n = options ? strlen(options) : 0;
	*to = '\0';
	if (!options)
		return OTD_OK;
	if (n < 2 || n > OPTIONS_BYTES - 4 || options[0] != '{' || options[n - 1] != '}')
		return otd_fail(err, OTD_E_INVALID, "--options wants a mapping: '{n: 2048}'");
	snprintf(to, OPTIONS_BYTES, ", %.*s", (int)(n - 2), options + 1);
	return OTD_OK;
}

/* The plugin that is tried takes its place. */
static otd_rc take_place(const struct otd_try *t, struct words *w, struct otd_err *err)
{
	const struct {
		const char *kind;
		char *id, *options;
	} places[] = {
		{"algo", w->algo, w->algo_options},
		{"chain", w->chain, w->chain_options},
		{"payout", w->payout, w->payout_options},
		{"hw", w->hw, NULL},
	};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(places[i].kind, t->kind) != 0)
			continue;
		snprintf(places[i].id, 32, "%s", t->id);
		if (places[i].options)
			return inner_options(places[i].options, t->options, err);
		return t->options ? otd_fail(err, OTD_E_UNSUPPORTED,
					     "--options: kind %s takes none here", t->kind)
				  : OTD_OK;
	}
	return otd_fail(err, OTD_E_UNSUPPORTED,
			"%s: kind %s cannot be tried alone; algo, payout, chain and hw can",
			t->file, t->kind);
}

static otd_rc write_config(const struct otd_try *t, const struct otd_project *p, const char *name,
			   const char *to, struct otd_err *err)
{
	struct otd_bytes text, once, out;
	char path[4300], what[64];
	FILE *f = NULL;
	otd_bytes_init(&text, OTD_PROJECT_FILE_MAX);
	otd_bytes_init(&once, OTD_PROJECT_FILE_MAX);
	otd_bytes_init(&out, OTD_PROJECT_FILE_MAX);
	snprintf(what, sizeof(what), "try/%s", name);
	otd_rc rc = otd_sdk_where(path, sizeof(path), what, err);
	if (rc == OTD_OK)
		rc = otd_project_read(&text, path, err);
	if (rc == OTD_OK)
		rc = otd_project_swap(&once, p, otd_bytes_cstr(&text));
	if (rc == OTD_OK) /* options name the bits */
		rc = otd_project_swap(&out, p, otd_bytes_cstr(&once));
	snprintf(path, sizeof(path), "%s/%s", t->folder, to);
	if (rc == OTD_OK && (f = fopen(path, "wxe")) == NULL)
		rc = otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	if (f && fwrite(out.ptr, 1, out.len, f) != out.len)
		rc = otd_fail(err, OTD_E_IO, "%s: cannot be written", path);
	if (f && fclose(f) != 0 && rc == OTD_OK)
		rc = otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	otd_bytes_finish(&text);
	otd_bytes_finish(&once);
	otd_bytes_finish(&out);
	return rc;
}

static otd_rc write_configs(const struct otd_try *t, const struct words *w, const char *plugins,
			    struct otd_err *err)
{
	const struct otd_project p = {
		.swap = {{"@DIR@", t->folder},
			 {"@PLUGINS@", plugins},
			 {"@ALGO@", w->algo},
			 {"@ALGO_OPTIONS@", w->algo_options},
			 {"@CHAIN@", w->chain},
			 {"@CHAIN_OPTIONS@", w->chain_options},
			 {"@PAYOUT@", w->payout},
			 {"@PAYOUT_OPTIONS@", w->payout_options},
			 {"@HW@", w->hw},
			 {"@PORT@", w->port},
			 {"@SHARE@", w->share},
			 {"@SHARE_MIN@", w->share_min},
			 {"@BITS@", w->bits}},
		.n_swap = 13,
	};
	otd_rc rc = write_config(t, &p, "pool.yaml", "pool.yaml", err);
	return rc ? rc : write_config(t, &p, "coins/try.yaml", "coins/try.yaml", err);
}

static otd_rc make_folder(struct otd_try *t, struct otd_err *err)
{
	const char *tmp = getenv("TMPDIR");
	if (!tmp || tmp[0] != '/' || strlen(tmp) > 60 || strpbrk(tmp, "\"\\"))
		tmp = "/tmp";
	snprintf(t->folder, sizeof(t->folder), "%s/otedama-try-XXXXXX", tmp);
	if (mkdtemp(t->folder)) {
		snprintf(t->config, sizeof(t->config), "%s/pool.yaml", t->folder);
		return OTD_OK;
	}
	t->folder[0] = '\0';
	return otd_fail(err, OTD_E_IO, "no temporary folder below %s: %s", tmp, strerror(errno));
}

static otd_rc read_note(struct otd_try *t, struct otd_err *err)
{
	struct otd_note_desc note;
	struct otd_tool tool;
	otd_rc rc = otd_tool_init(&tool, NULL, err);
	if (rc != OTD_OK)
		return rc;
	rc = otd_plugin_read_note(&note, tool.env, t->file, err);
	if (rc == OTD_OK) {
		snprintf(t->kind, sizeof(t->kind), "%.*s", (int)strcspn(note.kind, "/"), note.kind);
		snprintf(t->id, sizeof(t->id), "%s", note.id);
	}
	otd_tool_finish(&tool);
	return rc;
}

otd_rc otd_try_make(struct otd_try *t, struct otd_err *err)
{
	struct otd_plugin_dirs dirs;
	struct words w = {0};
	t->folder[0] = '\0';
	otd_plugin_dirs_default(&dirs);
	otd_rc rc = read_note(t, err);
	if (rc == OTD_OK)
		rc = read_use(&w, err);
	if (rc == OTD_OK)
		rc = take_place(t, &w, err);
	if (rc == OTD_OK)
		rc = measure(t, &w, err);
	if (rc == OTD_OK)
		rc = free_port(w.port, err);
	if (rc == OTD_OK)
		rc = make_folder(t, err);
	if (rc == OTD_OK)
		rc = copy_plugin(t, err);
	if (rc == OTD_OK)
		rc = write_configs(t, &w, dirs.dir[0], err);
	if (rc != OTD_OK)
		otd_try_remove(t);
	return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	(void)!remove(path);
	return 0;
}

void otd_try_remove(struct otd_try *t)
{
	/* Links are removed, not followed. */
	if (t->folder[0])
		(void)!nftw(t->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	t->folder[0] = '\0';
}
