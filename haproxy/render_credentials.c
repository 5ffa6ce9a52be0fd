/*
 * The account's credential in the request. The ways to authenticate are rows in common/provider_rows.c.
 */
#include "common/provider.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"

#define VAR "var(txn." SEAM_VAR_PREFIX ".%s)"

/* Several ways to authenticate may use the same variable, for the same header. */
static bool is_first(size_t auth)
{
	size_t i = 0;

	while (strcmp(provider_auth_at(i)->variable, provider_auth_at(auth)->variable) != 0)
		i++;
	return i == auth;
}

static void append_credential(struct buffer *b, const struct provider_auth *a)
{
	const char *quote = a->scheme[0] ? "'" : "";

	buffer_printf(b, "\thttp-request set-header %s %s%s%%[" VAR "]%s if { " VAR " -m found }\n",
		a->header, quote, a->scheme, a->variable, quote, a->variable);
}

static void append_list_value(struct buffer *b, const struct provider_auth *a)
{
	const char *header = a->list_header;
	const char *variable = a->list_variable;

	buffer_printf(b,
		"\t# Append to the client's %s, unless the value is there.\n"
		"\thttp-request set-var(txn.rly.n%s) req.fhdr_cnt(%s) if { " VAR " -m found }"
		" !{ req.hdr(%s),strcmp(txn." SEAM_VAR_PREFIX ".%s) eq 0 }\n",
		header, variable, header, variable, header, variable);
	buffer_printf(b,
		"\thttp-request set-header %s '%%[req.fhdr(%s)],%%[" VAR "]'"
		" if { var(txn.rly.n%s) -m int 1 }\n",
		header, header, variable, variable);
	buffer_printf(b,
		"\thttp-request add-header %s %%[" VAR "]"
		" if { var(txn.rly.n%s) -m found } !{ var(txn.rly.n%s) -m int 1 }\n",
		header, variable, variable, variable);
}

void render_credential(struct buffer *b)
{
	buffer_append_str(b, "\t# Set the account's credential.\n");
	for (size_t i = 0; i < provider_auth_count(); i++) {
		if (is_first(i))
			append_credential(b, provider_auth_at(i));
	}
	for (size_t i = 0; i < provider_auth_count(); i++) {
		if (provider_auth_at(i)->list_header)
			append_list_value(b, provider_auth_at(i));
	}
}

/*
 * What was appended to a list is at the end of the only line, or is the last of several lines.
 */
static void append_list_deletion(struct buffer *b, const struct provider_auth *a)
{
	const char *header = a->list_header;
	const char *value = a->list_value;

	buffer_printf(b,
		"\thttp-request del-header %s if { req.fhdr_cnt(%s) eq 1 } { req.fhdr(%s) -m str %s }\n"
		"\thttp-request replace-header %s '^(.*),%s$' '\\1'\n"
		"\thttp-request replace-header %s '^%s$' %%[var(txn.rly.none)]\n",
		header, header, header, value, header, value, header, value);
}

void render_credential_deletion(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# Remove what the account that failed has added to a header of the client. Its other\n"
		"\t# headers go in the backend.\n");
	for (size_t i = 0; i < provider_auth_count(); i++) {
		if (provider_auth_at(i)->list_header)
			append_list_deletion(b, provider_auth_at(i));
	}
}
