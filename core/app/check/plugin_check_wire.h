/* What a check's child writes: lines of a mark and a text. */
#ifndef OTD_APP_PLUGIN_CHECK_WIRE_H
#define OTD_APP_PLUGIN_CHECK_WIRE_H

#define OTD_PCHECK_IN_CHILD    "--in-child" /* STAGE FILE [OPTIONS] behind it: not for people */
#define OTD_PCHECK_LINE        600
#define OTD_PCHECK_MEMORY      ((uint64_t)16 << 30) /* bytes of a child's address space */
#define OTD_PCHECK_MARK_AT     '@'
#define OTD_PCHECK_MARK_OK     'o'
#define OTD_PCHECK_MARK_SKIP   's'
#define OTD_PCHECK_MARK_WARN   'w'
#define OTD_PCHECK_MARK_FAIL   'F'
#define OTD_PCHECK_MARK_FIGURE '='
#define OTD_PCHECK_MARK_USABLE '+'
#define OTD_PCHECK_MARK_END    '.'

#endif
