/* The daemon's JSON answers as text for people. */
#ifndef RELAY_ADMIN_CLI_COMMAND_TABLE_H
#define RELAY_ADMIN_CLI_COMMAND_TABLE_H

#include "admin/command/command.h"
#include "common/buffer.h"

/*
 * `items` as aligned columns, nothing cut; "-" for empty values. `colour`, here and below: what is wrong is
 * coloured for a terminal.
 */
void command_table_list(
	const struct command_column *columns, json_object *items, bool colour, struct buffer *out);
/* "key: value" lines; objects inside are indented. */
void command_table_object(json_object *o, bool colour, struct buffer *out);
/* The screens of `relayadm status`, whose first line is its summary, and of `relayadm requests why`. */
void command_table_status(json_object *status, bool colour, struct buffer *out);
/* One value on one line: "-" for nothing, yes/no, a,b for arrays, Name: value, ... for objects. */
void command_table_value(json_object *value, enum command_kind kind, struct buffer *out);

#endif
