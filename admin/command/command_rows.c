#include "admin/command/command_rows.h"

#include "admin/command/command_form.h"
#include "admin/command/command_options.h"

#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}
#define COLUMN(f, t, k)                                                                            \
	{                                                                                          \
		.field = (f), .title = (t), .kind = (k)                                            \
	}
static const struct command_option request_list_options[] = {
	{.name = "last",
		.metavar = "N",
		.type = COMMAND_NUMBER,
		.help = "number of requests; default 100, 0 = all"},
	{.name = "tenant",
		.metavar = "TENANT",
		.type = COMMAND_NAME,
		.help = "only those of this tenant"},
	{.name = "account",
		.metavar = "ACCOUNT",
		.type = COMMAND_NAME,
		.help = "only those that this account served last"},
	{.name = "key",
		.metavar = "ID",
		.type = COMMAND_NUMBER,
		.max = UINT32_MAX,
		.help = "only those of this relay key"},
	{.name = "status",
		.metavar = "STATUS",
		.type = COMMAND_TEXT,
		.form = form_status,
		.help = "only those with this status, as 429, or a class, as 5xx"},
	{.name = "code",
		.metavar = "CODE",
		.type = COMMAND_TEXT,
		.form = form_code,
		.help = "only those refused with this error code"},
	{.name = "since",
		.metavar = "TIME",
		.type = COMMAND_TEXT,
		.form = form_time,
		.help = "only those that began at this time or later: 2026-01-31T08:00:00Z, or 2h ago as 2h"},
	{.name = "until",
		.metavar = "TIME",
		.type = COMMAND_TEXT,
		.form = form_time,
		.help = "only those that began before this time"},
	{.name = "cursor",
		.metavar = "N",
		.type = COMMAND_NUMBER,
		.help = "begin where a page with this `next` ended"},
	END,
};

static const struct command_option notice_list_options[] = {
	{.name = "all", .type = COMMAND_FLAG, .help = "include acknowledged notices"},
	END,
};

static const struct command_option doctor_options[] = {
	{.name = "config",
		.metavar = "FILE",
		.type = COMMAND_PATH,
		.help = "the relay's configuration; default /etc/spoa-relay/spoa-relay.conf"},
	{.name = "units",
		.metavar = "DIR",
		.type = COMMAND_PATH,
		.help = "systemd's units; default /etc/systemd/system"},
	END,
};

#define NAME_IN_PATH                                                                               \
	{                                                                                          \
		{                                                                                  \
			.metavar = "NAME", .type = COMMAND_NAME                                    \
		}                                                                                  \
	}
#define NAME_IN_BODY                                                                               \
	{                                                                                          \
		{                                                                                  \
			.metavar = "NAME", .field = "name", .type = COMMAND_NAME                   \
		}                                                                                  \
	}
#define ID_IN_PATH                                                                                 \
	{                                                                                          \
		{                                                                                  \
			.metavar = "ID", .type = COMMAND_NUMBER                                    \
		}                                                                                  \
	}
/* In a body or a query: the slash of a network would split a path. */
#define NETWORK                                                                                    \
	{                                                                                          \
		{                                                                                  \
			.metavar = "CIDR", .field = "network", .type = COMMAND_NETWORK             \
		}                                                                                  \
	}
#define POOL_AND_ACCOUNTS(accounts_are_optional)                                                   \
	{                                                                                          \
		{.metavar = "POOL", .type = COMMAND_NAME},                                         \
		{                                                                                  \
			.metavar = "ACCOUNT", .field = "accounts", .type = COMMAND_NAMES,          \
			.repeats = true, .optional = (accounts_are_optional),                      \
			.max = COMMAND_MEMBERS_MAX                                                 \
		}                                                                                  \
	}
#define NAMED_NOUNS "tenants|upstreams|egress|accounts|pools"
#define CHANGE .authority = AUTHORITY_ADMIN, .changes = true

static const struct command rows[COMMAND_COUNT] = {
	[COMMAND_TENANTS_ADD] = {"tenants", "add", "POST", "/v1/tenants", "adds a tenant",
		NAME_IN_BODY, tenant_options, CHANGE},
	[COMMAND_TENANTS_SET] = {"tenants", "set", "PATCH", "/v1/tenants/{}",
		"changes the given options and keeps the others", NAME_IN_PATH, tenant_options,
		CHANGE},
	[COMMAND_TENANTS_LIST] = {"tenants", "list", "GET", "/v1/tenants", "lists the tenants",
		.columns = {COLUMN("name", "NAME", COLUMN_PLAIN),
			COLUMN("state", "STATE", COLUMN_PLAIN),
			COLUMN("pool", "POOL", COLUMN_PLAIN), COLUMN("keys", "KEYS", COLUMN_PLAIN),
			COLUMN("rps", "RPS", COLUMN_LIMIT), COLUMN("rpm", "RPM", COLUMN_LIMIT),
			COLUMN("rph", "RPH", COLUMN_LIMIT),
			COLUMN("concurrency", "CONC", COLUMN_LIMIT),
			COLUMN("daily", "DAILY", COLUMN_LIMIT),
			COLUMN("monthly", "MONTHLY", COLUMN_LIMIT),
			COLUMN("wait", "WAIT", COLUMN_PLAIN),
			COLUMN("shadow", "SHADOW", COLUMN_PLAIN),
			COLUMN("allow_ip", "ALLOW-IP", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_TENANTS_SHOW] = {"tenants", "show", "GET", "/v1/tenants/{}", "shows a tenant",
		NAME_IN_PATH, .answer = ANSWER_OBJECT},
	[COMMAND_TENANTS_ENABLE] = {"tenants", "enable", "POST", "/v1/tenants/{}/enable",
		"serves the tenant's requests again", NAME_IN_PATH, CHANGE},
	[COMMAND_TENANTS_DISABLE] = {"tenants", "disable", "POST", "/v1/tenants/{}/disable",
		"refuses all requests of the tenant", NAME_IN_PATH, CHANGE},
	[COMMAND_TENANTS_DEL] = {"tenants", "del", "DELETE", "/v1/tenants/{}",
		"deletes a tenant without live keys", NAME_IN_PATH, CHANGE},

	[COMMAND_TOKENS_ISSUE] = {"tokens", "issue", "POST", "/v1/tokens",
		"makes a relay key, which is shown only once", .options = token_issue_options,
		.answer = ANSWER_TOKEN, CHANGE},
	[COMMAND_TOKENS_LIST] = {"tokens", "list", "GET", "/v1/tokens",
		"lists the keys by id and last four characters", .options = token_list_options,
		.columns = {COLUMN("id", "ID", COLUMN_PLAIN),
			COLUMN("tenant", "TENANT", COLUMN_PLAIN),
			COLUMN("pool", "POOL", COLUMN_PLAIN), COLUMN("name", "NAME", COLUMN_PLAIN),
			COLUMN("last4", "LAST4", COLUMN_PLAIN),
			COLUMN("state", "STATE", COLUMN_PLAIN), COLUMN("rps", "RPS", COLUMN_LIMIT),
			COLUMN("rpm", "RPM", COLUMN_LIMIT), COLUMN("rph", "RPH", COLUMN_LIMIT),
			COLUMN("concurrency", "CONC", COLUMN_LIMIT),
			COLUMN("daily", "DAILY", COLUMN_LIMIT),
			COLUMN("monthly", "MONTHLY", COLUMN_LIMIT),
			COLUMN("allow_ip", "ALLOW-IP", COLUMN_PLAIN),
			COLUMN("created_at", "CREATED", COLUMN_PLAIN),
			COLUMN("expires_at", "EXPIRES", COLUMN_PLAIN),
			COLUMN("last_used_at", "LAST-USED", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_TOKENS_SHOW] = {"tokens", "show", "GET", "/v1/tokens/{}",
		"shows the settings of a key, never the key itself", ID_IN_PATH,
		.answer = ANSWER_OBJECT},
	[COMMAND_TOKENS_REVOKE] = {"tokens", "revoke", "POST", "/v1/tokens/{}/revoke",
		"revokes a key at once", ID_IN_PATH, CHANGE},
	[COMMAND_TOKENS_ROTATE] = {"tokens", "rotate", "POST", "/v1/tokens/{}/rotate",
		"makes a new key that replaces this one", ID_IN_PATH, token_rotate_options,
		.answer = ANSWER_TOKEN, CHANGE},
	[COMMAND_TOKENS_DEL] = {"tokens", "del", "DELETE", "/v1/tokens/{}",
		"deletes a key that is revoked or has expired", ID_IN_PATH, CHANGE},

	[COMMAND_UPSTREAMS_ADD] = {"upstreams", "add", "POST", "/v1/upstreams", "adds an upstream",
		NAME_IN_BODY, upstream_add_options, CHANGE},
	[COMMAND_UPSTREAMS_SET] = {"upstreams", "set", "PATCH", "/v1/upstreams/{}",
		"changes the given options and keeps the others", NAME_IN_PATH,
		upstream_set_options, CHANGE},
	[COMMAND_UPSTREAMS_LIST] = {"upstreams", "list", "GET", "/v1/upstreams",
		"lists the upstreams",
		.columns = {COLUMN("name", "NAME", COLUMN_PLAIN),
			COLUMN("provider", "PROVIDER", COLUMN_PLAIN),
			COLUMN("url", "URL", COLUMN_PLAIN), COLUMN("strip", "STRIP", COLUMN_PLAIN),
			COLUMN("first_byte_timeout", "TIMEOUT", COLUMN_PLAIN),
			COLUMN("accounts", "ACCOUNTS", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_UPSTREAMS_SHOW] = {"upstreams", "show", "GET", "/v1/upstreams/{}",
		"shows an upstream", NAME_IN_PATH, .answer = ANSWER_OBJECT},
	[COMMAND_UPSTREAMS_DEL] = {"upstreams", "del", "DELETE", "/v1/upstreams/{}",
		"deletes an upstream that nothing uses", NAME_IN_PATH, no_reload_options, CHANGE},

	[COMMAND_EGRESS_ADD] = {"egress", "add", "POST", "/v1/egress", "adds an egress",
		NAME_IN_BODY, egress_add_options, CHANGE},
	[COMMAND_EGRESS_SET] = {"egress", "set", "PATCH", "/v1/egress/{}",
		"changes the given options and keeps the others", NAME_IN_PATH, egress_set_options,
		CHANGE},
	[COMMAND_EGRESS_LIST] = {"egress", "list", "GET", "/v1/egress", "lists the egresses",
		.columns = {COLUMN("name", "NAME", COLUMN_PLAIN),
			COLUMN("kind", "KIND", COLUMN_PLAIN),
			COLUMN("address", "ADDRESS", COLUMN_PLAIN),
			COLUMN("region", "REGION", COLUMN_PLAIN),
			COLUMN("shared", "SHARED", COLUMN_PLAIN),
			COLUMN("accounts", "ACCOUNTS", COLUMN_PLAIN),
			COLUMN("state", "STATE", COLUMN_STATE),
			COLUMN("seen_ip", "SEEN", COLUMN_PLAIN),
			COLUMN("reason", "REASON", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_EGRESS_SHOW] = {"egress", "show", "GET", "/v1/egress/{}", "shows an egress",
		NAME_IN_PATH, .answer = ANSWER_OBJECT},
	[COMMAND_EGRESS_DEL] = {"egress", "del", "DELETE", "/v1/egress/{}",
		"deletes an egress that no account uses", NAME_IN_PATH, no_reload_options, CHANGE},
	[COMMAND_EGRESS_CHECK] = {"egress", "check", "POST", "/v1/egress/check",
		"checks which address the echo endpoint sees, for one egress or all",
		{{.metavar = "NAME", .field = "name", .type = COMMAND_NAME, .optional = true}},
		.columns = {COLUMN("name", "NAME", COLUMN_PLAIN),
			COLUMN("kind", "KIND", COLUMN_PLAIN),
			COLUMN("expected", "EXPECTED", COLUMN_PLAIN),
			COLUMN("seen", "SEEN", COLUMN_PLAIN),
			COLUMN("result", "RESULT", COLUMN_PLAIN),
			COLUMN("reason", "REASON", COLUMN_PLAIN)},
		.answer = ANSWER_LIST, .authority = AUTHORITY_ADMIN},
	[COMMAND_EGRESS_SUSPEND] = {"egress", "suspend", "POST", "/v1/egress/{}/suspend",
		"takes an egress out of use at once, until it is resumed", NAME_IN_PATH,
		suspend_options, CHANGE},
	[COMMAND_EGRESS_RESUME] = {"egress", "resume", "POST", "/v1/egress/{}/resume",
		"uses a suspended egress again and forgets its failures", NAME_IN_PATH, CHANGE},

	[COMMAND_ACCOUNTS_ADD] = {"accounts", "add", "POST", "/v1/accounts",
		"adds an account with its credential", NAME_IN_BODY, account_add_options, CHANGE},
	[COMMAND_ACCOUNTS_SET] = {"accounts", "set", "PATCH", "/v1/accounts/{}",
		"changes the given options and keeps the others", NAME_IN_PATH, account_set_options,
		CHANGE},
	[COMMAND_ACCOUNTS_LIST] = {"accounts", "list", "GET", "/v1/accounts", "lists the accounts",
		.columns = {COLUMN("name", "NAME", COLUMN_PLAIN),
			COLUMN("upstream", "UPSTREAM", COLUMN_PLAIN),
			COLUMN("state", "STATE", COLUMN_STATE),
			COLUMN("until_s", "FOR", COLUMN_SPAN),
			COLUMN("in_use", "IN-USE", COLUMN_PLAIN),
			COLUMN("risk", "RISK", COLUMN_PLAIN), COLUMN("used", "USED", COLUMN_PLAIN),
			COLUMN("egress", "EGRESS", COLUMN_PLAIN),
			COLUMN("weight", "WEIGHT", COLUMN_PLAIN),
			COLUMN("rpm", "RPM", COLUMN_LIMIT), COLUMN("rph", "RPH", COLUMN_LIMIT),
			COLUMN("concurrency", "CONC", COLUMN_LIMIT),
			COLUMN("pools", "POOLS", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_ACCOUNTS_SHOW] = {"accounts", "show", "GET", "/v1/accounts/{}",
		"shows an account, without its credential", NAME_IN_PATH, .answer = ANSWER_OBJECT},
	[COMMAND_ACCOUNTS_SUSPEND] = {"accounts", "suspend", "POST", "/v1/accounts/{}/suspend",
		"takes an account out of use until it is resumed", NAME_IN_PATH, suspend_options,
		CHANGE},
	[COMMAND_ACCOUNTS_SUSPEND_RISKY] = {"accounts", "suspend", "POST", "/v1/accounts/suspend",
		"suspends all accounts above a risk and lists them",
		.options = account_suspend_risky_options,
		.columns = {COLUMN("name", "SUSPENDED", COLUMN_PLAIN),
			COLUMN("upstream", "UPSTREAM", COLUMN_PLAIN),
			COLUMN("risk", "RISK", COLUMN_PLAIN),
			COLUMN("suspend_reason", "REASON", COLUMN_PLAIN)},
		.answer = ANSWER_LIST, CHANGE},
	[COMMAND_ACCOUNTS_RESUME] = {"accounts", "resume", "POST", "/v1/accounts/{}/resume",
		"uses a suspended account again and forgets its failures", NAME_IN_PATH, CHANGE},
	[COMMAND_ACCOUNTS_RESET] = {"accounts", "reset", "POST", "/v1/accounts/{}/reset",
		"clears the failures of an account: circuit, cool-down, limits of the "
		"upstream",
		NAME_IN_PATH, CHANGE},
	[COMMAND_ACCOUNTS_REFRESH] = {"accounts", "refresh", "POST", "/v1/accounts/{}/refresh",
		"refreshes the access token of an account now", NAME_IN_PATH,
		account_refresh_options, .answer = ANSWER_OBJECT, .authority = AUTHORITY_ADMIN},
	[COMMAND_ACCOUNTS_CHECK] = {"accounts", "check", "POST", "/v1/accounts/{}/check",
		"probes an account now, through its egress", NAME_IN_PATH, .answer = ANSWER_OBJECT,
		.authority = AUTHORITY_ADMIN},
	[COMMAND_ACCOUNTS_DEL] = {"accounts", "del", "DELETE", "/v1/accounts/{}",
		"deletes an account that is in no pool, with its credential", NAME_IN_PATH,
		no_reload_options, CHANGE},

	[COMMAND_POOLS_ADD] = {"pools", "add", "POST", "/v1/pools/{}/add",
		"adds accounts to a pool; those that are in it keep their places",
		POOL_AND_ACCOUNTS(false), CHANGE},
	[COMMAND_POOLS_REMOVE] = {"pools", "remove", "POST", "/v1/pools/{}/remove",
		"removes accounts from a pool; the last one stays", POOL_AND_ACCOUNTS(false),
		CHANGE},
	[COMMAND_POOLS_SET] = {"pools", "set", "PUT", "/v1/pools/{}",
		"makes a pool of accounts of one upstream, or changes what is given; the accounts "
		"given replace all earlier ones",
		POOL_AND_ACCOUNTS(true), pool_set_options, CHANGE},
	[COMMAND_POOLS_LIST] = {"pools", "list", "GET", "/v1/pools", "lists the pools",
		.columns = {COLUMN("name", "NAME", COLUMN_PLAIN),
			COLUMN("upstream", "UPSTREAM", COLUMN_PLAIN),
			COLUMN("strategy", "STRATEGY", COLUMN_PLAIN),
			COLUMN("sticky", "STICKY", COLUMN_PLAIN),
			COLUMN("resources", "RESOURCES", COLUMN_PLAIN),
			COLUMN("wait", "WAIT", COLUMN_PLAIN),
			COLUMN("accounts", "ACCOUNTS", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_POOLS_SHOW] = {"pools", "show", "GET", "/v1/pools/{}", "shows a pool",
		{{.metavar = "POOL", .type = COMMAND_NAME}}, .answer = ANSWER_OBJECT},
	[COMMAND_POOLS_DEL] = {"pools", "del", "DELETE", "/v1/pools/{}",
		"deletes a pool that no tenant and no key uses",
		{{.metavar = "POOL", .type = COMMAND_NAME}}, CHANGE},

	[COMMAND_BANS_ADD] = {"bans", "add", "POST", "/v1/bans",
		"refuses all requests from an address or network", NETWORK, ban_add_options,
		CHANGE},
	[COMMAND_BANS_LIST] = {"bans", "list", "GET", "/v1/bans", "lists the bans in force",
		.columns = {COLUMN("network", "NETWORK", COLUMN_PLAIN),
			COLUMN("source", "SOURCE", COLUMN_PLAIN),
			COLUMN("reason", "REASON", COLUMN_PLAIN),
			COLUMN("created_at", "CREATED", COLUMN_PLAIN),
			COLUMN("expires_at", "EXPIRES", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_BANS_DEL] = {"bans", "del", "DELETE", "/v1/bans", "lifts a ban", NETWORK, CHANGE},

	[COMMAND_SITE_SHOW] = {"site", "show", "GET", "/v1/site",
		"shows the switches for all tenants", .answer = ANSWER_OBJECT},
	[COMMAND_SITE_ENABLE] = {"site", "enable", "POST", "/v1/site/enable",
		"serves requests again", CHANGE},
	[COMMAND_SITE_DISABLE] = {"site", "disable", "POST", "/v1/site/disable",
		"refuses all requests of all tenants", CHANGE},
	[COMMAND_SITE_SELF_USE] = {"site", "self-use", "POST", "/v1/site/self-use",
		"on: serves only tenants with --own on; off: serves all",
		{{.metavar = "on|off", .field = "on", .type = COMMAND_SWITCH}}, CHANGE},

	[COMMAND_HAPROXY_RENDER] = {"haproxy", "render", "POST", "/v1/haproxy/render",
		"renders HAProxy's files, now and after each change; options that are not given "
		"stay as they are",
		.options = haproxy_render_options, .answer = ANSWER_OBJECT,
		.authority = AUTHORITY_ADMIN},
	[COMMAND_HAPROXY_OPTIONS] = {"haproxy", "options", "GET", "/v1/haproxy/options",
		"shows the options of haproxy render", .answer = ANSWER_OBJECT},
	[COMMAND_HAPROXY_OPTIONS_SET] = {"haproxy", "options", "PATCH", "/v1/haproxy/options",
		"changes the given options, keeps the others, and renders HAProxy's files",
		.options = haproxy_set_options, .answer = ANSWER_OBJECT,
		.authority = AUTHORITY_ADMIN},
	[COMMAND_HAPROXY_CHECK] = {"haproxy", "check", "POST", "/v1/haproxy/check",
		"checks the rendered files with HAProxy", .answer = ANSWER_OBJECT,
		.authority = AUTHORITY_ADMIN},
	[COMMAND_HAPROXY_RELOAD] = {"haproxy", "reload", "POST", "/v1/haproxy/reload",
		"renders, checks and reloads HAProxy", .answer = ANSWER_OBJECT,
		.authority = AUTHORITY_ADMIN},
	[COMMAND_HAPROXY_STATUS] = {"haproxy", "status", "GET", "/v1/haproxy",
		"shows what HAProxy runs and which changes are pending", .answer = ANSWER_OBJECT},

	[COMMAND_STATUS] = {"status", NULL, "GET", "/v1/status",
		"says what is wrong, and shows processes, store, HAProxy, pools, accounts and last errors",
		.options = status_options, .answer = ANSWER_STATUS},
	[COMMAND_REQUESTS_LIST] = {"requests", "list", "GET", "/v1/requests",
		"lists the last requests", .options = request_list_options,
		.columns = {COLUMN("id", "ID", COLUMN_PLAIN), COLUMN("time", "TIME", COLUMN_PLAIN),
			COLUMN("tenant", "TENANT", COLUMN_PLAIN),
			COLUMN("account", "ACCOUNT", COLUMN_PLAIN),
			COLUMN("egress", "EGRESS", COLUMN_PLAIN),
			COLUMN("status", "STATUS", COLUMN_PLAIN),
			COLUMN("code", "CODE", COLUMN_PLAIN),
			COLUMN("retries", "RETRIES", COLUMN_PLAIN),
			COLUMN("path", "PATH", COLUMN_PLAIN),
			COLUMN("bytes_in", "IN", COLUMN_BYTES),
			COLUMN("bytes_out", "OUT", COLUMN_BYTES),
			COLUMN("ttfb_ms", "TTFB", COLUMN_MS),
			COLUMN("duration_ms", "DURATION", COLUMN_MS),
			COLUMN("ended", "ENDED", COLUMN_PLAIN)},
		.answer = ANSWER_PAGES},
	[COMMAND_REQUESTS_WHY] = {"requests", "why", "GET", "/v1/requests/{}/why",
		"shows the state of the limits and why each account was or was not chosen",
		{{.metavar = "REQUEST_ID", .type = COMMAND_REQUEST}}, .answer = ANSWER_STATUS},
	[COMMAND_NOTICES_LIST] = {"notices", "list", "GET", "/v1/notices",
		"lists the open problems, newest first", .options = notice_list_options,
		.columns = {COLUMN("id", "ID", COLUMN_PLAIN), COLUMN("kind", "KIND", COLUMN_PLAIN),
			COLUMN("subject", "SUBJECT", COLUMN_PLAIN),
			COLUMN("count", "COUNT", COLUMN_PLAIN),
			COLUMN("last_at", "LAST", COLUMN_PLAIN),
			COLUMN("acked_at", "ACKED", COLUMN_PLAIN),
			COLUMN("message", "MESSAGE", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_NOTICES_ACK] = {"notices", "ack", "POST", "/v1/notices/{}/ack",
		"acknowledges a notice", ID_IN_PATH, CHANGE},
	[COMMAND_VAULT_STATUS] = {"vault", "status", "GET", "/v1/vault",
		"shows which keys encrypt the credentials, and how far a rotation is",
		.answer = ANSWER_OBJECT},
	[COMMAND_VAULT_ROTATE] = {"vault", "rotate", "POST", "/v1/vault/rotate",
		"renews the key file and the key that encrypts the credentials, while the relay runs",
		.options = vault_rotate_options, .answer = ANSWER_OBJECT,
		.authority = AUTHORITY_ADMIN},
	[COMMAND_NAMES_LIST] = {"names", NULL, "GET", "/v1/names",
		"lists the names of all things of a kind, as completion does",
		{{.metavar = NAMED_NOUNS,
			.field = "of",
			.type = COMMAND_CHOICE,
			.choices = NAMED_NOUNS}},
		.answer = ANSWER_NAMES},
	[COMMAND_EXPORT] = {"export", NULL, "GET", "/v1/export",
		"prints the configuration as one JSON document, without credentials",
		.answer = ANSWER_JSON},
	[COMMAND_APPLY] = {"apply", NULL, "POST", "/v1/apply",
		"adds and changes what an exported document names; deletes nothing",
		{{.metavar = "FILE", .type = COMMAND_DOCUMENT}}, no_reload_options,
		.answer = ANSWER_CHANGES, CHANGE},
	[COMMAND_BACKUP] = {"backup", NULL, "GET", "/v1/backup",
		"writes a consistent copy of the store; credentials stay encrypted",
		{{.metavar = "FILE", .type = COMMAND_OUTPUT}}, .answer = ANSWER_FILE,
		.authority = AUTHORITY_ADMIN},
	[COMMAND_DOCTOR] = {"doctor", NULL, NULL, NULL,
		"checks this installation and says what to do", .options = doctor_options},
};

static const struct command_noun nouns[] = {
	{"tenants", "owners of relay keys, with their limits"},
	{"tokens", "relay keys of tenants"},
	{"upstreams", "services that requests go to"},
	{"egress", "the source addresses that upstreams see"},
	{"accounts", "accounts at upstreams, with their credentials"},
	{"pools", "groups of accounts that serve the same requests"},
	{"bans", "addresses and networks whose requests are refused"},
	{"site", "switches for all tenants"},
	{"haproxy", "HAProxy's configuration"},
	{"status", NULL},
	{"requests", "the last requests, and the reasons of each decision"},
	{"notices", "problems that need an operator, such as suspended accounts"},
	{"vault", "the keys that encrypt the credentials"},
	{"names", NULL},
	{"export", NULL},
	{"apply", NULL},
	{"backup", NULL},
	{"doctor", NULL},
	{NULL, NULL},
};

const struct command *command_row(enum command_id id)
{
	return &rows[id];
}

const struct command_noun *command_nouns(void)
{
	return nouns;
}
