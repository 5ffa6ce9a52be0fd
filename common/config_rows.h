/*
 * Every option of the configuration file as one row. struct config, the parser, --print-config, reload,
 * docs/CONFIG.md and spoa-relay.conf(5) come from these rows: a new option is a row here and its use.
 *
 * Columns: section, key, field of struct config, type (enum config_type), range (ANY: what the type holds;
 * WITHIN(min, max), of a duration in ms), default, what applies a change, help. The help is full sentences.
 *
 * RESTART or RELOAD applies a change. AGENT is RELOAD for an option that the agent reads, a number, a size or
 * a duration: it is a field of struct snapshot_options too.
 */
#ifndef RELAY_COMMON_CONFIG_ROWS_H
#define RELAY_COMMON_CONFIG_ROWS_H

#define CONFIG_ROWS(X)                                                                             \
	X(relay, state_dir, state_dir, PATH, ANY, "/var/lib/spoa-relay", RESTART,                  \
		"Directory of the store, the state file and the key file. It must survive a "      \
		"restart of the machine.")                                                         \
	X(relay, run_dir, run_dir, PATH, ANY, "/run/spoa-relay", RESTART,                          \
		"Directory of the sockets.")                                                       \
	X(relay, node_id, node_id, TEXT, ANY, "", RESTART,                                         \
		"Name of this node. Empty: the host name.")                                        \
	X(relay, region, region, TEXT, ANY, "", RELOAD,                                            \
		"Region of this node. Accounts and egresses of the same region are preferred. "    \
		"Empty: no preference.")                                                           \
	X(relay, user, user, TEXT, ANY, "spoa-relay", RESTART,                                     \
		"User of the control process if root starts the relay.")                           \
	X(relay, agent_user, agent_user, TEXT, ANY, "spoa-relay-agent", RESTART,                   \
		"User of the agent process if root starts the relay. It must differ from `user`.") \
	X(relay, group, group, TEXT, ANY, "spoa-relay", RESTART,                                   \
		"Group that may use the admin socket if root starts the relay. Use another group " \
		"than that of `user`, whose members may read the rendered files.")                 \
	X(relay, drain, drain_ms, DURATION, WITHIN(0, 86400000), "30s", RELOAD,                    \
		"After SIGTERM the relay refuses new requests and stops as soon as no request is " \
		"in progress, at the latest after this time. The service manager must wait "       \
		"30 s longer: `TimeoutStopSec` of systemd.")                                       \
	X(relay, log_level, log_level, LEVEL, ANY, "info", RELOAD,                                 \
		"Least severe log lines to write: error, warning, info or debug. `[log] level` "   \
		"is the same option.")                                                             \
	X(spop, listen, spop_listen, TEXT, ANY, "", RESTART,                                       \
		"Addresses on which HAProxy asks the agent for decisions: a list of abns:NAME, "   \
		"unix:PATH and tcp:HOST:PORT, separated by commas. Empty: "                        \
		"unix:SOCKET_DIR/agent.sock.")                                                     \
	X(spop, secret, spop_secret, SECRET, ANY, "", RESTART,                                     \
		"Secret that HAProxy sends on TCP connections and in records over UDP. HAProxy "   \
		"takes it from its environment variable SPOA_RELAY_SECRET. At most 128 "           \
		"characters without blanks, quotes and backslashes. Required with a tcp "          \
		"listener. Empty: the relay makes a secret and renders it into HAProxy's files.")  \
	X(spop, allow_users, spop_allow_users, TEXT, ANY, "", RESTART,                             \
		"Users of HAProxy's processes, separated by commas. They can connect to abns "     \
		"and unix listeners and send records over UDP from this machine. The first one "   \
		"owns HAProxy's internal sockets. The agent's own user is always allowed, and "    \
		"root for records. Empty: haproxy and root, or only root if the relay is not "     \
		"started by root.")                                                                \
	X(events, listen, events_listen, TEXT, ANY, "udp:127.0.0.1:8811", RESTART,                 \
		"Address to which HAProxy sends its end-of-request records: udp:HOST:PORT or "     \
		"unix:PATH.")                                                                      \
	X(check, listen, check_listen, TEXT, ANY, "", RESTART,                                     \
		"Address on which HAProxy's agent-check asks for the state of each egress: "       \
		"tcp:HOST:PORT. Empty: off.")                                                      \
	X(admin, socket, admin_socket, PATH, ANY, "", RESTART,                                     \
		"Unix socket for relayadm. Empty: RUN_DIR/admin.sock.")                            \
	X(admin, http, admin_http, TEXT, ANY, "", RESTART,                                         \
		"Address of the web console. Not available in this version: leave it empty.")      \
	X(admin, metrics, admin_metrics, TEXT, ANY, "", RESTART,                                   \
		"Address that serves metrics for Prometheus under /metrics: tcp:HOST:PORT. "       \
		"Empty: off.")                                                                     \
	X(store, url, store_url, TEXT, ANY, "", RESTART,                                           \
		"Database: sqlite:/ABSOLUTE/PATH. Empty: STATE_DIR/relay.db.")                     \
	X(redis, url, redis_url, SECRET, ANY, "", RESTART,                                         \
		"Redis for several nodes. Not available in this version: leave it empty.")         \
	X(secrets, key_file, key_file, PATH, ANY, "", RESTART,                                     \
		"File with the key that encrypts the credentials in the store. The relay makes "   \
		"it at the first start, with mode 0400. Empty: STATE_DIR/vault.key.")              \
	X(haproxy, admin_socket, haproxy_admin_socket, PATH, ANY, "", RELOAD,                      \
		"Runtime socket that relay.cfg opens. The relay uses it to learn which requests "  \
		"are in progress if `master_socket` is empty.")                                    \
	X(haproxy, master_socket, haproxy_master_socket, PATH, ANY, "", RELOAD,                    \
		"Master socket of HAProxy. The relay uses it to reload HAProxy and to learn "      \
		"which requests are in progress. Empty: the operator reloads HAProxy.")            \
	X(haproxy, output_dir, haproxy_output_dir, PATH, ANY, "", RELOAD,                          \
		"Directory for the files that the relay renders for HAProxy. If root starts the "  \
		"relay, the directory belongs to root. Empty: the directory of the last "          \
		"`relayadm haproxy render`, where control writes with its own rights.")            \
	X(haproxy, binary, haproxy_binary, PATH, ANY, "/usr/sbin/haproxy", RELOAD,                 \
		"HAProxy's program. The relay uses it to check the rendered files.")               \
	X(haproxy, config, haproxy_config, PATH, ANY, "/etc/haproxy/haproxy.cfg", RELOAD,          \
		"HAProxy's main configuration file. `relayadm haproxy render` reads `chroot` in "  \
		"it.")                                                                             \
	X(haproxy, socket_dir, haproxy_socket_dir, PATH, ANY, "", RESTART,                         \
		"Directory of the sockets between HAProxy and the agent, and inside HAProxy. "     \
		"Only root may write to it. If HAProxy has a chroot, it must be inside that. "     \
		"Empty: RUN_DIR.")                                                                 \
	X(haproxy, internal_socket, haproxy_internal_socket, PATH, ANY, "", RELOAD,                \
		"Socket on which HAProxy takes the relay's own requests: token refreshes, "        \
		"probes and egress checks. Empty: SOCKET_DIR/haproxy-internal.sock.")              \
	X(headers, request_deny, headers_request_deny, TEXT, ANY, "", RELOAD,                      \
		"Request headers to remove in addition to the built-in list, separated by "        \
		"commas.")                                                                         \
	X(headers, request_allow, headers_request_allow, TEXT, ANY, "", RELOAD,                    \
		"Request headers of the built-in list that are not removed, separated by "         \
		"commas.")                                                                         \
	X(headers, response_deny, headers_response_deny, TEXT, ANY, "", RELOAD,                    \
		"Response headers to remove in addition to the built-in list, separated by "       \
		"commas.")                                                                         \
	X(headers, response_allow, headers_response_allow, TEXT, ANY, "", RELOAD,                  \
		"Response headers of the built-in list that are not removed, separated by "        \
		"commas.")                                                                         \
	X(cors, origins, cors_origins, TEXT, ANY, "", RELOAD,                                      \
		"Origins whose web pages may use the relay, separated by commas: "                 \
		"https://HOST or https://HOST:PORT as browsers send them, or * for all. Pages "    \
		"send a relay key; cookies are never allowed. Empty: off.")                        \
	X(sticky, headers, sticky_headers, TEXT, ANY,                                              \
		"session-id, thread-id, session_id, conversation_id, x-claude-code-session-id, "   \
		"x-session-affinity, x-session-id",                                                \
		RELOAD,                                                                            \
		"Request headers that name a conversation, separated by commas. The first one "    \
		"that a request has is used.")                                                     \
	X(sticky, ttl, sticky_ttl_ms, DURATION, ANY, "24h", AGENT,                                 \
		"Time that a conversation keeps its account after its last request.")              \
	X(requests, retention, requests_retention_ms, DURATION, ANY, "30d", RELOAD,                \
		"Time that the metadata of a request is kept.")                                    \
	X(requests, max_rows, requests_max_rows, NUMBER, ANY, "1000000", RELOAD,                   \
		"Maximum number of requests whose metadata is kept. Beyond it, the tenants with "  \
		"the most requests lose their oldest.")                                            \
	X(requests, max_body, requests_max_body, SIZE, ANY, "0", AGENT,                            \
		"Maximum size of a request body. Larger requests are refused with "                \
		"`request_too_large`. 0: no limit.")                                               \
	X(log, requests, log_requests, REQUESTS, ANY, "off", RELOAD,                               \
		"Which finished requests have a log line: none, those that failed or were "        \
		"refused, or all.")                                                                \
	X(limits, key_rpm, limit_key_rpm, NUMBER, ANY, "30", RELOAD,                               \
		"Requests per minute of a new relay key. 0: no limit.")                            \
	X(limits, tenant_daily, limit_tenant_daily, NUMBER, ANY, "500", RELOAD,                    \
		"Requests per day of a new tenant. 0: no limit.")                                  \
	X(limits, tenant_monthly, limit_tenant_monthly, NUMBER, ANY, "10000", RELOAD,              \
		"Requests per month of a new tenant. 0: no limit.")                                \
	X(limits, account_rpm, limit_account_rpm, NUMBER, ANY, "10", RELOAD,                       \
		"Requests per minute of a new subscription account. 0: no limit.")                 \
	X(limits, account_rph, limit_account_rph, NUMBER, ANY, "200", RELOAD,                      \
		"Requests per hour of a new subscription account. 0: no limit.")                   \
	X(limits, account_concurrency, limit_account_concurrency, NUMBER, ANY, "2", RELOAD,        \
		"Concurrent requests of a new subscription account. 0: no limit.")                 \
	X(limits, account_max_consecutive, limit_account_max_consecutive, NUMBER, ANY, "5",        \
		RELOAD,                                                                            \
		"Consecutive uses of a new subscription account before the relay takes another "   \
		"account. 0: no limit.")                                                           \
	X(limits, bad_keys, bad_keys_max, NUMBER, WITHIN(0, CONFIG_BAD_KEYS_MAX), "20", AGENT,     \
		"Different bad keys within a minute after which the sender is banned. 0: never.")  \
	X(limits, ban, ban_ms, DURATION, ANY, "10m", AGENT, "Length of such a ban, at least 1s.")  \
	X(health, threshold, health_threshold, NUMBER, WITHIN(0, 1000), "5", AGENT,                \
		"Consecutive failures that open the circuit of an account or an egress. 0: "       \
		"never.")                                                                          \
	X(health, recovery, health_recovery_ms, DURATION, ANY, "30s", AGENT,                       \
		"Time that an open circuit stays open before the first trial request.")            \
	X(health, half_open, health_half_open, NUMBER, WITHIN(1, 4), "1", AGENT,                   \
		"Concurrent trial requests of a half-open circuit.")                               \
	X(health, attempts, health_attempts, NUMBER, WITHIN(1, 4), "3", AGENT,                     \
		"Maximum number of accounts that one request may try. 1: no failover within a "    \
		"request.")                                                                        \
	X(health, retry_percent, health_retry_percent, NUMBER, WITHIN(0, 100), "20", AGENT,        \
		"Further attempts allowed to a tenant, in percent of its requests.")               \
	X(health, retry_per_second, health_retry_per_second, NUMBER, WITHIN(0, 1000000), "5",      \
		AGENT,                                                                             \
		"Further attempts per second that a tenant may use beyond `retry_percent`.")       \
	X(health, probe_idle, health_probe_idle_ms, DURATION, ANY, "15m", RELOAD,                  \
		"The relay probes an account that was not used for this time. 0: never.")          \
	X(health, probe_pause, health_probe_pause_ms, DURATION, ANY, "3s", RELOAD,                 \
		"Minimum time between two probes of accounts that are idle or in a window.")       \
	X(health, echo_url, health_echo_url, TEXT, ANY, "", RELOAD,                                \
		"URL that answers with the address of its client. The relay uses it to check "     \
		"the addresses of egresses. Empty: no checks.")                                    \
	X(health, echo_every, health_echo_every_ms, DURATION, ANY, "10m", RELOAD,                  \
		"Time between two checks of every egress at `echo_url`. 0: only `relayadm "        \
		"egress check`.")                                                                  \
	X(health, refresh_pause, health_refresh_pause_ms, DURATION, ANY, "2s", RELOAD,             \
		"Minimum time between two token refreshes with one client id.")

#endif
