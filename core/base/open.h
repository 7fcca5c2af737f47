/* How the host's own files are opened, beside enum otd_open_flag of otedama/files.h. */
#ifndef OTD_BASE_OPEN_H
#define OTD_BASE_OPEN_H

#define OTD_OPEN_PRIVATE (1u << 16) /* with CREATE: mode 0600 */

#endif
