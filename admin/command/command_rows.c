#include "admin/command/command_rows.h"

#include "common/provider.h"

#define NO_RELOAD                                                                                  \
	{                                                                                          \
		.name = "no-reload",                                                               \
		.type = COMMAND_FLAG,                                                              \
		.help = "do not reload HAProxy now; the change is pending until the next reload",  \
	},                                                                                         \
	{                                                                                          \
		.name = "no-wait", .type = COMMAND_FLAG,                                           \
		.help = "do not wait for a reload that this change shares with others; exit 1 if " \
			"it is still to come",                                                     \
	}
#define NUMBER(text, what)                                                                         \
	{                                                                                          \
		.name = (text), .metavar = "N", .type = COMMAND_NUMBER, .max = UINT32_MAX,         \
		.help = (what)                                                                     \
	}
#define REQUEST_LIMITS                                                                             \
	NUMBER("rps", "requests per second; 0 = unlimited"),                                       \
		NUMBER("rpm", "requests per minute; 0 = unlimited"),                               \
		NUMBER("rph", "requests per hour; 0 = unlimited"),                                 \
		NUMBER("concurrency", "concurrent requests; 0 = unlimited"),                       \
		NUMBER("daily", "requests per day; 0 = unlimited"),                                \
		NUMBER("monthly", "requests per month; 0 = unlimited")
#define ALLOW_IP                                                                                   \
	{                                                                                          \
		.name = "allow-ip", .metavar = "CIDR,...", .type = COMMAND_NETWORKS,               \
		.clearable = true, .help = "networks that requests may come from; '' = any",       \
	}
#define HEADERS                                                                                    \
	{                                                                                          \
		.name = "header", .field = "headers", .metavar = "'NAME: VALUE'",                  \
		.type = COMMAND_HEADERS, .clearable = true,                                        \
		.help = "extra request header, repeatable; replaces all earlier ones; "            \
			"'' = none",                                                               \
	}
#define TEXT(text, meta, what)                                                                     \
	{                                                                                          \
		.name = (text), .metavar = (meta), .type = COMMAND_TEXT, .clearable = true,        \
		.help = (what)                                                                     \
	}
#define COLUMN(f, t, k)                                                                            \
	{                                                                                          \
		.field = (f), .title = (t), .kind = (k)                                            \
	}
#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

static const struct command_option tenant_options[] = {
	REQUEST_LIMITS,
	ALLOW_IP,
	{.name = "pool",
		.metavar = "POOL",
		.type = COMMAND_NAME,
		.clearable = true,
		.help = "pool for keys without a pool; '' = none"},
	{.name = "wait",
		.metavar = "refuse|DURATION|forever",
		.type = COMMAND_DURATION,
		.choices = "refuse|forever",
		.max = (uint64_t)10 * 60 * 1000,
		.help = "whether a request waits when all slots are taken"},
	{.name = "shadow",
		.metavar = "on|off",
		.type = COMMAND_SWITCH,
		.help = "count requests beyond the limits, but do not refuse them"},
	{.name = "own",
		.metavar = "on|off",
		.type = COMMAND_SWITCH,
		.help = "tenant of the operator: also served in self-use mode"},
	END,
};

static const struct command_option token_issue_options[] = {
	{.name = "tenant",
		.metavar = "TENANT",
		.type = COMMAND_NAME,
		.required = true,
		.help = "tenant of the key"},
	{.name = "pool",
		.metavar = "POOL",
		.type = COMMAND_NAME,
		.help = "pool to use instead of the tenant's"},
	TEXT("name", "TEXT", "label for people"),
	{.name = "ttl",
		.metavar = "DURATION",
		.type = COMMAND_DURATION,
		.min = 1,
		.help = "lifetime, e.g. 30d; without it the key never expires"},
	REQUEST_LIMITS,
	ALLOW_IP,
	{.name = "count",
		.metavar = "N",
		.type = COMMAND_NUMBER,
		.min = 1,
		.max = 10000,
		.help = "number of keys to make with these options"},
	END,
};

static const struct command_option token_list_options[] = {
	{.name = "tenant",
		.metavar = "TENANT",
		.type = COMMAND_NAME,
		.help = "only those of this tenant"},
	END,
};

static const struct command_option token_rotate_options[] = {
	{.name = "grace",
		.metavar = "DURATION",
		.type = COMMAND_DURATION,
		.help = "time that the old key stays valid, e.g. 1h; without it the old key is revoked at once"},
	END,
};

#define UPSTREAM_OPTIONS(url_is_required)                                                           \
	{.name = "url",                                                                             \
		.metavar = "URL",                                                                   \
		.type = COMMAND_TEXT,                                                               \
		.required = (url_is_required),                                                      \
		.help = "http[s]://HOST[:PORT][/PREFIX]"},                                          \
		{.name = "provider",                                                                \
			.metavar = PROVIDER_CHOICES,                                                \
			.type = COMMAND_CHOICE,                                                     \
			.choices = PROVIDER_CHOICES,                                                \
			.help = "API of the upstream; default " PROVIDER_DEFAULT},                  \
		TEXT("strip", "PREFIX", "path prefix to remove from each request, e.g. /v1"),       \
		HEADERS,                                                                            \
		{.name = "ca-file",                                                                 \
			.field = "ca_pem",                                                          \
			.metavar = "FILE",                                                          \
			.type = COMMAND_CONTENT,                                                    \
			.clearable = true,                                                          \
			.help = "CA certificates (PEM) for the upstream, instead of the system's"}, \
		{.name = "first-byte-timeout",                                                      \
			.metavar = "DURATION",                                                      \
			.type = COMMAND_DURATION,                                                   \
			.max = (uint64_t)86400 * 1000,                                              \
			.help = "longest time without a byte from the upstream; 0 = the default"},  \
		TEXT("token-url", "URL", "URL for refreshes of access tokens"),                     \
		TEXT("client-id", "ID", "OAuth client id for --token-url"),                         \
		TEXT("probe", "PATH",                                                               \
			"path of probes, e.g. /v1/models; none = no probes; '' = the "              \
			"provider's path"),                                                         \
		NO_RELOAD

static const struct command_option upstream_add_options[] = {UPSTREAM_OPTIONS(true), END};
static const struct command_option upstream_set_options[] = {UPSTREAM_OPTIONS(false), END};

#define EGRESS_OPTIONS(group_letter)                                                               \
	{.name = "source",                                                                         \
		.metavar = "IP",                                                                   \
		.type = COMMAND_TEXT,                                                              \
		.group = (group_letter),                                                           \
		.help = "local address to send from"},                                             \
		{.name = "socks4",                                                                 \
			.metavar = "HOST:PORT",                                                    \
			.type = COMMAND_TEXT,                                                      \
			.group = (group_letter),                                                   \
			.help = "SOCKS4 proxy to send through"},                                   \
		{.name = "node",                                                                   \
			.metavar = "HOST:PORT",                                                    \
			.type = COMMAND_TEXT,                                                      \
			.group = (group_letter),                                                   \
			.help = "remote egress node to send through"},                             \
		{.name = "cert",                                                                   \
			.metavar = "FILE",                                                         \
			.type = COMMAND_PATH,                                                      \
			.help = "for --node: our certificate and key, read by HAProxy"},           \
		{.name = "ca",                                                                     \
			.metavar = "FILE",                                                         \
			.type = COMMAND_PATH,                                                      \
			.help = "for --node: CA of the node's certificate, read by HAProxy"},      \
		TEXT("region", "REGION", "region of the egress")

static const struct command_option egress_add_options[] = {
	EGRESS_OPTIONS('E'),
	{.name = "shared", .type = COMMAND_FLAG, .help = "allow several accounts to use it"},
	NO_RELOAD,
	END,
};

static const struct command_option egress_set_options[] = {
	EGRESS_OPTIONS('e'),
	{.name = "shared",
		.metavar = "on|off",
		.type = COMMAND_SWITCH,
		.help = "allow several accounts to use it"},
	NO_RELOAD,
	END,
};

#define ACCOUNT_OPTIONS(group_letter)                                                              \
	{.name = "egress",                                                                         \
		.metavar = "EGRESS,...",                                                           \
		.type = COMMAND_NAMES,                                                             \
		.clearable = true,                                                                 \
		.help = "egresses, preferred ones first; '' = direct"},                            \
		{.name = "token-file",                                                             \
			.field = "token",                                                          \
			.metavar = "FILE",                                                         \
			.type = COMMAND_CONTENT,                                                   \
			.group = (group_letter),                                                   \
			.help = "file with the API key or access token"},                          \
		{.name = "token-stdin",                                                            \
			.field = "token",                                                          \
			.type = COMMAND_STDIN,                                                     \
			.group = (group_letter),                                                   \
			.help = "read the API key or access token from standard input"},           \
		{.name = "auth-json",                                                              \
			.metavar = "FILE",                                                         \
			.type = COMMAND_CONTENT,                                                   \
			.group = (group_letter),                                                   \
			.help = "auth.json of Codex: tokens, account id and expiry"},              \
		{.name = "watch",                                                                  \
			.field = "watch_path",                                                     \
			.type = COMMAND_ORIGIN,                                                    \
			.help = "only read tokens from the file; never refresh them"},             \
		{.name = "weight",                                                                 \
			.metavar = "N",                                                            \
			.type = COMMAND_NUMBER,                                                    \
			.min = 1,                                                                  \
			.max = 1000,                                                               \
			.help = "share of the requests, 1 to 1000; default 100"},                  \
		TEXT("region", "REGION", "region of the account"),                                 \
		NUMBER("rpm", "requests per minute; 0 = unlimited"),                               \
		NUMBER("rph", "requests per hour; 0 = unlimited"),                                 \
		NUMBER("concurrency", "concurrent requests; 0 = unlimited"),                       \
		NUMBER("max-consecutive", "rotate after N consecutive uses; 0 = never"),           \
		{.name = "pace",                                                                   \
			.metavar = "MIN-MAX",                                                      \
			.type = COMMAND_SPAN,                                                      \
			.clearable = true,                                                         \
			.max = (uint64_t)10 * 60 * 1000,                                           \
			.help = "random wait before each request, e.g. 500ms-3s; '' = none"},      \
		HEADERS, NO_RELOAD

static const struct command_option account_add_options[] = {
	{.name = "upstream",
		.metavar = "UPSTREAM",
		.type = COMMAND_NAME,
		.required = true,
		.help = "upstream of the account"},
	ACCOUNT_OPTIONS('C'),
	END,
};
static const struct command_option account_set_options[] = {ACCOUNT_OPTIONS('c'), END};

static const struct command_option account_refresh_options[] = {
	{.name = "wait",
		.type = COMMAND_FLAG,
		.help = "wait for the result, up to 25 s; the refresh continues in any case"},
	END,
};

static const struct command_option suspend_options[] = {
	TEXT("reason", "TEXT", "reason to store and show"),
	END,
};

static const struct command_option account_suspend_risky_options[] = {
	{.name = "risk-above",
		.metavar = "RISK",
		.type = COMMAND_SHARE,
		.required = true,
		.help = "suspend all accounts with a higher risk (0 to 1), e.g. 0.7"},
	TEXT("reason", "TEXT", "reason to store and show"),
	END,
};

static const struct command_option pool_set_options[] = {
	{.name = "strategy",
		.metavar = "STRATEGY",
		.type = COMMAND_CHOICE,
		.choices = "sticky|least-loaded|round-robin",
		.help = "how accounts are chosen; default sticky"},
	{.name = "sticky",
		.metavar = "soft|hard|free",
		.type = COMMAND_CHOICE,
		.choices = "soft|hard|free",
		.help = "whether a conversation with state at its account may leave it: soft (default): "
			"when the account is out for longer than 60 s; hard: never; free: at once"},
	{.name = "wait",
		.metavar = "DURATION",
		.type = COMMAND_DURATION,
		.max = (uint64_t)30 * 1000,
		.help = "how long a request waits when no account is free; default 10s"},
	END,
};

static const struct command_option ban_add_options[] = {
	{.name = "for",
		.metavar = "DURATION",
		.type = COMMAND_DURATION,
		.min = 1,
		.help = "length of the ban, e.g. 10m; without it the ban has no end"},
	TEXT("reason", "TEXT", "reason to store and show"),
	END,
};

static const struct command_option no_reload_options[] = {NO_RELOAD, END};

#define HAPROXY_OPTIONS                                                                             \
	{.name = "bind",                                                                            \
		.metavar = "ADDR",                                                                  \
		.type = COMMAND_TEXTS,                                                              \
		.help = "address for clients, HOST:PORT, repeatable; replaces all earlier ones"},   \
		{.name = "cert",                                                                    \
			.metavar = "FILE",                                                          \
			.type = COMMAND_PATH,                                                       \
			.clearable = true,                                                          \
			.help = "certificate with key (PEM) for clients; '' = plain HTTP"},         \
		{.name = "trust-forwarded",                                                         \
			.metavar = "CIDR,...",                                                      \
			.type = COMMAND_NETWORKS,                                                   \
			.clearable = true,                                                          \
			.help = "networks of proxies that tell the client's address in "            \
				"X-Forwarded-For or Forwarded; '' = none"},                         \
		TEXT("stats", "ADDR",                                                               \
			"address for HAProxy's statistics page and metrics, HOST:PORT; '' = none"), \
		{.name = "replay-body",                                                             \
			.metavar = "48k|144k|off",                                                  \
			.type = COMMAND_CHOICE,                                                     \
			.choices = "48k|144k|off",                                                  \
			.help = "largest body that another account can get within a request; "      \
				"default 48k"},                                                     \
	{                                                                                           \
		.name = "chroot", .metavar = "DIR", .type = COMMAND_PATH, .clearable = true,        \
		.help = "HAProxy's chroot, / for none; '' = as in [haproxy] config"                 \
	}

static const struct command_option haproxy_render_options[] = {
	{.name = "out",
		.metavar = "DIR",
		.type = COMMAND_PATH,
		.required = true,
		.help = "directory for the files"},
	HAPROXY_OPTIONS,
	{.name = "accept-proxy",
		.type = COMMAND_FLAG,
		.help = "clients connect through a load balancer that sends the PROXY protocol"},
	END,
};

static const struct command_option haproxy_set_options[] = {
	HAPROXY_OPTIONS,
	{.name = "accept-proxy",
		.metavar = "on|off",
		.type = COMMAND_SWITCH,
		.help = "clients connect through a load balancer that sends the PROXY protocol"},
	END,
};

static const struct command_option request_list_options[] = {
	{.name = "last",
		.metavar = "N",
		.type = COMMAND_NUMBER,
		.max = 5000,
		.help = "number of requests; default 100"},
	{.name = "tenant",
		.metavar = "TENANT",
		.type = COMMAND_NAME,
		.help = "only those of this tenant"},
	END,
};

static const struct command_option notice_list_options[] = {
	{.name = "all", .type = COMMAND_FLAG, .help = "include acknowledged notices"},
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
			.repeats = true, .optional = (accounts_are_optional)                       \
		}                                                                                  \
	}
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
			COLUMN("expires_at", "EXPIRES", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
	[COMMAND_TOKENS_SHOW] = {"tokens", "show", "GET", "/v1/tokens/{}",
		"shows the settings of a key, never the key itself", ID_IN_PATH,
		.answer = ANSWER_OBJECT},
	[COMMAND_TOKENS_REVOKE] = {"tokens", "revoke", "POST", "/v1/tokens/{}/revoke",
		"revokes a key at once", ID_IN_PATH, CHANGE},
	[COMMAND_TOKENS_ROTATE] = {"tokens", "rotate", "POST", "/v1/tokens/{}/rotate",
		"makes a new key that replaces this one", ID_IN_PATH, token_rotate_options,
		.answer = ANSWER_TOKEN, CHANGE},

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
			COLUMN("state", "STATE", COLUMN_PLAIN),
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
			COLUMN("state", "STATE", COLUMN_PLAIN),
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
		"shows processes, store, HAProxy, pools, accounts and last errors",
		.answer = ANSWER_STATUS},
	[COMMAND_REQUESTS_LIST] = {"requests", "list", "GET", "/v1/requests",
		"lists the last requests", .options = request_list_options,
		.columns = {COLUMN("id", "ID", COLUMN_PLAIN), COLUMN("time", "TIME", COLUMN_PLAIN),
			COLUMN("tenant", "TENANT", COLUMN_PLAIN),
			COLUMN("account", "ACCOUNT", COLUMN_PLAIN),
			COLUMN("egress", "EGRESS", COLUMN_PLAIN),
			COLUMN("status", "STATUS", COLUMN_PLAIN),
			COLUMN("code", "CODE", COLUMN_PLAIN),
			COLUMN("bytes_in", "IN", COLUMN_BYTES),
			COLUMN("bytes_out", "OUT", COLUMN_BYTES),
			COLUMN("ttfb_ms", "TTFB", COLUMN_MS),
			COLUMN("duration_ms", "DURATION", COLUMN_MS),
			COLUMN("ended", "ENDED", COLUMN_PLAIN)},
		.answer = ANSWER_LIST},
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
	{"export", NULL},
	{"apply", NULL},
	{"backup", NULL},
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
