/*
 * Providers: one row for each kind of upstream, in provider_rows.c. A row holds every difference between
 * providers. No other file names a provider: a new provider takes its row and a test.
 */
#ifndef RELAY_COMMON_PROVIDER_H
#define RELAY_COMMON_PROVIDER_H

#include "common/result.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All lists of texts end with NULL; a NULL list is empty. */

/* --- authentication --- */

/* The header that carries a credential, and a value that is appended to a second header. */
struct provider_auth {
	const char *variable; /* txn.relay.VARIABLE, which the agent sets to the credential */
	const char *header;
	const char *scheme;	   /* before the credential, with its blank; empty = none */
	const char *list_header;   /* a list header, which clients may send as well; NULL = none */
	const char *list_variable; /* txn.relay.VARIABLE, which the agent sets to `list_value` */
	const char *list_value;
};

/* --- shape of errors --- */

/* The rows 400 and 500 also name all statuses of their hundred that have no row. */
struct provider_status {
	int status; /* 0 ends the rows */
	const char *name;
};

/*
 * An error body consists of `open`, the message, a comma, `middle`, the other fields and `close`.
 * HAProxy expands log-format expressions in `open` and `close`.
 */
struct provider_shape {
	const char *name;	  /* between agent and HAProxy */
	const char *const *paths; /* with all paths below them; NULL: the default shape */
	const char *open;
	const char *close;
	/* If the body contains the status: texts before the status, before its name, and after. */
	const char *middle[3];
	const struct provider_status *statuses;
	const char *id_header; /* a further header with the request id; NULL = none */
	const char *sign; /* with `id_header`: only this shape has an `open` with this prefix */
};

/* --- limits --- */

/* A header of a response, and the key of its value in the limits text (result.h). */
struct provider_header {
	const char *key;    /* [a-z0-9]+; NULL ends the rows */
	const char *header; /* lower case */
};

enum provider_field_kind {
	PROVIDER_FIELD_WORD,   /* letters, digits and '_' are kept */
	PROVIDER_FIELD_NUMBER, /* an integer, or the text of a time in small letters */
	PROVIDER_FIELD_SPAN,   /* "34.5s": small letters, digits and '.' are kept */
};

/*
 * The same for a field of a JSON error body, which is read as far as it came with the head. Of several
 * rows with one key the first value counts.
 */
struct provider_field {
	const char *key;
	const char *path; /* below `error` */
	enum provider_field_kind kind;
};

/*
 * An error event at the head of a stream whose status is 200. `word` is the value of one of the
 * event_fields, between dots. Each class here is a reason to use another account.
 */
struct provider_event {
	const char *word; /* NULL ends the rows */
	enum result_class class;
};

/* Providers report the used share of a limit, or the limit and the rest. */
struct provider_limit {
	const char *used; /* keys of the limits text. NULL = by limit and left */
	unsigned whole; /* the value of `used` for a full limit; more than twice that is invalid */
	const char *limit;
	const char *left;
	const char *end;     /* NULL ends the rows */
	const char *end_too; /* read if `end` is absent; may be NULL */
};

/* A response whose class depends on more than its status. The first matching row decides. */
struct provider_result {
	unsigned status;  /* 0 ends the rows */
	const char *key;  /* of the limits text; NULL: a limit of the provider is full */
	const char *word; /* the value */
	bool is_part;	  /* the value contains `word` */
	enum result_class class;
	/* WINDOW: keys of its end, which must be in the future. NULL: RESULT_QUOTA_MS from now */
	const char *end;
	const char *end_too;
};

/* --- credential files --- */

/* The host that refreshes the tokens of a login (RFC 6749, section 6). */
struct provider_token_host {
	const char *url;       /* NULL: the credential file or the upstream names it */
	const char *client_id; /* the public one of the program that wrote the file; NULL = none */
	bool is_json;	       /* the request's body; false: application/x-www-form-urlencoded */
	const char *secret;    /* it requires a client secret: where that is found; NULL = no */
};

/*
 * A form of JSON file with a login: an object of tokens, or an API key. A form without such an object
 * has the tokens in the document itself. Names of fields; NULL = the form does not have it.
 */
struct provider_file {
	const char *name;  /* in error texts */
	const char *login; /* kept with an account: its tokens come from a file of this form */
	const char *tokens;
	const char *api_key;
	const char *access_token;
	const char *refresh_token;
	const char *id_token;
	const char *account_id;
	const char *const *account_claim; /* path of the account id in the tokens, which are JWTs */
	const char *const *expiry; /* Unix time in s or ms, or RFC 3339; else `exp` of a JWT */
	const char *lifetime;	   /* in seconds, from last_refresh on */
	const char *last_refresh;  /* in the document; RFC 3339 */
	const char *const *token_url;
	const char *client_id;
	const char *client_secret;
	bool is_jwt; /* an access token alone is one, because nothing else tells its expiry */
	bool is_subscription; /* new accounts get the limits of [limits] account_* */
	const char *remedy;   /* end of the error text if the file has no login */
	const struct provider_token_host *host;
};

/* --- probes --- */

#define PROVIDER_PROBE_NONE "none" /* an upstream's setting instead of a path: no probes */

struct provider_probe {
	const char *method;
	const char *path;    /* as in a client's request; NULL = no free request is known */
	const char *version; /* start of `path`; left out if the upstream's URL ends with it */
	const char *header;  /* required besides the credential; empty = none */
};

/* --- usage pages --- */

/* If the path of the upstream's URL ends with `base`, the usage page is `path` in its place. */
struct provider_place {
	const char *base; /* NULL ends the rows */
	const char *path;
};

/* A window of the page: an object, which may be absent or null. */
struct provider_page_window {
	const char *path; /* names, separated by dots; NULL ends the rows */
	const char *used; /* its fields: the used share, */
	unsigned whole;	  /* whose value for a full window is this; more than twice is invalid, */
	const char *end;  /* the Unix time in seconds, or RFC 3339, at which it ends, */
	const char *end_too; /* and the seconds until then, if `end` is absent; NULL = none */
};

/*
 * A page of the provider, in JSON, with the limits of the account whose credential asks for it. Where an
 * upstream has one it is the probe: it needs the credential, is free, and works while a limit is reached.
 */
struct provider_page {
	const struct provider_place *places; /* NULL = the provider has no such page */
	const char *allowed; /* booleans, as paths: requests are admitted; NULL = no such field */
	const char *reached; /* a limit is reached */
	const struct provider_page_window *windows;
};

/* --- stateful resources --- */

/*
 * Paths, as resource.h reads them. A pattern is one segment or more; `*` in its last one is any text. It is found at
 * any place in a path, with all paths below it.
 */
struct provider_resources {
	const char *const
		*administration; /* of the account; and what gives a credential of it away */
	const char *const *families;
	const char *const *parents; /* a POST asks a model; what it made is kept below */
	const char *const
		*sockets; /* of them, those to which a GET opens a WebSocket and asks a model */
	const char *const *exceptions; /* below a parent, and keep nothing */
	const char *const *readable;   /* a resource for other methods than GET, HEAD and POST */
	/* A POST to `users` is one as well, if `header` contains one of `words`. NULL = none */
	const char *const *users;
	const char *header; /* in small letters */
	const char *const *words;
};

/* --- the row --- */

struct provider {
	const char *name;
	const char *title; /* in texts for clients */
	/*
	 * Paths that its API serves, with all paths below them. A path of another provider's list alone
	 * is refused. NULL: every path may be served.
	 */
	const char *const *api_paths;
	const struct provider_resources *resources;

	const struct provider_auth *auth;
	const char *oauth_prefix; /* prefix of OAuth tokens; NULL = none */
	const struct provider_auth *oauth_auth;
	/* forms of its credential files; a form without an object is the last; NULL = none */
	const struct provider_file *const *files;
	const char *const *login_errors; /* codes of the token host that require a login */
	bool is_subscription;		 /* new accounts get the limits of [limits] account_* */

	const char *account_header; /* carries the account id of a credential file; NULL = none */
	const char *const *client_headers; /* identify an account: removed from clients' requests */
	/* Begin values of Sec-WebSocket-Protocol that hold a key or identify an account. */
	const char *const *protocol_prefixes;
	const char *id_header; /* of an answer: the provider's own id of the request; NULL = none */
	const char *const *answer_headers; /* identify an account: removed from responses */
	const char
		*state_header; /* of clients, in a conversation with state upstream; NULL = none */
	/* Another account cannot read the state of a conversation: it stays where it is. */
	bool bound_state;
	const struct provider_result
		*foreign_state; /* answers to state of another account; NULL = none */

	const struct provider_header *limit_headers; /* besides RESULT_HEADERS_COMMON */
	const char *const *limit_prefixes;	     /* of their names */
	const struct provider_limit *limits;	     /* NULL = none */
	const struct provider_field *body_fields;
	const char *retry_field;	       /* key of the duration of a burst; NULL = none */
	const struct provider_result *results; /* NULL = the status decides */

	/* Ends of the paths of POST requests whose answer a model generates. */
	const char *const *generation_paths;
	/* Before the seconds in a message, by which its clients know when to repeat a request; NULL = they do not */
	const char *retry_text;
	const char *const *event_fields; /* paths in the JSON of an error event; NULL = none */
	const struct provider_event *events;

	struct provider_probe probe;
	struct provider_page page;
};

/* `name|name|...` of all rows, for --provider. */
extern const char provider_names[];
#define PROVIDER_CHOICES (provider_names + 1)
/* The provider of an upstream that names none. */
#define PROVIDER_DEFAULT "generic"

size_t provider_count(void);
/* `i` is below provider_count(). A row keeps its place from version to version. */
const struct provider *provider_at(size_t i);
size_t provider_index(const struct provider *p);
/* Its place + 1, for a field in which 0 is none: NULL for 0, and for a number that no row has. */
const struct provider *provider_from_number(unsigned number);
/* NULL when there is none. */
const struct provider *provider_find(struct slice name);
/* The form of credential file with this `login`, of any provider. NULL when there is none. */
const struct provider_file *provider_file_find(struct slice login);
/* The entry of another provider's list that has this path, if `p` does not serve it; else NULL. */
const char *provider_foreign_path(const struct provider *p, struct slice path);

/* A POST to this path asks a model of `p` for an answer. */
bool provider_generates(const struct provider *p, struct slice path);

size_t provider_auth_count(void);
const struct provider_auth *provider_auth_at(size_t i); /* likewise */
/* The way to authenticate with this credential. */
const struct provider_auth *provider_auth(const struct provider *p, struct slice credential);
size_t provider_auth_index(const struct provider_auth *a);
/* Is it a state_header of any provider? `name` is in small letters. */
bool provider_is_state_header(struct slice name);
/* Does an account's credential use this header? */
bool provider_is_auth_header(const char *header);

size_t provider_shape_count(void);
const struct provider_shape *provider_shape_at(size_t i); /* likewise; 0 is the default */
/* The name of a status from 400 to 599; NULL if the shape has no names. */
const char *provider_status_name(const struct provider_shape *s, int status);
/* The shape of errors for a client's request with this path. */
size_t provider_shape_of_path(struct slice path);

#endif
