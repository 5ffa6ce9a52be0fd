/* The rows of the configuration file; see config.h. Included by config*.c only. */
#ifndef RELAY_COMMON_CONFIG_ROWS_H
#define RELAY_COMMON_CONFIG_ROWS_H

#include "common/config.h"

enum config_type {
	CONFIG_TEXT,	 /* struct config_text */
	CONFIG_SECRET,	 /* the same, masked when printed */
	CONFIG_PATH,	 /* absolute, or empty */
	CONFIG_LEVEL,	 /* enum log_level */
	CONFIG_NUMBER,	 /* uint64_t */
	CONFIG_SIZE,	 /* uint64_t bytes */
	CONFIG_DURATION, /* uint64_t milliseconds */
};

struct config_row {
	const char *section;
	const char *key;
	enum config_type type;
	size_t offset; /* into struct config */
	const char *fallback;
	bool reloadable;
	const char *help;
};

extern const struct config_row config_rows[];
extern const size_t config_row_count;

#endif
