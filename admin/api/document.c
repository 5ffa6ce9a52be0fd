#include "admin/api/document.h"

#include "admin/api/egress_sharing.h"
#include "admin/api/handlers.h"

static int finish_account(struct request *r, int64_t id)
{
	if (!request_has(r, "suspended"))
		return 0;
	return account_suspend(
		r, id, request_flag(r, "suspended"), request_text(r, "suspend_reason"));
}

static int finish_tenant(struct request *r, int64_t id)
{
	return request_has(r, "enabled") ? tenant_enable(r, id, request_flag(r, "enabled")) : 0;
}

static const char *const account_extra[] = {"suspended", "suspend_reason", NULL};
static const char *const tenant_extra[] = {"enabled", NULL};

const struct document_kind document_kinds[] = {
	{"upstreams", &noun_upstream, COMMAND_UPSTREAMS_ADD, upstream_insert, upstream_update, NULL,
		NULL, NULL},
	{"egress", &noun_egress, COMMAND_EGRESS_ADD, egress_insert, egress_update, NULL, NULL,
		egress_sharing_check_egress},
	{"accounts", &noun_account, COMMAND_ACCOUNTS_ADD, account_insert, account_update,
		finish_account, account_extra, egress_sharing_check_account},
	{"pools", &noun_pool, COMMAND_POOLS_SET, pool_insert, pool_update, NULL, NULL, NULL},
	{"tenants", &noun_tenant, COMMAND_TENANTS_ADD, tenant_insert, tenant_update, finish_tenant,
		tenant_extra, NULL},
	{NULL, NULL, COMMAND_COUNT, NULL, NULL, NULL, NULL, NULL},
};

bool document_has(const struct document_kind *kind, const char *name)
{
	return kind->noun != &noun_egress || strcmp(name, "direct") != 0;
}

static bool is_extra(const struct document_kind *kind, const char *field)
{
	for (const char *const *extra = kind->extra; extra && *extra; extra++) {
		if (strcmp(*extra, field) == 0)
			return true;
	}
	return false;
}

static bool is_known(const struct document_kind *kind, const char *field)
{
	struct command_option o;

	return strcmp(field, "name") == 0 || is_extra(kind, field) ||
		command_field_find(command_row(kind->add), field, &o);
}

/* An egress is shown by kind and address, and set by a field of the kind's name. */
static void add_egress_address(json_object *shown, json_object *item)
{
	const char *kind = json_object_get_string(json_object_object_get(shown, "kind"));

	json_object_object_add(
		item, kind, json_object_get(json_object_object_get(shown, "address")));
}

json_object *document_item(const struct document_kind *kind, json_object *shown)
{
	json_object *item = json_object_new_object();

	json_object_object_foreach(shown, field, value)
	{
		if (!is_known(kind, field))
			continue;
		/* null is a name that is not set */
		json_object_object_add(
			item, field, value ? json_object_get(value) : json_object_new_string(""));
	}
	if (kind->noun == &noun_egress)
		add_egress_address(shown, item);
	return item;
}
