/* An algorithm's project from the author's own function: plugin new --from x.c --vector HEADER=HASH. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/cmd/cmd_plugin_new.h"
#include "base/text.h"

#define HEADER_MAX 4096

/* Names of the template: the author's files may not have them. */
static bool is_taken(const char *name)
{
	static const char *const taken[] = {"plugin.c", "hash.c", "hash.h", "vectors.h", "test.c"};
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (strcmp(name, taken[i]) == 0)
			return true;
	}
	return false;
}

/* A name without a path, of letters that no shell and no make minds, that ends so. */
static bool is_plain(const char *name, size_t n, const char *end)
{
	size_t n_end = strlen(end);
	if (n <= n_end || n >= 60 || memcmp(name + n - n_end, end, n_end) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && (!strchr("._-", name[i]) || !name[i]))
			return false;
	}
	return true;
}

/* The file's own name, which it keeps. */
static otd_rc name_of(char name[64], const char *path, struct otd_err *err)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	if (!is_plain(base, strlen(base), ".c"))
		return otd_fail(err, OTD_E_INVALID,
				"--from %s: wants a file of C named like my-hash.c (letters, "
				"digits, '_', '-', '.')",
				path);
	if (is_taken(base))
		return otd_fail(err, OTD_E_EXISTS,
				"--from %s: the project has a %s of its own; rename yours", path,
				base);
	snprintf(name, 64, "%s", base);
	return OTD_OK;
}

static struct otd_bytes *add_file(struct otd_project *p, const char *name)
{
	struct otd_project_file *f = &p->file[p->n_file++];
	snprintf(f->name, sizeof(f->name), "%s", name);
	otd_bytes_init(&f->text, 2 * OTD_PROJECT_FILE_MAX);
	return &f->text;
}

/* HEADER=HASH, both hex; all headers have one length. */
static otd_rc check_vector(size_t *header_len, const char *word, struct otd_err *err)
{
	uint8_t header[HEADER_MAX], hash[32];
	const char *equals = strchr(word, '=');
	size_t n = 0, n_hash = 0;
	if (!equals || otd_hex_decode(header, sizeof(header), &n, word, (size_t)(equals - word)) ||
	    n < 8)
		return otd_fail(err, OTD_E_INVALID,
				"--vector %.24s..: wants HEADER=HASH; HEADER is the header as "
				"bytes, in hex, of 8 to %d bytes",
				word, HEADER_MAX);
	if (otd_hex_decode(hash, 32, &n_hash, equals + 1, strlen(equals + 1)) || n_hash != 32)
		return otd_fail(err, OTD_E_INVALID,
				"--vector %.24s..: its hash has %zu digits, not 64 of hex", word,
				strlen(equals + 1));
	if (*header_len && *header_len != n)
		return otd_fail(
			err, OTD_E_INVALID,
			"--vector %.24s..: a header of %zu bytes, the one before has %zu; an "
			"algorithm has one length",
			word, n, *header_len);
	*header_len = n;
	return OTD_OK;
}

/* As a C string: what would end it goes. */
static otd_rc add_c_string(struct otd_bytes *out, const char *s)
{
	otd_rc rc = otd_bytes_text(out, "\"");
	for (; rc == OTD_OK && *s; s++) {
		char c = (unsigned char)*s < ' ' || *s == '"' || *s == '\\' ? ' ' : *s;
		rc = otd_bytes_add(out, &c, 1);
	}
	return rc ? rc : otd_bytes_text(out, "\"");
}

static otd_rc add_vector(struct otd_bytes *out, const char *word, const char *source)
{
	size_t n = strcspn(word, "=");
	otd_rc rc = otd_bytes_text(out, "\t{\n\t\t.header = ");
	for (size_t at = 0; rc == OTD_OK && at < n; at += 64)
		rc = otd_bytes_format(out, "%s\"%.*s\"", at ? "\n\t\t\t  " : "",
				      (int)(n - at < 64 ? n - at : 64), word + at);
	if (rc == OTD_OK)
		rc = otd_bytes_format(out, ",\n\t\t.hash = \"%s\",\n\t\t.source = ", word + n + 1);
	if (rc == OTD_OK)
		rc = add_c_string(out, source);
	return rc ? rc : otd_bytes_text(out, ",\n\t},\n");
}

static otd_rc make_vectors(struct otd_project *p, const struct otd_project_from *from,
			   struct otd_err *err)
{
	const char *source = from->source ? from->source : "given to 'otedama plugin new'";
	struct otd_bytes *out;
	size_t len = 0;
	otd_rc rc = OTD_OK;
	if (from->vectors.n == 0)
		return otd_fail(err, OTD_E_INVALID,
				"--from wants at least one --vector HEADER=HASH: an algorithm "
				"without a known answer is refused by every pool");
	for (size_t i = 0; rc == OTD_OK && i < from->vectors.n; i++)
		rc = check_vector(&len, from->vectors.item[i], err);
	if (rc != OTD_OK)
		return rc;
	out = add_file(p, "vectors.h");
	rc = otd_bytes_text(
		out, "/*\n * Known answers. The host hashes them each time it loads the plugin, "
		     "and refuses it where one is\n * wrong. header and hash are hex; hash is as "
		     "people write it, most significant digit first. Say in\n * .source where each "
		     "comes from. At least one should be a block of a real chain "
		     "(.real_block = 1).\n */\n"
		     "#ifndef VECTORS_H\n#define VECTORS_H\n\n#include <otedama/algo.h>\n\n"
		     "static const struct otd_algo_vector vectors[] = {\n");
	for (size_t i = 0; rc == OTD_OK && i < from->vectors.n; i++)
		rc = add_vector(out, from->vectors.item[i], source);
	if (rc == OTD_OK)
		rc = otd_bytes_text(out, "};\n\n#endif\n");
	if (rc != OTD_OK)
		return otd_fail(err, rc, "the known answers are too long");
	/* Bitcoin's place for 80 bytes; elsewhere the end, which is as good a guess as any. */
	snprintf(p->header_len, sizeof(p->header_len), "HEADER_LEN = %zu", len);
	snprintf(p->nonce_offset, sizeof(p->nonce_offset), "NONCE_OFFSET = %zu", len - 4);
	p->swap[p->n_swap++] = (struct otd_project_swap){"HEADER_LEN = 80", p->header_len};
	p->swap[p->n_swap++] = (struct otd_project_swap){"NONCE_OFFSET = 76", p->nonce_offset};
	return OTD_OK;
}

static bool has_file(const struct otd_project *p, const char *name)
{
	for (size_t i = 0; i < p->n_file; i++) {
		if (strcmp(p->file[i].name, name) == 0)
			return true;
	}
	return false;
}

/* The header of that name in the folder of path, where there is one; else the compiler finds it, or says so. */
static otd_rc add_header(struct otd_project *p, const char *path, const char *name,
			 struct otd_err *err)
{
	const char *slash = strrchr(path, '/');
	char beside[4200];
	int n = snprintf(beside, sizeof(beside), "%.*s%s", slash ? (int)(slash + 1 - path) : 0,
			 path, name);
	if (n < 0 || n >= (int)sizeof(beside) || access(beside, R_OK) != 0 || has_file(p, name))
		return OTD_OK;
	if (is_taken(name))
		return otd_fail(err, OTD_E_EXISTS,
				"--from %s: includes %s, and the project has one of its own; "
				"rename yours",
				path, name);
	if (p->n_file == OTD_PROJECT_FILES)
		return otd_fail(err, OTD_E_RANGE, "--from %s: includes more than %d headers", path,
				OTD_PROJECT_FILES - 3);
	return otd_project_read(add_file(p, name), beside, err);
}

/* What #include "name.h" names in this text. */
static otd_rc add_headers(struct otd_project *p, const char *path, const char *text,
			  struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (const char *line = text; rc == OTD_OK && line; line = strchr(line, '\n')) {
		char name[64];
		line += strspn(line, " \t\r\n");
		if (*line != '#')
			continue;
		const char *at = line + 1 + strspn(line + 1, " \t");
		if (strncmp(at, "include", 7) != 0)
			continue;
		at += 7 + strspn(at + 7, " \t");
		size_t n = *at == '"' ? strcspn(at + 1, "\"\n") : 0;
		if (!is_plain(at + 1, n, ".h"))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)n, at + 1);
		rc = add_header(p, path, name, err);
	}
	return rc;
}

static otd_rc make_call(struct otd_project *p, const char *name, const struct otd_c_function *f,
			struct otd_err *err)
{
	struct otd_bytes *out = add_file(p, "hash.c");
	otd_rc rc = otd_bytes_format(out,
				     "/* hash() by the function of %s. */\n#include \"hash.h\"\n\n"
				     "#include <stdint.h>\n\n%s;\n\n"
				     "void hash(const void *in, size_t len, void *out)\n{\n",
				     name, f->prototype);
	if (rc == OTD_OK && !strchr(f->order, 'l'))
		rc = otd_bytes_text(out, "\t(void)len; /* it knows how long a header is */\n");
	if (rc == OTD_OK)
		rc = otd_bytes_format(out, "\t%s(", f->name);
	for (size_t i = 0; rc == OTD_OK && f->order[i]; i++)
		rc = otd_bytes_format(out, "%s%s", i ? ", " : "",
				      f->order[i] == 'i'   ? "in"
				      : f->order[i] == 'o' ? "out"
							   : "len");
	if (rc == OTD_OK)
		rc = otd_bytes_text(out, ");\n}\n");
	return rc ? otd_fail(err, rc, "hash.c: too long") : OTD_OK;
}

otd_rc otd_project_from(struct otd_project *p, const struct otd_project_from *from,
			struct otd_err *err)
{
	struct otd_c_function f;
	char name[64];
	otd_rc rc = make_vectors(p, from, err);
	if (rc == OTD_OK)
		rc = name_of(name, from->path, err);
	if (rc == OTD_OK)
		rc = otd_project_read(add_file(p, name), from->path, err);
	if (rc != OTD_OK)
		return rc;
	size_t at = p->n_file - 1;
	struct otd_bytes *source = &p->file[at].text;
	rc = otd_c_function_find(&f, otd_bytes_cstr(source), source->len, from->function, err);
	if (rc != OTD_OK)
		return otd_fail_prefix(err, "--from %s", from->path);
	rc = make_call(p, name, &f, err);
	/* Headers include headers: the list grows while it is gone through. */
	for (; rc == OTD_OK && at < p->n_file; at++)
		rc = add_headers(p, from->path, otd_bytes_cstr(&p->file[at].text), err);
	snprintf(p->more, sizeof(p->more), " %s", name);
	return rc;
}
