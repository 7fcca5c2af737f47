/* Settings as bytes, for another process of the same program that is to run with what is in force here. */
#ifndef OTD_CONFIG_SETTINGS_IMAGE_H
#define OTD_CONFIG_SETTINGS_IMAGE_H

#include "base/bytes.h"
#include "config/settings.h"

/*
 * The documents that s was made of, as they stand now: --set, ${NAME} and what a reload has put back are in
 * them; what "file:" names is not, and is read again. Secrets are in clear: for memory alone. out->failed tells
 * of a lack of it. [any-thread]
 */
void otd_settings_pack(struct otd_bytes *out, const struct otd_settings *s);
/* Reads neither the file nor coin files. OTD_E_CORRUPT: it is no such image. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_settings_unpack(struct otd_settings **out, struct otd_env *e,
					   struct otd_span image, struct otd_err *err);

#endif
