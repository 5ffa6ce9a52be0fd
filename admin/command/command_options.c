#include "admin/command/command_options.h"

#include "admin/command/command_form.h"
#include "common/provider.h"
#include "haproxy/render.h"

#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}
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
#define FORMED(text, meta, judge, what)                                                            \
	{                                                                                          \
		.name = (text), .metavar = (meta), .type = COMMAND_TEXT, .clearable = true,        \
		.form = (judge), .help = (what)                                                    \
	}
#define TEXT(text, meta, bytes, what)                                                              \
	{                                                                                          \
		.name = (text), .metavar = (meta), .type = COMMAND_TEXT, .clearable = true,        \
		.max = (bytes), .help = (what)                                                     \
	}
#define REASON TEXT("reason", "TEXT", COMMAND_REASON_MAX, "reason to store and show")
#define LABEL_MAX 64

const struct command_option tenant_options[] = {
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

const struct command_option token_issue_options[] = {
	{.name = "tenant",
		.metavar = "TENANT",
		.type = COMMAND_NAME,
		.required = true,
		.help = "tenant of the key"},
	{.name = "pool",
		.metavar = "POOL",
		.type = COMMAND_NAME,
		.help = "pool to use instead of the tenant's"},
	TEXT("name", "TEXT", LABEL_MAX, "label for people"),
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

const struct command_option token_list_options[] = {
	{.name = "tenant",
		.metavar = "TENANT",
		.type = COMMAND_NAME,
		.help = "only those of this tenant"},
	END,
};

const struct command_option token_rotate_options[] = {
	{.name = "grace",
		.metavar = "DURATION",
		.type = COMMAND_DURATION,
		.help = "time that the old key stays valid, e.g. 1h; without it the old key is revoked at once"},
	END,
};

#define UPSTREAM_OPTIONS(url_is_required)                                                            \
	{.name = "url",                                                                              \
		.metavar = "URL",                                                                    \
		.type = COMMAND_TEXT,                                                                \
		.required = (url_is_required),                                                       \
		.form = form_url,                                                                    \
		.help = "http[s]://HOST[:PORT][/PREFIX]"},                                           \
		{.name = "provider",                                                                 \
			.metavar = PROVIDER_CHOICES,                                                 \
			.type = COMMAND_CHOICE,                                                      \
			.choices = PROVIDER_CHOICES,                                                 \
			.help = "API of the upstream; default " PROVIDER_DEFAULT},                   \
		FORMED("strip", "PREFIX", form_prefix,                                               \
			"path prefix to remove from each request, e.g. /v1"),                        \
		HEADERS,                                                                             \
		{.name = "ca-file",                                                                  \
			.field = "ca_pem",                                                           \
			.metavar = "FILE",                                                           \
			.type = COMMAND_CONTENT,                                                     \
			.clearable = true,                                                           \
			.help = "CA certificates (PEM) for the upstream, instead of the system's"},  \
		{.name = "first-byte-timeout",                                                       \
			.metavar = "DURATION",                                                       \
			.type = COMMAND_DURATION,                                                    \
			.max = (uint64_t)86400 * 1000,                                               \
			.help = "longest time without a byte from the upstream; 0 = the default"},   \
		FORMED("token-url", "URL", form_url, "URL for refreshes of access tokens"),          \
		TEXT("client-id", "ID", 0, "OAuth client id for --token-url"),                       \
		FORMED("probe", "PATH", form_probe,                                                  \
			"path of probes, e.g. /v1/models; none = no probes; '' = the "               \
			"provider's path"),                                                          \
		{.name = "websocket",                                                                \
			.metavar = "on|off",                                                         \
			.type = COMMAND_SWITCH,                                                      \
			.help = "whether clients may open WebSockets to the upstream; default off"}, \
		{.name = "http2",                                                                    \
			.metavar = "on|off",                                                         \
			.type = COMMAND_SWITCH,                                                      \
			.help = "whether HAProxy speaks HTTP/2 with the upstream; default off"},     \
		NO_RELOAD

const struct command_option upstream_add_options[] = {UPSTREAM_OPTIONS(true), END};
const struct command_option upstream_set_options[] = {UPSTREAM_OPTIONS(false), END};

#define EGRESS_OPTIONS(group_letter, of_a_node, with_certificates)                                 \
	{.name = "source",                                                                         \
		.metavar = "IP",                                                                   \
		.type = COMMAND_TEXT,                                                              \
		.group = (group_letter),                                                           \
		.form = form_source,                                                               \
		.help = "local address to send from"},                                             \
		{.name = "socks4",                                                                 \
			.metavar = "HOST:PORT",                                                    \
			.type = COMMAND_TEXT,                                                      \
			.group = (group_letter),                                                   \
			.form = form_socks4,                                                       \
			.help = "SOCKS4 proxy to send through"},                                   \
		{.name = "node",                                                                   \
			.metavar = "HOST:PORT",                                                    \
			.type = COMMAND_TEXT,                                                      \
			.group = (group_letter),                                                   \
			.needs = (with_certificates),                                              \
			.form = form_node,                                                         \
			.help = "remote egress node to send through"},                             \
		{.name = "cert",                                                                   \
			.metavar = "FILE",                                                         \
			.type = COMMAND_PATH,                                                      \
			.needs = (of_a_node),                                                      \
			.form = form_file,                                                         \
			.help = "for --node: our certificate and key, read by HAProxy"},           \
		{.name = "ca",                                                                     \
			.metavar = "FILE",                                                         \
			.type = COMMAND_PATH,                                                      \
			.needs = (of_a_node),                                                      \
			.form = form_file,                                                         \
			.help = "for --node: CA of the node's certificate, read by HAProxy"},      \
		FORMED("region", "REGION", form_region, "region of the egress")

const struct command_option egress_add_options[] = {
	EGRESS_OPTIONS('E', "node", "cert|ca"),
	{.name = "shared", .type = COMMAND_FLAG, .help = "allow several accounts to use it"},
	NO_RELOAD,
	END,
};

const struct command_option egress_set_options[] = {
	EGRESS_OPTIONS('e', NULL, NULL),
	{.name = "shared",
		.metavar = "on|off",
		.type = COMMAND_SWITCH,
		.help = "allow several accounts to use it"},
	NO_RELOAD,
	END,
};

#define ACCOUNT_OPTIONS(group_letter, files, files_help)                                           \
	{.name = "egress",                                                                         \
		.metavar = "EGRESS,...",                                                           \
		.type = COMMAND_NAMES,                                                             \
		.clearable = true,                                                                 \
		.max = 16,                                                                         \
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
			.help = "as --credentials, but takes no token URL and no client id"},      \
		{.name = "credentials",                                                            \
			.metavar = (files),                                                        \
			.type = COMMAND_CONTENT,                                                   \
			.group = (group_letter),                                                   \
			.help = "login that a program wrote: auth.json of Codex, "                 \
				".credentials.json of Claude Code, oauth_creds.json of Gemini "    \
				"CLI, or any with access_token, refresh_token, token_url, "        \
				"client_id" files_help},                                           \
		TEXT("client-id", "ID", 0, "OAuth client id of the login; '' = the upstream's"),   \
		{.name = "client-secret-file",                                                     \
			.field = "client_secret",                                                  \
			.metavar = "FILE",                                                         \
			.type = COMMAND_CONTENT,                                                   \
			.help = "OAuth client secret of the login, if its token host needs one"},  \
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
		FORMED("region", "REGION", form_region, "region of the account"),                  \
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

const struct command_option account_add_options[] = {
	{.name = "upstream",
		.metavar = "UPSTREAM",
		.type = COMMAND_NAME,
		.required = true,
		.help = "upstream of the account"},
	ACCOUNT_OPTIONS('C', "FILE|DIR", "; of a directory each *.json makes an account NAME-FILE"),
	END,
};
const struct command_option account_set_options[] = {ACCOUNT_OPTIONS('c', "FILE", ""), END};

const struct command_option account_refresh_options[] = {
	{.name = "wait",
		.type = COMMAND_FLAG,
		.help = "wait for the result, up to 25 s; the refresh continues in any case"},
	END,
};

const struct command_option vault_rotate_options[] = {
	{.name = "keep-key-file",
		.type = COMMAND_FLAG,
		.help = "renew only the key in the store, for a key file that cannot be replaced"},
	END,
};

const struct command_option suspend_options[] = {
	REASON,
	END,
};

const struct command_option account_suspend_risky_options[] = {
	{.name = "risk-above",
		.metavar = "RISK",
		.type = COMMAND_SHARE,
		.required = true,
		.help = "suspend all accounts with a higher risk (0 to 1), e.g. 0.7"},
	REASON,
	END,
};

const struct command_option pool_set_options[] = {
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
	{.name = "resources",
		.metavar = "exclusive|shared",
		.type = COMMAND_CHOICE,
		.choices = "exclusive|shared",
		.help = "who may use files and other resources of the accounts: exclusive (default): one "
			"tenant alone, else nobody; shared: all tenants of the pool, each those of the "
			"others too"},
	{.name = "wait",
		.metavar = "DURATION",
		.type = COMMAND_DURATION,
		.max = (uint64_t)30 * 1000,
		.help = "how long a request waits when no account is free; default 10s"},
	END,
};

const struct command_option ban_add_options[] = {
	{.name = "for",
		.metavar = "DURATION",
		.type = COMMAND_DURATION,
		.min = 1,
		.help = "length of the ban, e.g. 10m; without it the ban has no end"},
	REASON,
	END,
};

const struct command_option no_reload_options[] = {NO_RELOAD, END};

#define HAPROXY_OPTIONS                                                                             \
	{.name = "bind",                                                                            \
		.metavar = "ADDR",                                                                  \
		.type = COMMAND_TEXTS,                                                              \
		.max = RENDER_BINDS_MAX,                                                            \
		.form = form_listener,                                                              \
		.help = "address for clients, HOST:PORT, repeatable; replaces all earlier ones"},   \
		{.name = "cert",                                                                    \
			.metavar = "FILE",                                                          \
			.type = COMMAND_PATH,                                                       \
			.clearable = true,                                                          \
			.form = form_file,                                                          \
			.help = "certificate with key (PEM) for clients; '' = plain HTTP"},         \
		{.name = "trust-forwarded",                                                         \
			.metavar = "CIDR,...",                                                      \
			.type = COMMAND_NETWORKS,                                                   \
			.clearable = true,                                                          \
			.max = RENDER_TRUSTED_MAX,                                                  \
			.help = "networks of proxies that tell the client's address in "            \
				"X-Forwarded-For or Forwarded; '' = none"},                         \
		FORMED("stats", "ADDR", form_listener,                                              \
			"address for HAProxy's statistics page and metrics, HOST:PORT; '' = none"), \
		{.name = "replay-body",                                                             \
			.metavar = "48k|144k|off",                                                  \
			.type = COMMAND_CHOICE,                                                     \
			.choices = "48k|144k|off",                                                  \
			.help = "largest body that another account can get within a request; "      \
				"default 48k"},                                                     \
	{                                                                                           \
		.name = "chroot", .metavar = "DIR", .type = COMMAND_PATH, .clearable = true,        \
		.form = form_file,                                                                  \
		.help = "HAProxy's chroot, / for none; '' = as in [haproxy] config"                 \
	}

const struct command_option haproxy_render_options[] = {
	{.name = "out",
		.metavar = "DIR",
		.type = COMMAND_PATH,
		.required = true,
		.form = form_file,
		.help = "directory for the files"},
	HAPROXY_OPTIONS,
	{.name = "accept-proxy",
		.type = COMMAND_FLAG,
		.help = "clients connect through a load balancer that sends the PROXY protocol"},
	END,
};

const struct command_option haproxy_set_options[] = {
	HAPROXY_OPTIONS,
	{.name = "accept-proxy",
		.metavar = "on|off",
		.type = COMMAND_SWITCH,
		.help = "clients connect through a load balancer that sends the PROXY protocol"},
	END,
};

const struct command_option status_options[] = {
	{.name = "check", .type = COMMAND_FLAG, .help = "exit with 1 if something is wrong"},
	END,
};
