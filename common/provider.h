/*
 * Providers: all that differs from one kind of upstream to another, a row each in provider_rows.c. No
 * other file knows a provider by its name: a new one takes its row there and a test.
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

/* The header that carries a credential, and what is appended to another one beside it. */
struct provider_auth {
	const char *variable; /* txn.relay.VARIABLE, which the agent sets to the credential */
	const char *header;
	const char *scheme;	   /* before the credential, with its blank; empty = none */
	const char *list_header;   /* a list that the client may send too; NULL = none */
	const char *list_variable; /* set to what is appended to it */
	const char *list_value;
};

/* --- shape of errors --- */

/* An error body is `open`, the fields, `close`. HAProxy expands what it finds in both. */
struct provider_shape {
	const char *name;	  /* between agent and HAProxy */
	const char *const *paths; /* and all below each; NULL: where no other shape is */
	const char *open;
	const char *close;
	const char *id_header; /* a further header with the request id; NULL = none */
	const char *sign;      /* with `id_header`: `open` begins so, and no other shape's does */
};

/* --- limits --- */

/* A header of an answer, and the key of its value in the limits text (result.h). */
struct provider_header {
	const char *key;    /* [a-z0-9]+; NULL ends the rows */
	const char *header; /* lower case */
};

enum provider_field_kind {
	PROVIDER_FIELD_WORD,   /* letters, digits and '_' are kept */
	PROVIDER_FIELD_NUMBER, /* an integer */
	PROVIDER_FIELD_SPAN,   /* "34.5s": small letters, digits and '.' are kept */
};

/* The same for a field of an error's JSON body. Of several with one key the first that is there counts. */
struct provider_field {
	const char *key;
	const char *path; /* below `error` */
	enum provider_field_kind kind;
};

/* A limit is told by how much of it is used, or by how much it is and how much is left. */
struct provider_limit {
	const char *used; /* keys of the limits text. NULL = by limit and left */
	unsigned whole;	  /* what `used` says of a full one; beyond twice that it is rubbish */
	const char *limit;
	const char *left;
	const char *end;     /* NULL ends the rows */
	const char *end_too; /* asked when `end` tells nothing; may be NULL */
};

/* An answer whose class takes more than its status. The first row that fits decides. */
struct provider_result {
	unsigned status;  /* 0 ends the rows */
	const char *key;  /* of the limits text; NULL: one of the provider's limits is full */
	const char *word; /* what its value is */
	bool is_part;	  /* what its value contains */
	enum result_class class;
	/* WINDOW: keys of when it ends, which must be ahead. Both NULL: RESULT_QUOTA_MS from now */
	const char *end;
	const char *end_too;
};

/* --- credential files --- */

/* A JSON file with either an API key or an object of tokens, whose access token is a JWT. */
struct provider_file {
	const char *name;    /* in messages */
	const char *api_key; /* names of fields */
	const char *tokens;
	const char *access_token;
	const char *refresh_token;
	const char *id_token;
	const char *account_id;
	const char *last_refresh;
	const char *remedy; /* when there is neither */
};

/* --- probes --- */

/* Where an upstream's URL ends with `base`, the probe asks for `path` in place of that. */
struct provider_place {
	const char *base; /* NULL ends the rows */
	const char *path;
};

struct provider_probe {
	const char *method;
	const char *
		path; /* as a client asks for it, `version` first; NULL = none is known to be free */
	const char *version; /* left out where the upstream's URL ends with it */
	const char *header;  /* that it takes besides the credential; empty = none */
	const struct provider_place *places; /* NULL = none */
};

/* --- the row --- */

struct provider {
	const char *name;

	const struct provider_auth *auth;
	const char
		*oauth_prefix; /* a credential that begins so is an OAuth token; NULL = none do */
	const struct provider_auth *oauth_auth;
	const struct provider_file *file; /* what --auth-json reads; NULL = nothing */
	const char *const *login_errors;  /* codes of the token host that only a login ends */
	bool is_subscription;		  /* new accounts get the limits of [limits] account_* */

	const char *account_header; /* carries the account id of a credential file; NULL = none */
	const char *const *client_headers; /* name an account: a client's own never pass */
	const char *const *answer_headers; /* name an account: clients never see them */
	const char
		*state_header; /* a client sends it in a conversation with state upstream; NULL */

	const struct provider_header *limit_headers; /* besides RESULT_HEADERS_COMMON */
	const char *const *limit_prefixes;	     /* how their names begin */
	const struct provider_limit *limits;	     /* NULL = none is told */
	const char *body_statuses; /* whose JSON body is looked at, with blanks between */
	const struct provider_field *body_fields;
	const char *retry_field;	       /* key of a span that a burst lasts; NULL = none */
	const struct provider_result *results; /* NULL = all go by their status */

	struct provider_probe probe;
};

/* `name|name|...` of all rows, for --provider. */
extern const char provider_names[];
#define PROVIDER_CHOICES (provider_names + 1)
/* Of an upstream that names no other. */
#define PROVIDER_DEFAULT "generic"

size_t provider_count(void);
/* `i` is below provider_count(). A row keeps its place from version to version. */
const struct provider *provider_at(size_t i);
size_t provider_index(const struct provider *p);
/* NULL when there is none. */
const struct provider *provider_find(struct slice name);

size_t provider_auth_count(void);
const struct provider_auth *provider_auth_at(size_t i); /* likewise */
/* How this credential is presented. */
const struct provider_auth *provider_auth(const struct provider *p, struct slice credential);
size_t provider_auth_index(const struct provider_auth *a);
/* Does a credential go up in this header? */
bool provider_is_auth_header(const char *header);

size_t provider_shape_count(void);
const struct provider_shape *provider_shape_at(size_t i); /* likewise; 0 is the default */
/* Of errors on this path of a client's request. */
size_t provider_shape_of_path(struct slice path);

#endif
