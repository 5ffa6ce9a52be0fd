/*
 * The configuration file (CONTRACT.md "Configuration file"). One row an option: the row feeds the
 * parser, the check, --print-config, reload and the documentation.
 */
#ifndef RELAY_COMMON_CONFIG_H
#define RELAY_COMMON_CONFIG_H

#include "common/address.h"
#include "common/buffer.h"
#include "common/errtext.h"
#include "common/log.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_FILE_MAX ((size_t)256 << 10)
#define CONFIG_TEXT_MAX 1024 /* of one value */
#define CONFIG_STICKY_MAX 12 /* conversation headers */
#define CONFIG_USERS_MAX 16
#define CONFIG_BAD_KEYS_MAX 64

struct config_text {
	char s[CONFIG_TEXT_MAX];
};

struct config {
	/* [relay] */
	struct config_text state_dir, run_dir, node_id, region, user, agent_user, group;
	enum log_level log_level;
	/* [spop] */
	struct config_text spop_listen; /* comma-separated; config_spop_listeners() parses it */
	struct config_text spop_secret; /* empty = none given: one is made and kept in the store */
	struct config_text spop_allow_users;
	/* [events] [check] [admin] */
	struct config_text events_listen;
	struct config_text check_listen;
	struct config_text admin_socket;
	struct config_text admin_http;
	struct config_text admin_metrics;
	/* [store] [redis] [secrets] */
	struct config_text store_url;
	struct config_text redis_url;
	struct config_text key_file;
	/* [haproxy] */
	struct config_text haproxy_admin_socket;
	struct config_text haproxy_master_socket;
	struct config_text haproxy_output_dir;
	struct config_text haproxy_binary;
	struct config_text haproxy_internal_socket;
	/* [headers] beyond the built-in policy; comma-separated names */
	struct config_text headers_request_deny;  /* also stripped from requests */
	struct config_text headers_request_allow; /* exceptions to the built-in list */
	struct config_text headers_response_deny;
	struct config_text headers_response_allow;
	/* [sticky] */
	struct config_text sticky_headers;
	uint64_t sticky_ttl_ms;
	/* [requests] */
	uint64_t requests_retention_ms;
	uint64_t requests_max_rows;
	uint64_t requests_max_body;
	/* [limits] defaults for new tenants, keys and accounts; 0 = unlimited */
	uint64_t limit_key_rpm;
	uint64_t limit_tenant_daily;
	uint64_t limit_tenant_monthly;
	uint64_t limit_account_rpm;
	uint64_t limit_account_rph;
	uint64_t limit_account_concurrency;
	uint64_t limit_account_max_consecutive;
	uint64_t bad_keys_max; /* different ones from one address in a minute; 0 = no bans */
	uint64_t ban_ms;
	/* [health] */
	uint64_t health_threshold;
	uint64_t health_recovery_ms;
	uint64_t health_half_open;
	uint64_t health_attempts;
	uint64_t health_retry_percent;
	uint64_t health_retry_per_second;
	uint64_t health_probe_idle_ms;
	uint64_t health_probe_pause_ms;
	struct config_text health_echo_url;
	uint64_t health_echo_every_ms;
	uint64_t health_refresh_pause_ms;
};

/* All defaults. */
void config_init(struct config *c);
/*
 * Reads `text` over the defaults. `name` is the file's name for messages. ${NAME} is replaced from the
 * environment; an unset name is an error. 0, or -EINVAL with "FILE:LINE: what is wrong".
 * Checks across options too (a TCP listener needs a secret, ...).
 */
int config_parse(struct config *c, const char *name, struct slice text, struct errtext *e);
int config_load(struct config *c, const char *path, struct errtext *e);

/* Every option with its value, default, whether a reload changes it, and what it does; secrets masked. */
void config_print(const struct config *c, struct buffer *out);
/* For the manual: the same as troff/markdown-neutral rows. Calls `row` for each option. */
typedef void config_row_fn(void *context, const char *section, const char *key,
	const char *default_text, bool reloadable, const char *help);
void config_describe(config_row_fn *row, void *context);
/* Names of options that differ and that only a restart can change, comma-separated, into `out`. */
void config_needs_restart(const struct config *old, const struct config *new, struct buffer *out);

/* Takes over from `fresh` what a reload can change. */
void config_reload(struct config *c, const struct config *fresh);

/* Derived values. Counts, or a negative errno that config_parse() has excluded. */
int config_spop_listeners(const struct config *c, struct address out[ADDRESS_LIST_MAX]);
bool config_spop_has_tcp(const struct config *c);
/* STATE_DIR/NAME or RUN_DIR/NAME; -ENAMETOOLONG */
int config_state_path(const struct config *c, const char *name, char *out, size_t size);
int config_run_path(const struct config *c, const char *name, char *out, size_t size);

#endif
