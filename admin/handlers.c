/* Which function serves which row. */
#include "admin/query.h"

request_fn *request_handler(enum command_id id)
{
	static request_fn *const handlers[COMMAND_COUNT] = {
		[COMMAND_TENANTS_ADD] = tenants_add,
		[COMMAND_TENANTS_SET] = tenants_set,
		[COMMAND_TENANTS_LIST] = tenants_list,
		[COMMAND_TENANTS_SHOW] = tenants_show,
		[COMMAND_TENANTS_ENABLE] = tenants_enable,
		[COMMAND_TENANTS_DISABLE] = tenants_disable,
		[COMMAND_TENANTS_DEL] = tenants_del,
		[COMMAND_TOKENS_ISSUE] = tokens_issue,
		[COMMAND_TOKENS_LIST] = tokens_list,
		[COMMAND_TOKENS_SHOW] = tokens_show,
		[COMMAND_TOKENS_REVOKE] = tokens_revoke,
		[COMMAND_TOKENS_ROTATE] = tokens_rotate,
		[COMMAND_UPSTREAMS_ADD] = upstreams_add,
		[COMMAND_UPSTREAMS_SET] = upstreams_set,
		[COMMAND_UPSTREAMS_LIST] = upstreams_list,
		[COMMAND_UPSTREAMS_SHOW] = upstreams_show,
		[COMMAND_UPSTREAMS_DEL] = upstreams_del,
		[COMMAND_EGRESS_ADD] = egress_add,
		[COMMAND_EGRESS_SET] = egress_set,
		[COMMAND_EGRESS_LIST] = egress_list,
		[COMMAND_EGRESS_SHOW] = egress_show,
		[COMMAND_EGRESS_DEL] = egress_del,
		[COMMAND_ACCOUNTS_ADD] = accounts_add,
		[COMMAND_ACCOUNTS_SET] = accounts_set,
		[COMMAND_ACCOUNTS_LIST] = accounts_list,
		[COMMAND_ACCOUNTS_SHOW] = accounts_show,
		[COMMAND_ACCOUNTS_SUSPEND] = accounts_suspend,
		[COMMAND_ACCOUNTS_RESUME] = accounts_resume,
		[COMMAND_ACCOUNTS_DEL] = accounts_del,
		[COMMAND_POOLS_SET] = pools_set,
		[COMMAND_POOLS_LIST] = pools_list,
		[COMMAND_POOLS_SHOW] = pools_show,
		[COMMAND_POOLS_DEL] = pools_del,
		[COMMAND_HAPROXY_RENDER] = haproxy_render,
		[COMMAND_HAPROXY_CHECK] = haproxy_check,
		[COMMAND_HAPROXY_RELOAD] = haproxy_reload,
		[COMMAND_HAPROXY_STATUS] = haproxy_status,
		[COMMAND_STATUS] = status_show,
		[COMMAND_REQUESTS_LIST] = requests_list,
		[COMMAND_EXPORT] = export_show,
		[COMMAND_APPLY] = apply_document,
		[COMMAND_BACKUP] = backup_make,
	};

	return handlers[id];
}
