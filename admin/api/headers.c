#include "admin/api/headers.h"

#include "admin/api/query.h"
#include "admin/command/headerset.h"
#include "admin/store/store.h"
#include "common/errtext.h"
#include "common/provider.h"

#include <errno.h>

void headers_describe(json_object *o, const char *field, struct slice stored)
{
	json_object *headers = json_object_new_object();
	struct headerset set;

	if (headerset_parse(stored, &set, NULL) == 0) {
		for (size_t i = 0; i < set.count; i++)
			json_object_object_add(headers, set.rows[i].name,
				json_object_new_string(set.rows[i].value));
	}
	json_object_object_add(o, field, headers);
}

int headers_update(struct request *r, const char *update, int64_t id)
{
	json_object *given = request_value(r, "headers");
	struct headerset set = {0};
	struct buffer text = {0};

	if (!given)
		return 0;
	json_object_object_foreach(given, name, value)
	{
		struct slice content = {
			json_object_get_string(value), (size_t)json_object_get_string_len(value)};
		if (headerset_put(&set, slice_from_str(name), content, &r->error))
			return -EINVAL;
	}
	headerset_format(&set, &text);
	int error = query_run(r, update, "ti", buffer_str(&text), id);
	buffer_fini(&text);
	return error;
}

static int check_account(struct request *r, struct row *row, void *context)
{
	struct headerset all;
	struct headerset own;
	struct slice name = row_text(row, "name");
	const struct provider *provider = provider_find(row_text(row, "provider"));

	(void)context;
	if (!provider)
		return errtext_set(
			&r->error, -EBADMSG, "store: an upstream has an unknown provider");
	const char *account_header = provider->account_header;
	int error = headerset_parse(row_text(row, "upstream_headers"), &all, &r->error);
	if (!error)
		error = headerset_parse(row_text(row, "headers"), &own, &r->error);
	if (!error)
		error = headerset_merge(&all, &own, &r->error);
	/* the provider's account id takes a place too; the credential field bounds its value */
	if (!error && account_header && row_flag(row, "has_account_id"))
		error = headerset_put(&all, slice_from_str(account_header),
			SLICE_LITERAL("00000000-0000-0000-0000-000000000000"), &r->error);
	if (error)
		errtext_prefix(&r->error, error, "account \"%.*s\"", (int)name.n, name.p);
	return error ? -EINVAL : 0;
}

#define SELECT_HEADERS                                                                             \
	"SELECT a.name, u.headers AS upstream_headers, a.headers, u.provider,"                     \
	" EXISTS (SELECT 1 FROM credentials c"                                                     \
	" WHERE c.account_id = a.id AND c.field = 'account_id') AS has_account_id"                 \
	" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"

int headers_check_account(struct request *r, int64_t account_id)
{
	return query_each(
		r, check_account, NULL, SELECT_HEADERS " WHERE a.id = ?1", "i", account_id);
}

int headers_check_upstream(struct request *r, int64_t upstream_id)
{
	return query_each(r, check_account, NULL, SELECT_HEADERS " WHERE u.id = ?1 ORDER BY a.name",
		"i", upstream_id);
}
