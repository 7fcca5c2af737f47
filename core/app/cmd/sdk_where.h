/* Where the SDK's files are: templates of `plugin new`, configurations of `plugin try`. */
#ifndef OTD_APP_SDK_WHERE_H
#define OTD_APP_SDK_WHERE_H

#include "base/err.h"

/*
 * The path of a file or folder of the SDK ("templates/algo"): beside the program in a build folder, then
 * as installed seen from the program's folder (an installation that was moved), then as installed.
 */
otd_rc otd_sdk_where(char *path, size_t cap, const char *what, struct otd_err *err);

#endif
