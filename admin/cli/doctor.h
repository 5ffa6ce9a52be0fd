/*
 * `relayadm doctor`: looks at an installation and says what to do. It reads files, the machine and, if the relay
 * answers, what the relay says about itself. It changes nothing.
 */
#ifndef RELAY_ADMIN_CLI_DOCTOR_H
#define RELAY_ADMIN_CLI_DOCTOR_H

#include "common/buffer.h"
#include "common/config.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <sys/types.h>

#define DOCTOR_CONFIG "/etc/spoa-relay/spoa-relay.conf"
#define DOCTOR_UNITS "/etc/systemd/system"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_NOTE, /* worth a look, or not checked */
	DOCTOR_PROBLEM,
};

struct doctor {
	const char *config_path;
	const char *units; /* directory of systemd's units */
	struct config config;
	json_object *status; /* answers of the running relay, owned; NULL = none */
	json_object *egresses;
	json_object *findings; /* [{"level","check","found","do"}], owned */
	bool has_problem;
};

/* 0, or the configuration cannot be used: a finding says why, and no other check makes sense. */
int doctor_init(struct doctor *d, const char *config_path, const char *units);
void doctor_fini(struct doctor *d);
/* All checks, into `findings`. The caller has set `status` and `egresses`, if the relay answers. */
void doctor_run(struct doctor *d);
/* A line for each finding. */
void doctor_print(const struct doctor *d, struct buffer *out);

/* Adds a finding. `remedy` is what to do, mostly a command; NULL = nothing. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *check, const char *remedy,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/*
 * A remedy to paste into a shell: each {} of the template is the next of the texts, in quotes if it needs
 * them. The caller ends `out`.
 */
const char *doctor_command(struct buffer *out, const char *template, ...);
/* A member of a member of the answer of `status`; NULL if it has none. */
json_object *doctor_status(const struct doctor *d, const char *part, const char *field);

/* The users of the children, as far as this relay changes its users. */
struct doctor_users {
	bool changes; /* root starts the relay */
	bool exist;
	uid_t control;
	gid_t control_group;
	gid_t admin_group;
};
/* Of the running relay's keeper; if none runs, of a relay that root starts. */
struct doctor_users doctor_users(const struct doctor *d);

/* --- the checks, one noun a function --- */

void doctor_check_users(struct doctor *d);
void doctor_check_state(struct doctor *d);
void doctor_check_disk(struct doctor *d);
void doctor_check_key(struct doctor *d);
void doctor_check_sockets(struct doctor *d);
void doctor_check_haproxy(struct doctor *d);
void doctor_check_rendered(struct doctor *d);
void doctor_check_descriptors(struct doctor *d);
void doctor_check_service(struct doctor *d);
void doctor_check_socket_unit(struct doctor *d);
void doctor_check_drop_in(struct doctor *d);
void doctor_check_egresses(struct doctor *d);
void doctor_check_clock(struct doctor *d);

#endif
