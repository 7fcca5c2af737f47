/* Inside of the settings. */
#ifndef OTD_CONFIG_SETTINGS_OWN_H
#define OTD_CONFIG_SETTINGS_OWN_H

#include "config/read.h"

/* What the settings are made of; given back with them. */
struct otd_settings_own {
	struct otd_yaml_doc extra;  /* memory of everything */
	struct otd_yaml_doc **docs; /* coin files */
	size_t n_docs;
	struct otd_faulty faulty;
	struct otd_settings_coin_doc *given; /* while it is made of documents */
	size_t n_given;
};

/* A coin's file that is read already. */
struct otd_settings_coin_doc {
	const char *id;
	struct otd_yaml_doc *doc; /* NULL once it was taken */
};

/* As otd_settings_load(), of documents instead of files; takes *main_doc and those of coins, which are
   set to NULL. Coins that are not among them are read from their files. */
otd_rc otd_settings_from_docs(struct otd_settings **out, struct otd_env *e,
			      struct otd_yaml_doc **main_doc, struct otd_settings_coin_doc *coins,
			      size_t n_coins, struct otd_err *err);

/* A node in one line, as `config print` shows it. */
otd_rc otd_settings_print_value(const struct otd_yaml *y, bool secret, struct otd_bytes *out);
/* Names under which plugins keep what must not be shown. */
bool otd_settings_sounds_secret(const char *key);

/* Path of an entry, for otd_read_problem(); leave by otd_read_leave(). */
size_t otd_settings_enter(struct otd_reading *r, const char *section, const char *name);

/* Loads the coin files that nodes and pools name. */
void otd_settings_coins(struct otd_reading *r, struct otd_settings *s);
/* Fills what follows from other keys, then looks at what one key cannot show. */
void otd_settings_derive(struct otd_reading *r, struct otd_settings *s);
void otd_settings_check(struct otd_reading *r, const struct otd_settings *s);
/* Both for the payments of one pool, whose coin and nodes are known. */
void otd_settings_payments(struct otd_reading *r, const struct otd_settings *s,
			   struct otd_settings_pool *p);

#endif
