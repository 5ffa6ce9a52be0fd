#include "admin/api/account_credentials.h"

#include "admin/api/query.h"
#include "common/provider.h"

#include <errno.h>

/* --- credential --- */

static int take_provider(struct request *r, struct row *row, void *context)
{
	const struct provider **ret = context;

	(void)r;
	*ret = provider_find(row_text(row, "provider"));
	return 0;
}

static int read_provider(struct request *r, int64_t id, const struct provider **ret)
{
	int error = query_each(r, take_provider, ret,
		"SELECT u.provider FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"
		" WHERE a.id = ?1",
		"i", id);

	if (!error && !*ret)
		error = errtext_set(
			&r->error, -EBADMSG, "store: an upstream has an unknown provider");
	return error;
}

int account_credentials_update(struct request *r, int64_t id, struct account_credential_taken *ret)
{
	const char *client_id = request_text(r, "client_id");
	struct account_credential_given given = {
		.token = request_text(r, "token"),
		.file = request_text(r, "auth_json"),
		.watch_path = request_text(r, "watch_path"),
		.client_secret = request_text(r, "client_secret"),
		.client_id_given = client_id && *client_id,
	};
	int error = read_provider(r, id, &given.provider);

	if (!given.file) {
		given.file = request_text(r, "credentials");
		given.completes = true;
	}
	return error ? error
		     : account_credential_update(
			       r->control->store, r->control->vault, id, &given, ret, &r->error);
}

/* --- limits --- */

static const struct {
	const char *field;
	const char *option;
	const char *text; /* behind its number */
	const char *update;
} limits[] = {
	{"rpm", "--rpm", "requests a minute", "UPDATE accounts SET rpm = ?1 WHERE id = ?2"},
	{"rph", "--rph", "an hour", "UPDATE accounts SET rph = ?1 WHERE id = ?2"},
	{"concurrency", "--concurrency", "at a time",
		"UPDATE accounts SET concurrency = ?1 WHERE id = ?2"},
	{"max_consecutive", "--max-consecutive", "in a row",
		"UPDATE accounts SET max_consecutive = ?1 WHERE id = ?2"},
};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

int account_credentials_limit(
	struct request *r, int64_t id, const struct account_credential_taken *taken)
{
	const struct config *c = &r->control->config;
	const int64_t values[LIMITS] = {(int64_t)c->limit_account_rpm,
		(int64_t)c->limit_account_rph, (int64_t)c->limit_account_concurrency,
		(int64_t)c->limit_account_max_consecutive};
	int error = 0;

	if (!taken->form || !taken->form->is_subscription)
		return 0;
	for (size_t i = 0; i < LIMITS && !error; i++)
		if (!request_has(r, limits[i].field))
			error = query_run(r, limits[i].update, "ii", values[i], id);
	return error;
}

/* --- notes --- */

/* Limits that nobody asked for, and the command that lifts them. */
static void note_limits(struct request *r, const char *name, struct buffer *out)
{
	struct buffer options = {0};
	const char *separator = "";

	for (size_t i = 0; i < LIMITS; i++) {
		int64_t n =
			json_object_get_int64(json_object_object_get(r->answer, limits[i].field));
		if (n == 0 || request_has(r, limits[i].field))
			continue;
		if (!options.len)
			buffer_printf(out, "account %s has the limits of a subscription: ", name);
		buffer_printf(out, "%s%lld %s", separator, (long long)n, limits[i].text);
		buffer_printf(&options, " %s 0", limits[i].option);
		separator = ", ";
	}
	if (options.len)
		buffer_printf(out, "; without limits: relayadm accounts set %s%s", name,
			buffer_str(&options));
	buffer_fini(&options);
}

int account_credentials_note(struct request *r, const char *name, bool is_new,
	const struct account_credential_taken *taken)
{
	struct buffer text = {0};

	if (*taken->token_url)
		buffer_printf(&text, "upstream %s refreshes tokens at %s from now on",
			json_object_get_string(json_object_object_get(r->answer, "upstream")),
			taken->token_url);
	if (is_new) {
		struct buffer about = {0};
		note_limits(r, name, &about);
		buffer_printf(&text, "%s%s", text.len && about.len ? "; " : "", buffer_str(&about));
		buffer_fini(&about);
	}
	int error = buffer_error(&text);
	if (text.len)
		answer_text(r->answer, "note", buffer_str(&text));
	buffer_fini(&text);
	return error;
}
