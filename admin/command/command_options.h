/* The options of the commands, for the rows of command_rows.c. */
#ifndef RELAY_ADMIN_COMMAND_COMMAND_OPTIONS_H
#define RELAY_ADMIN_COMMAND_COMMAND_OPTIONS_H

#include "admin/command/command.h"

extern const struct command_option tenant_options[];
extern const struct command_option token_issue_options[];
extern const struct command_option token_list_options[];
extern const struct command_option token_rotate_options[];
extern const struct command_option upstream_add_options[];
extern const struct command_option upstream_set_options[];
extern const struct command_option egress_add_options[];
extern const struct command_option egress_set_options[];
extern const struct command_option account_add_options[];
extern const struct command_option account_set_options[];
extern const struct command_option account_refresh_options[];
extern const struct command_option suspend_options[];
extern const struct command_option vault_rotate_options[];
extern const struct command_option account_suspend_risky_options[];
extern const struct command_option pool_set_options[];
extern const struct command_option ban_add_options[];
extern const struct command_option no_reload_options[];
extern const struct command_option haproxy_render_options[];
extern const struct command_option haproxy_set_options[];
extern const struct command_option status_options[];

#endif
