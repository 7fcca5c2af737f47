/*
 * The members of hooks.h as tables: from them a Lua table is made of what goes in, an answer is read, and
 * both are written as JSON and read back. Inside of policy.
 */
#ifndef OTD_POLICY_FIELDS_H
#define OTD_POLICY_FIELDS_H

#include "base/bytes.h"
#include "policy/hooks.h"
#include <lua.h>

enum field_type {
	FIELD_TEXT = 1, /* const char *; NULL is left out */
	FIELD_CHARS,    /* char[size] */
	FIELD_INT,      /* int64_t */
	FIELD_BOOL,
	FIELD_MONEY,  /* otd_i128 of the struct's asset */
	FIELD_WORK,   /* otd_u128; Lua sees it divided by `seconds` */
	FIELD_TARGET, /* struct otd_u256; Lua sees a difficulty; zero is left out */
	FIELD_CHOICE, /* an enum; words, the first of them for the value `first` */
	FIELD_FLAG,   /* bool; words[0] for false, words[1] for true */
	FIELD_LIST,   /* pointer to structs of sub, and a size_t at count_at */
	FIELD_ARRAY,  /* the same in place */
	FIELD_OWN     /* read and written by `own` */
};

#define NO_FIELD SIZE_MAX

struct fields;

struct field {
	const char *name; /* in JSON */
	const char *lua;  /* in Lua; NULL: the same; "": not at all */
	enum field_type type;
	size_t offset;
	size_t size; /* CHARS */
	const char *const *words;
	int first;
	int64_t seconds;
	const struct fields *sub;
	size_t count_at;
	size_t max; /* items */
	/* of answers */
	bool has_flag;
	size_t has_at;     /* bool: the script said it */
	int64_t low, high; /* INT: clamped */
	size_t high_at; /* of the input: int64_t that is the upper bound where it is not 0; 0: none */
	/* Reads the value on top of the stack; raises. */
	void (*own)(lua_State *L, void *out, const void *in);
	otd_rc (*own_json)(struct otd_bytes *to, const void *out, const void *in);
};

struct fields {
	const struct field *field;
	size_t n, size;
	size_t asset_at, diff1_at, min_at, max_at; /* NO_FIELD: it has none */
};

struct otd_policy_hook_info {
	unsigned side; /* enum otd_policy_side */
	bool tells;    /* all scripts are told, nothing comes back */
	size_t pool_at;
	struct fields in, out;
	/* What comes out where no script answers, and where one fails; NULL: zeros. */
	void (*host)(void *out, const void *in);
	void (*fallback)(void *out, const void *in);
	/* Whether the answer is adverse, and so needs a reason; raises where it makes no sense. */
	bool (*adverse)(lua_State *L, void *out, const void *in);
};

extern const struct otd_policy_hook_info otd_policy_hook_info[OTD_HOOKS];

/* Pushes a table. asset: of the outer struct, -1: none. */
void otd_policy_push_fields(lua_State *L, const struct fields *f, const void *in, int asset);
/* Reads the table at i into out, which holds the host's answer; raises. */
void otd_policy_read_answer(lua_State *L, int i, enum otd_policy_hook h, void *out, const void *in);
/* The members with commas between and no braces. */
otd_rc otd_policy_fields_json(struct otd_bytes *to, const struct fields *f, const void *in,
			      const void *outer);
const char *otd_policy_from_name(enum otd_policy_from f);

#endif
