/*
 * The commands of relayadm, each as one row. relayadm's parser, help, tables, man page and completion
 * come from the rows, and so do the server's routing and its check of every body. A row also has the
 * authority that its command needs.
 */
#ifndef RELAY_ADMIN_COMMAND_COMMAND_H
#define RELAY_ADMIN_COMMAND_COMMAND_H

#include "common/errtext.h"
#include "common/slice.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_SOCKET "/run/spoa-relay/admin.sock"
#define COMMAND_NAME_MAX 63		     /* [a-z0-9][a-z0-9._-]{0,62} */
#define COMMAND_TEXT_MAX 1024		     /* of one plain value */
#define COMMAND_LIST_MAX 1024		     /* values of one list */
#define COMMAND_FILE_MAX ((size_t)256 << 10) /* token, auth.json, CA file */
#define COMMAND_REASON_MAX 256
#define COMMAND_MEMBERS_MAX 512 /* accounts of one pool */
#define COMMAND_BODY_MAX ((size_t)1 << 20)
#define COMMAND_DOCUMENT_MAX ((size_t)16 << 20) /* apply */
#define COMMAND_JSON_DEPTH 16
#define COMMAND_DURATION_MAX_MS ((uint64_t)3660 * 86400 * 1000)

enum command_type {
	COMMAND_TEXT,	  /* string */
	COMMAND_NAME,	  /* string, a name (command_name_is_valid); "" clears */
	COMMAND_NAMES,	  /* a,b,c -> array of names */
	COMMAND_NUMBER,	  /* number, 0..max */
	COMMAND_SHARE,	  /* number, 0..1 with a fraction */
	COMMAND_DURATION, /* string, as the user wrote it: 30d; or one of `choices` */
	COMMAND_FLAG,	  /* no value -> true */
	COMMAND_SWITCH,	  /* on|off -> bool */
	COMMAND_CHOICE,	  /* string, one of `choices` */
	COMMAND_NETWORK,  /* string, CIDR */
	COMMAND_NETWORKS, /* CIDR,... -> array of strings */
	COMMAND_SPAN,	  /* string, two durations: 500ms-3s; "" clears */
	COMMAND_REQUEST,  /* string, the id of a request */
	COMMAND_HEADERS,  /* 'Name: value', repeatable -> object */
	COMMAND_TEXTS,	  /* repeatable -> array of strings */
	COMMAND_PATH,	  /* string; relayadm makes it absolute */
	COMMAND_CONTENT,  /* path of a file -> its content, a string */
	COMMAND_STDIN,	  /* no value -> the standard input, a string */
	COMMAND_ORIGIN,	  /* no value -> absolute path of the credential file */
	COMMAND_DOCUMENT, /* path of a JSON file or "-", which is the whole body */
	COMMAND_OUTPUT,	  /* path of a new file that takes the answer; not sent */
};

/* Judges a text that ends with a NUL. 0, or -EINVAL with what is wrong; the caller names the option. */
typedef int command_form_fn(struct slice text, struct errtext *e);

struct command_option {
	const char *name;    /* without dashes; NULL ends the rows */
	const char *field;   /* in JSON; NULL = `name` with _ for - */
	const char *metavar; /* NULL for flags */
	enum command_type type;
	bool required;
	bool clearable; /* an empty value clears the option */
	char group; /* options of one letter exclude each other; an upper-case letter: one is required */
	uint64_t min; /* COMMAND_NUMBER, COMMAND_DURATION (ms) */
	uint64_t
		max; /* the same and COMMAND_SPAN; bytes of a text, values of a list; 0 = the type's own */
	const char *choices;   /* a|b|c */
	const char *needs;     /* options that must be given too: a|b */
	command_form_fn *form; /* of a text, of each text of a list and of a path; NULL = any */
	const char *help;
};

/* A value without dashes: in the URL's path (field NULL), or in the body. */
struct command_argument {
	const char *metavar; /* NULL ends the rows */
	const char *field;
	enum command_type type;
	bool repeats;  /* takes all remaining values; type COMMAND_NAMES */
	bool optional; /* only the last argument may be */
	uint64_t max;  /* values of a list; 0 = the type's own */
	const char *choices;
};

enum command_kind {
	COLUMN_PLAIN,
	COLUMN_LIMIT, /* 0 is shown as - */
	COLUMN_MS,    /* a number of milliseconds; negative is - */
	COLUMN_BYTES,
	COLUMN_SPAN,  /* seconds as 4m 30s */
	COLUMN_STATE, /* a word, or a number of usable things: coloured when something is wrong */
};

struct command_column {
	const char *field; /* NULL ends the rows */
	const char *title;
	enum command_kind kind;
};

enum command_authority {
	AUTHORITY_READ,	 /* may see the configuration, no secrets */
	AUTHORITY_ADMIN, /* may change everything */
};

enum command_answer {
	ANSWER_NONE,   /* one line about what was done */
	ANSWER_LIST,   /* {"items":[...]}, as a table; `failed` is an error message */
	ANSWER_PAGES,  /* a list with `next`, a number or null: relayadm asks for the other pages */
	ANSWER_OBJECT, /* key: value lines */
	ANSWER_STATUS, /* a screen with sections */
	ANSWER_TOKEN,  /* the new token alone */
	ANSWER_JSON,   /* JSON always */
	ANSWER_CHANGES,
	ANSWER_NAMES, /* {"items":["a",...]}, a line each */
	ANSWER_FILE,  /* bytes, into the COMMAND_OUTPUT argument */
};

#define COMMAND_ARGUMENTS_MAX 2
#define COMMAND_COLUMNS_MAX 16

/* Every command of control: its id, and the function of admin/api that serves it. The rows are in this order. */
#define COMMAND_IDS(X)                                                                             \
	X(TENANTS_ADD, tenants_add)                                                                \
	X(TENANTS_SET, tenants_set)                                                                \
	X(TENANTS_LIST, tenants_list)                                                              \
	X(TENANTS_SHOW, tenants_show)                                                              \
	X(TENANTS_ENABLE, tenants_enable)                                                          \
	X(TENANTS_DISABLE, tenants_disable)                                                        \
	X(TENANTS_DEL, tenants_del)                                                                \
	X(TOKENS_ISSUE, tokens_issue)                                                              \
	X(TOKENS_LIST, tokens_list)                                                                \
	X(TOKENS_SHOW, tokens_show)                                                                \
	X(TOKENS_REVOKE, tokens_revoke)                                                            \
	X(TOKENS_ROTATE, tokens_rotate)                                                            \
	X(TOKENS_DEL, tokens_del)                                                                  \
	X(UPSTREAMS_ADD, upstreams_add)                                                            \
	X(UPSTREAMS_SET, upstreams_set)                                                            \
	X(UPSTREAMS_LIST, upstreams_list)                                                          \
	X(UPSTREAMS_SHOW, upstreams_show)                                                          \
	X(UPSTREAMS_DEL, upstreams_del)                                                            \
	X(EGRESS_ADD, egress_add)                                                                  \
	X(EGRESS_SET, egress_set)                                                                  \
	X(EGRESS_LIST, egress_list)                                                                \
	X(EGRESS_SHOW, egress_show)                                                                \
	X(EGRESS_DEL, egress_del)                                                                  \
	X(EGRESS_CHECK, egress_check)                                                              \
	X(EGRESS_SUSPEND, egress_suspend)                                                          \
	X(EGRESS_RESUME, egress_resume)                                                            \
	X(ACCOUNTS_ADD, accounts_add)                                                              \
	X(ACCOUNTS_SET, accounts_set)                                                              \
	X(ACCOUNTS_LIST, accounts_list)                                                            \
	X(ACCOUNTS_SHOW, accounts_show)                                                            \
	X(ACCOUNTS_SUSPEND, accounts_suspend)                                                      \
	X(ACCOUNTS_SUSPEND_RISKY, accounts_suspend_risky)                                          \
	X(ACCOUNTS_RESUME, accounts_resume)                                                        \
	X(ACCOUNTS_RESET, accounts_reset)                                                          \
	X(ACCOUNTS_REFRESH, accounts_refresh)                                                      \
	X(ACCOUNTS_CHECK, accounts_check)                                                          \
	X(ACCOUNTS_DEL, accounts_del)                                                              \
	X(POOLS_ADD, pools_add)                                                                    \
	X(POOLS_REMOVE, pools_remove)                                                              \
	X(POOLS_SET, pools_set)                                                                    \
	X(POOLS_LIST, pools_list)                                                                  \
	X(POOLS_SHOW, pools_show)                                                                  \
	X(POOLS_DEL, pools_del)                                                                    \
	X(BANS_ADD, bans_add)                                                                      \
	X(BANS_LIST, bans_list)                                                                    \
	X(BANS_DEL, bans_del)                                                                      \
	X(SITE_SHOW, site_show)                                                                    \
	X(SITE_ENABLE, site_enable)                                                                \
	X(SITE_DISABLE, site_disable)                                                              \
	X(SITE_SELF_USE, site_self_use)                                                            \
	X(HAPROXY_RENDER, haproxy_render)                                                          \
	X(HAPROXY_OPTIONS, haproxy_options)                                                        \
	X(HAPROXY_OPTIONS_SET, haproxy_options_set)                                                \
	X(HAPROXY_CHECK, haproxy_check)                                                            \
	X(HAPROXY_RELOAD, haproxy_reload)                                                          \
	X(HAPROXY_STATUS, haproxy_status)                                                          \
	X(STATUS, status_show)                                                                     \
	X(REQUESTS_LIST, requests_list)                                                            \
	X(REQUESTS_WHY, requests_why)                                                              \
	X(NOTICES_LIST, notices_list)                                                              \
	X(NOTICES_ACK, notices_ack)                                                                \
	X(VAULT_STATUS, vault_show)                                                                \
	X(VAULT_ROTATE, vault_rotate)                                                              \
	X(NAMES_LIST, names_list)                                                                  \
	X(EXPORT, export_show)                                                                     \
	X(APPLY, apply_document)                                                                   \
	X(BACKUP, backup_make)

enum command_id {
#define X(id, handler) COMMAND_##id,
	COMMAND_IDS(X)
#undef X
		COMMAND_SERVED,		 /* number of the rows that control serves */
	COMMAND_DOCTOR = COMMAND_SERVED, /* relayadm alone */
	COMMAND_COUNT
};

struct command {
	const char *noun;
	const char *verb;   /* NULL: the noun is the whole command */
	const char *method; /* GET, POST, PUT, PATCH, DELETE; NULL: relayadm runs it by itself */
	const char *path;   /* {} is replaced by the first argument; NULL as `method` */
	const char *help;   /* one line, without a full stop */
	struct command_argument arguments[COMMAND_ARGUMENTS_MAX + 1];
	const struct command_option *options;			/* NULL = none */
	struct command_column columns[COMMAND_COLUMNS_MAX + 1]; /* of a list */
	enum command_answer answer;
	enum command_authority authority;
	bool changes; /* one transaction of the store, published to the agent */
};

const struct command *command_row(enum command_id id);
enum command_id command_id(const struct command *c);
/* `verb` NULL finds a noun that is a whole command. NULL when there is none. */
const struct command *command_find(const char *noun, const char *verb);
/*
 * Another form of the same noun and verb, as `accounts suspend --risk-above`: the next row, if it has them.
 * NULL when there is none. command_find() gives the first form.
 */
const struct command *command_next_form(const struct command *c);
bool command_has_noun(const char *noun);
const char *command_noun_help(const char *noun);

/*
 * The row for a method and a path. NULL: `ret_known` tells whether the path has other methods.
 * `ret_name` is the segment in place of {}; it points into `path`.
 */
const struct command *command_route(
	const char *method, struct slice path, struct slice *ret_name, bool *ret_known);

/* --- options, arguments, values (command_value.c) --- */

#define COMMAND_FIELD_SIZE 48
const char *command_option_field(const struct command_option *o, char *out);
const struct command_option *command_option_find(const struct command *c, struct slice name);
bool command_option_takes_value(const struct command_option *o);
bool command_option_repeats(const struct command_option *o);
struct command_option command_argument_option(const struct command_argument *a);
/* The argument or option with this JSON field, as an option row. False when there is none. */
bool command_field_find(const struct command *c, const char *field, struct command_option *ret);

bool command_name_is_valid(struct slice s);
/*
 * Text of the command line or of a query as a JSON value of the option's type, added to `body` under
 * the option's field; repeatable ones are collected. Contents of files are given as `text`. This
 * checks the form only; command_value_check() does the rest. 0 or -EINVAL with the reason.
 */
int command_text_add(
	const struct command_option *o, struct slice text, json_object *body, struct errtext *e);
/* One value of a body against the row's type and bounds. 0 or -EINVAL. */
int command_value_check(const struct command_option *o, json_object *value, struct errtext *e);
/*
 * A whole body: no unknown field, every type right, required ones there, groups kept. 0 or -EINVAL.
 */
int command_body_check(const struct command *c, json_object *body, struct errtext *e);
/* The text in place of {} in the path against its argument's type. 0 or -EINVAL. */
int command_subject_check(const struct command *c, const char *text, struct errtext *e);
/* Only the required fields and groups. */
int command_presence_check(const struct command *c, json_object *body, struct errtext *e);
/* Only the present fields: a part of a document. */
int command_fields_check(const struct command *c, json_object *body, struct errtext *e);

#endif
