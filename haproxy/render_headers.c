/*
 * The header policy for requests and responses: built-in lists, additions and exceptions by the operator.
 * Credentials and the relay's own headers allow no exception.
 */
#include "common/provider.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"

#include <errno.h>
#include <strings.h>

struct policy_row {
	const char *name; /* lower case; `*` at the end: a prefix */
	bool fixed;	  /* no exception */
};

/* Credentials: upstreams get the account's, never the client's. All that accounts use are fixed. */
static const struct policy_row key_rows[] = {
	{"x-api-key", true},
	{"authorization", true},
	{"x-relay-*", true},
	{"api-key", false},
	{"x-goog-api-key", false},
	{"cookie", false},
};

static const struct policy_row request_rows[] = {
	/* hop-by-hop (RFC 9110, section 7.6.1); HAProxy writes Connection itself */
	{"connection", true},
	{"keep-alive", true},
	{"proxy-connection", true},
	{"proxy-authorization", true},
	{"proxy-authenticate", true},
	{"te", true},
	{"upgrade", true},
	{"http2-settings", true},
	/* HAProxy has read the body and has answered this header itself */
	{"expect", true},
	/* the client's address */
	{"forwarded", false},
	{"x-forwarded-*", false},
	{"x-real-ip", false},
	{"x-client-ip", false},
	{"x-cluster-client-ip", false},
	{"true-client-ip", false},
	{"cf-connecting-ip", false},
	{"fastly-client-ip", false},
	{"via", false},
};

static const struct policy_row relay_rows[] = {
	{"x-relay-*", true},
	{"x-request-id", true},
	/* a session of the account */
	{"set-cookie", false},
};

static const struct policy_row response_rows[] = {
	/* hop-by-hop */
	{"keep-alive", true},
	{"proxy-connection", true},
	{"proxy-authenticate", true},
	{"upgrade", true},
	/* statements about the upstream's host, not ours */
	{"alt-svc", false},
	{"strict-transport-security", false},
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct names {
	const char *const *p;
	size_t count;
};

static bool has_name(struct names list, const char *name)
{
	for (size_t i = 0; i < list.count; i++) {
		if (strcasecmp(list.p[i], name) == 0)
			return true;
	}
	return false;
}

/* Does an exception start with this stem? */
static bool has_exception(struct names allow, const char *stem, size_t len)
{
	for (size_t i = 0; i < allow.count; i++) {
		if (strlen(allow.p[i]) > len && strncasecmp(allow.p[i], stem, len) == 0)
			return true;
	}
	return false;
}

static void append_lower(struct buffer *b, const char *text, bool quote_dots)
{
	for (; *text; text++) {
		char c = *text;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '.' && quote_dots)
			buffer_append(b, "\\", 1);
		buffer_append(b, &c, 1);
	}
}

/* All names that start with the stem, except the exceptions. HAProxy keeps names in lower case. */
static void append_prefix_but(
	struct buffer *b, const char *direction, const char *stem, size_t len, struct names allow)
{
	const char *separator = "";

	buffer_printf(b, "\t%s del-header '^%.*s(?!(", direction, (int)len, stem);
	for (size_t i = 0; i < allow.count; i++) {
		if (strlen(allow.p[i]) <= len || strncasecmp(allow.p[i], stem, len) != 0)
			continue;
		buffer_append_str(b, separator);
		append_lower(b, allow.p[i] + len, true);
		separator = "|";
	}
	buffer_append_str(b, ")$)' -m reg\n");
}

static void append_del(
	struct buffer *b, const char *direction, const char *name, struct names allow)
{
	size_t len = strlen(name);

	if (name[len - 1] != '*') {
		buffer_printf(b, "\t%s del-header ", direction);
		append_lower(b, name, false);
		buffer_append_str(b, "\n");
	} else if (has_exception(allow, name, len - 1)) {
		append_prefix_but(b, direction, name, len - 1, allow);
	} else {
		buffer_printf(b, "\t%s del-header ", direction);
		append_lower(b, name, false);
		b->len -= b->error ? 0 : 1; /* the star */
		buffer_append_str(b, " -m beg\n");
	}
}

static void append_rows(struct buffer *b, const char *direction, const struct policy_row *rows,
	size_t count, struct names allow)
{
	const struct names none = {0};

	for (size_t i = 0; i < count; i++) {
		bool fixed = rows[i].fixed || provider_is_auth_header(rows[i].name);
		if (fixed || !has_name(allow, rows[i].name))
			append_del(b, direction, rows[i].name, fixed ? none : allow);
	}
}

void render_del_header(struct buffer *b, const char *name)
{
	append_del(b, "http-request", name, (struct names){0});
}

/* The operator's additions override the operator's exceptions. */
static void append_names(struct buffer *b, const char *direction, struct names list)
{
	const struct names none = {0};

	for (size_t i = 0; i < list.count; i++)
		append_del(b, direction, list.p[i], none);
}

static void append_extra(struct buffer *b, const char *name, enum render_extra extra)
{
	char variable[SEAM_HEADER_VAR_SIZE];

	seam_header_var(name, variable);
	/* a header for credentials already has the account's value, which must stay */
	if (extra == RENDER_EXTRA_REPLACE && !provider_is_auth_header(name))
		buffer_printf(b, "\thttp-request del-header %s\n", name);
	buffer_printf(b,
		"\thttp-request set-header %s %%[var(txn." SEAM_VAR_PREFIX ".%s)]"
		" if { var(txn." SEAM_VAR_PREFIX ".%s) -m found }\n",
		name, variable, variable);
}

/* --- headers that identify an account, of all providers --- */

#define KNOWN_MAX 32

struct known {
	const char *p[KNOWN_MAX];
	size_t count;
};

static struct names names_of(const struct known *k)
{
	return (struct names){k->p, k->count};
}

static void add_name(struct buffer *b, struct known *k, const char *name)
{
	if (has_name(names_of(k), name))
		return;
	if (k->count == KNOWN_MAX)
		b->error = -E2BIG;
	else
		k->p[k->count++] = name;
}

static void add_list(struct buffer *b, struct known *k, const char *const *list)
{
	for (; list && *list; list++)
		add_name(b, k, *list);
}

/* Of clients; the policy allows exceptions. */
static void append_client_names(struct buffer *b, struct names allow)
{
	struct known k = {.count = 0};

	for (size_t i = 0; i < provider_count(); i++)
		add_list(b, &k, provider_at(i)->client_headers);
	for (size_t i = 0; i < k.count; i++) {
		if (!has_name(allow, k.p[i]))
			append_del(b, "http-request", k.p[i], allow);
	}
}

static void append_answer_names(struct buffer *b, struct names allow)
{
	struct known k = {.count = 0};

	for (size_t i = 0; i < provider_count(); i++)
		add_list(b, &k, provider_at(i)->answer_headers);
	for (size_t i = 0; i < k.count; i++) {
		if (!has_name(allow, k.p[i]))
			append_del(b, "http-response", k.p[i], allow);
	}
}

void render_extra_headers(const struct render_model *m, enum render_extra extra, struct buffer *b)
{
	struct known k = {.count = 0};

	for (size_t i = 0; i < provider_count(); i++) {
		if (provider_at(i)->account_header)
			add_name(b, &k, provider_at(i)->account_header);
	}
	for (size_t i = 0; i < provider_count(); i++)
		add_list(b, &k, provider_at(i)->client_headers);
	buffer_append_str(
		b, "\n\t# Extra headers of accounts and upstreams: never the client's.\n");
	for (size_t i = 0; i < k.count; i++)
		append_extra(b, k.p[i], extra);
	for (size_t i = 0; i < m->header_count; i++) {
		const struct names before = {m->headers, i};
		if (!has_name(names_of(&k), m->headers[i]) && !has_name(before, m->headers[i]))
			append_extra(b, m->headers[i], extra);
	}
}

/* --- policies --- */

/* Headers of credentials that no row above has. */
static void append_auth_headers(struct buffer *b)
{
	struct known k = {.count = 0};
	const struct names none = {0};

	for (size_t i = 0; i < COUNT(key_rows); i++)
		add_name(b, &k, key_rows[i].name);
	for (size_t i = 0; i < provider_auth_count(); i++)
		add_name(b, &k, provider_auth_at(i)->header);
	for (size_t i = COUNT(key_rows); i < k.count; i++)
		append_del(b, "http-request", k.p[i], none);
}

void render_request_headers(const struct render_model *m, struct buffer *b)
{
	const struct names allow = {m->request_allow, m->request_allow_count};
	const struct names deny = {m->request_deny, m->request_deny_count};

	buffer_append_str(b,
		"\n\t# Remove headers that carry the client's keys, identify it or concern one hop.\n");
	append_rows(b, "http-request", key_rows, COUNT(key_rows), allow);
	append_auth_headers(b);
	append_client_names(b, allow);
	append_rows(b, "http-request", request_rows, COUNT(request_rows), allow);
	append_names(b, "http-request", deny);
}

void render_response_headers(const struct render_model *m, struct buffer *b)
{
	const struct names allow = {m->response_allow, m->response_allow_count};
	const struct names deny = {m->response_deny, m->response_deny_count};

	buffer_append_str(b,
		"\n\t# Responses of upstreams: HAProxy runs `http-response` rules for no other.\n");
	append_rows(b, "http-response", relay_rows, COUNT(relay_rows), allow);
	append_answer_names(b, allow);
	append_rows(b, "http-response", response_rows, COUNT(response_rows), allow);
	append_names(b, "http-response", deny);
	buffer_append_str(b, "\thttp-response set-header X-Relay-Upstream 1\n");
}
