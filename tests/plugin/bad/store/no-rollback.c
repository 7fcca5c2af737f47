/* A database in memory that knows four statements, and takes nothing back. */
#include <otedama/store.h>
#include <string.h>

enum { ROWS = 256, COLUMNS = 4, TEXT = 64 };

OTD_PLUGIN_NOTE("store/1", BAD_ID);

struct row {
	struct otd_value column[COLUMNS];
	uint8_t bytes[COLUMNS][TEXT];
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	struct row row[ROWS];
	size_t n;
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	(void)options;
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (in)
		in->core->free(in->host, in);
}

static otd_rc nothing(struct otd_instance *in)
{
	(void)in;
	return OTD_OK;
}

static void no_more(struct otd_instance *in)
{
	(void)in;
}

static otd_rc insert(struct otd_instance *in, const struct otd_value *values, size_t stride,
		     size_t n)
{
	struct row *r = &in->row[in->n];
	if (n != COLUMNS)
		return OTD_E_INVALID;
	if (in->n == ROWS)
		return OTD_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct otd_value *v = (const void *)((const uint8_t *)values + i * stride);
		size_t len = v->bytes.len < TEXT ? v->bytes.len : TEXT;
		r->column[i] = *v;
		if (len)
			memcpy(r->bytes[i], v->bytes.ptr, len);
		r->column[i].bytes = (struct otd_span){r->bytes[i], len};
	}
	in->n++;
	return OTD_OK;
}

static otd_rc exec(struct otd_instance *in, const char *sql, const struct otd_value *values,
		   size_t stride, size_t n, int64_t *changed, int64_t *last_key)
{
	(void)changed;
	(void)last_key;
	if (strncmp(sql, "INSERT", 6) == 0)
		return insert(in, values, stride, n);
	if (strncmp(sql, "DELETE", 6) == 0)
		in->n = 0;
	else if (strncmp(sql, "CREATE", 6) != 0 && strncmp(sql, "DROP", 4) != 0)
		return OTD_E_INVALID;
	return OTD_OK;
}

static otd_rc query(struct otd_instance *in, const char *sql, const struct otd_value *values,
		    size_t stride, size_t n, const uint32_t *wants, size_t n_wants, otd_row_fn row,
		    void *ctx)
{
	otd_rc rc = OTD_OK;
	(void)sql;
	(void)values;
	(void)stride;
	(void)n;
	(void)wants;
	for (size_t i = 0; !rc && i < in->n; i++)
		rc = row(ctx, in->row[i].column, n_wants);
	return rc;
}

static const struct otd_base_ops base = {
	.size = sizeof(base), .create = create, .destroy = destroy};
static const struct otd_store_ops ops = {.size = sizeof(ops),
					 .open = nothing,
					 .close = no_more,
					 .begin = nothing,
					 .commit = nothing,
					 .rollback = no_more,
					 .exec = exec,
					 .query = query};
static const struct otd_plugin_desc desc = {.size = sizeof(desc),
					    .abi_major = OTD_ABI_MAJOR,
					    .abi_minor = OTD_ABI_MINOR,
					    .kind = "store/1",
					    .id = BAD_ID,
					    .version = "0.0.1",
					    .license = "MIT",
					    .build = "C " __VERSION__,
					    .summary = "For a test",
					    .option_size = sizeof(struct otd_option),
					    .base = &base,
					    .ops.store = &ops};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
