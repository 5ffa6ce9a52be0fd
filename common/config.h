/* The configuration file: sections of `key = value`. Its options are the rows of config_rows.h. */
#ifndef RELAY_COMMON_CONFIG_H
#define RELAY_COMMON_CONFIG_H

#include "common/address.h"
#include "common/buffer.h"
#include "common/config_rows.h"
#include "common/errtext.h"
#include "common/log.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_MAX ((size_t)256 << 10)
#define CONFIG_TEXT_MAX 1024 /* of one value */
#define CONFIG_USERS_MAX 16
#define CONFIG_STICKY_MAX 32   /* conversation headers */
#define CONFIG_ORIGINS_MAX 32  /* of [cors] */
#define CONFIG_BAD_KEYS_MAX 64 /* of one address that are told apart */

struct config_text {
	char s[CONFIG_TEXT_MAX];
};

enum config_type {
	CONFIG_TEXT,	 /* struct config_text */
	CONFIG_SECRET,	 /* the same, masked when printed */
	CONFIG_PATH,	 /* absolute, or empty */
	CONFIG_LEVEL,	 /* enum log_level */
	CONFIG_REQUESTS, /* enum log_requests */
	CONFIG_NUMBER,	 /* uint64_t */
	CONFIG_SIZE,	 /* uint64_t bytes */
	CONFIG_DURATION, /* uint64_t milliseconds */
};

#define CONFIG_FIELD_TEXT struct config_text
#define CONFIG_FIELD_SECRET struct config_text
#define CONFIG_FIELD_PATH struct config_text
#define CONFIG_FIELD_LEVEL enum log_level
#define CONFIG_FIELD_REQUESTS enum log_requests
#define CONFIG_FIELD_NUMBER uint64_t
#define CONFIG_FIELD_SIZE uint64_t
#define CONFIG_FIELD_DURATION uint64_t

/* A field for each row of config_rows.h. Lists are comma-separated text. */
struct config {
#define X(section, key, field, type, range, fallback, when, help) CONFIG_FIELD_##type field;
	CONFIG_ROWS(X)
#undef X
};

struct config_row {
	const char *section;
	const char *key;
	enum config_type type;
	struct {
		uint64_t min, max; /* of a duration in ms; max 0: whatever the type holds */
	} range;
	size_t offset; /* into struct config */
	const char *fallback;
	bool reloadable;
	const char *help;
};

enum {
#define X(section, key, field, type, range, fallback, when, help) +1
	CONFIG_ROW_COUNT = 0 CONFIG_ROWS(X)
#undef X
};

extern const struct config_row config_rows[CONFIG_ROW_COUNT];

/* All defaults. */
void config_init(struct config *c);
/*
 * Reads `text` over the defaults. `name` is the file's name for messages. ${NAME} is replaced from the
 * environment; an unset name is an error. 0, or -EINVAL with "FILE:LINE: what is wrong".
 * Checks across options too (a TCP listener needs a secret, ...).
 */
int config_parse(struct config *c, const char *name, struct slice text, struct errtext *e);
int config_load(struct config *c, const char *path, struct errtext *e);

/* Every option with its value, default, whether a reload applies it, and what it does; secrets masked. */
void config_print(const struct config *c, struct buffer *out);
/* What a value looks like, as "a duration such as 250ms, 10s, 5m, 24h, 30d". */
void config_expected(const struct config_row *row, struct buffer *out);
/* "1 to 4", "100ms to 1m": of a row with a range, or of a number. */
void config_range(const struct config_row *row, struct buffer *out);
/* Names of options that differ and that only a restart can change, comma-separated, into `out`. */
void config_needs_restart(const struct config *old, const struct config *new, struct buffer *out);

/* Takes over from `fresh` what a reload can change. */
void config_reload(struct config *c, const struct config *fresh);

/* Derived values. Counts, or a negative errno that config_parse() has excluded. */
int config_spop_listeners(const struct config *c, struct address out[ADDRESS_LIST_MAX]);
bool config_spop_has_tcp(const struct config *c);
/* STATE_DIR/NAME; -ENAMETOOLONG */
int config_state_path(const struct config *c, const char *name, char *out, size_t size);

#endif
