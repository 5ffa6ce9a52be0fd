/*
 * The header policy for requests and responses: built-in lists, additions and exceptions by the operator.
 * Credentials and the relay's own headers allow no exception.
 */
#include "common/provider.h"
#include "common/seam.h"
#include "haproxy/render_names.h"
#include "haproxy/render_parts.h"

#include <errno.h>
#include <strings.h>

struct policy_row {
	const char *name; /* lower case; `*` at an end: any text there */
	bool fixed;	  /* no exception */
};

/* Credentials: upstreams get the account's, never the client's. All that accounts use are fixed. */
static const struct policy_row key_rows[] = {
	{"x-api-key", true},
	{"authorization", true},
	{"x-relay-*", true},
	{"api-key", true},
	{"*-api-key", true},
	{"*-auth-token", true},
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

/* With [cors] origins: the page of a client is nothing to the upstream, and its answer is not for pages. */
static const struct policy_row cors_request_rows[] = {
	{"origin", true},
	{"referer", true},
	{"sec-fetch-*", true},
	{"access-control-*", true},
};

static const struct policy_row cors_response_rows[] = {
	{"access-control-*", true},
};

static const struct policy_row response_rows[] = {
	/* what the relay says itself */
	{"x-relay-*", true},
	{"x-circuit-breaker", true},
	{"ratelimit", true},
	{"ratelimit-*", true},
	/* credentials, and a session of the account */
	{"authorization", true},
	{"*-api-key", true},
	{"*-auth-token", true},
	{"set-cookie", false},
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

static void add_rows(struct render_names *n, const struct policy_row *rows, size_t count)
{
	const struct render_list allow = n->allow;

	for (size_t i = 0; i < count; i++) {
		bool fixed = rows[i].fixed || provider_is_auth_header(rows[i].name);
		if (!fixed && render_list_has(allow, rows[i].name))
			continue;
		n->allow = fixed ? (struct render_list){0} : allow;
		render_names_add(n, rows[i].name);
	}
	n->allow = allow;
}

/* The operator's additions override the operator's exceptions. */
static void add_list(struct render_names *n, struct render_list list)
{
	const struct render_list allow = n->allow;

	n->allow = (struct render_list){0};
	for (size_t i = 0; i < list.count; i++)
		render_names_add(n, list.p[i]);
	n->allow = allow;
}

/* --- extra headers of accounts and upstreams --- */

#define EXTRAS_MAX 128

/* The providers' first; each once, however it is spelt. */
struct extras {
	const char *p[EXTRAS_MAX];
	size_t count;
};

static void add_extra(struct buffer *b, struct extras *x, const char *name)
{
	if (render_list_has((struct render_list){x->p, x->count}, name))
		return;
	if (x->count == EXTRAS_MAX)
		b->error = -E2BIG;
	else
		x->p[x->count++] = name;
}

static void find_extras(const struct render_model *m, struct buffer *b, struct extras *x)
{
	x->count = 0;
	for (size_t i = 0; i < provider_count(); i++) {
		const char *const *names = provider_at(i)->client_headers;
		if (provider_at(i)->account_header)
			add_extra(b, x, provider_at(i)->account_header);
		for (; names && *names; names++)
			add_extra(b, x, *names);
	}
	for (size_t i = 0; i < m->header_count; i++)
		add_extra(b, x, m->headers[i]);
}

void render_extra_headers(const struct render_model *m, struct buffer *b)
{
	char variable[SEAM_HEADER_VAR_SIZE];
	struct extras x;

	find_extras(m, b, &x);
	buffer_append_str(b, "\t# Extra headers of the account and its upstream.\n");
	for (size_t i = 0; i < x.count; i++) {
		seam_header_var(x.p[i], variable);
		buffer_printf(b,
			"\thttp-request set-header %s %%[var(txn." SEAM_VAR_PREFIX ".%s)]"
			" if { var(txn." SEAM_VAR_PREFIX ".%s) -m found }\n",
			x.p[i], variable, variable);
	}
}

/* --- policies --- */

/* A header that control sends in probes, whether or not an account has it too. */
static bool is_of_probe(const char *name)
{
	for (size_t i = 0; i < provider_count(); i++) {
		const char *header = provider_at(i)->probe.header;
		size_t len = strcspn(header, ":");
		if (len && len == strlen(name) && strncasecmp(header, name, len) == 0)
			return true;
	}
	return false;
}

static void add_extras(const struct render_model *m, struct render_names *n)
{
	struct extras x;

	find_extras(m, n->out, &x);
	for (size_t i = 0; i < x.count; i++) {
		if (!is_of_probe(x.p[i]))
			render_names_add(n, x.p[i]);
		else
			buffer_printf(n->out,
				"\thttp-request del-header %s unless { fe_name " SEAM_FRONTEND_INTERNAL
				" }\n",
				x.p[i]);
	}
}

void render_request_headers(const struct render_model *m, struct buffer *b)
{
	const struct render_list deny = {m->request_deny, m->request_deny_count};
	struct render_names n = {
		.out = b,
		.direction = "http-request",
		.allow = {m->request_allow, m->request_allow_count},
	};

	buffer_append_str(b,
		"\t# Remove headers that carry the client's keys, identify it or concern one hop, and\n"
		"\t# those of an account: also the ones that an attempt before has set.\n");
	add_rows(&n, key_rows, COUNT(key_rows));
	for (size_t i = 0; i < provider_auth_count(); i++)
		render_names_add(&n, provider_auth_at(i)->header);
	add_extras(m, &n);
	add_rows(&n, request_rows, COUNT(request_rows));
	if (render_has_cors(m))
		add_rows(&n, cors_request_rows, COUNT(cors_request_rows));
	add_list(&n, deny);
	render_names_end(&n);
}

/* Headers that identify the account. */
static void add_account_names(struct render_names *n)
{
	for (size_t i = 0; i < provider_count(); i++) {
		const char *const *names = provider_at(i)->answer_headers;
		for (; names && *names; names++) {
			if (!render_list_has(n->allow, *names))
				render_names_add(n, *names);
		}
	}
}

void render_response_headers(const struct render_model *m, struct buffer *b)
{
	const struct render_list deny = {m->response_deny, m->response_deny_count};
	struct render_names n = {
		.out = b,
		.direction = "http-response",
		.allow = {m->response_allow, m->response_allow_count},
	};

	add_rows(&n, response_rows, COUNT(response_rows));
	if (render_has_cors(m))
		add_rows(&n, cors_response_rows, COUNT(cors_response_rows));
	add_account_names(&n);
	add_list(&n, deny);
	render_names_end(&n);
	buffer_append_str(b, "\thttp-response set-header X-Relay-Upstream 1\n");
}
