/*
 * The state of the control process: store, vault, secrets, admin API and all slow work. Control
 * takes no part in the decision about a request. After every change it publishes a snapshot for the
 * agent.
 *
 * One struct and forward declarations: this header includes no other folder of admin/, so every
 * folder but command/, cli/ and store/ may include it.
 */
#ifndef RELAY_ADMIN_CONTROL_H
#define RELAY_ADMIN_CONTROL_H

#include "common/channel.h"
#include "common/child.h"
#include "common/config.h"
#include "common/statefile.h"
#include "common/step.h"

#include <stdbool.h>
#include <stdint.h>

struct board;
struct bulk;
struct changes;
struct egress_check;
struct ev_loop;
struct haproxy_sync;
struct history;
struct minute;
struct looptime;
struct offload;
struct outbound;
struct probe;
struct publish;
struct refresh;
struct secrets;
struct store;
struct tunnelwatch;
struct unbound;
struct vault;
struct vault_rotation;

/* The clock of this machine (admin/upkeep/clockwatch.h). */
struct control_clock {
	struct step_watch watch;
	struct step_settled settled;	 /* for what cannot be taken back */
	struct step_retention retention; /* for what deletes old data */
	uint8_t boot[CLOCK_BOOT_SIZE];
	bool was_known;	    /* an earlier control process served with this store */
	uint64_t steps;	    /* seen by this process */
	int64_t step_ms;    /* the last one, ... */
	int64_t step_at_ms; /* ... and the Unix time after it; 0 = none */
	int64_t pending_ms; /* steps that the store has not followed yet */
	int64_t saved_ms;   /* boot time */
	bool failed;	    /* the store did not take it; logged once */
};

struct control {
	struct ev_loop *loop;
	const struct child_start *start;
	struct config config; /* the current configuration */
	struct store *store;
	struct vault *vault;
	const struct secrets *secrets;
	const struct board *board;
	struct publish *publish;
	struct changes *changes;
	struct haproxy_sync *haproxy;
	struct bulk *bulk; /* changes in parts; NULL = all at once (tests) */
	/* threads for what may block; NULL = it is done at once (tests) */
	struct offload *worker;		 /* HAProxy's check, its files, its reload */
	struct offload *asker;		 /* questions to HAProxy, answered soon or not at all */
	struct offload *copier;		 /* backups */
	struct outbound *outbound;	 /* control's own requests; NULL = none (tests) */
	struct refresh *refresh;	 /* NULL = none (tests) */
	struct vault_rotation *rotation; /* NULL = none (tests) */
	struct probe *probe;		 /* NULL = none (tests) */
	struct egress_check *egress_check;
	struct statefile statefile; /* mapped, for reading usage; block NULL = none */
	const struct history *history;
	const struct minute *minute;	       /* NULL = none (tests) */
	const struct unbound *unbound;	       /* NULL = none (tests) */
	const struct tunnelwatch *tunnelwatch; /* NULL = none (tests) */
	const struct looptime *looptime;       /* NULL = none (tests) */
	struct control_clock clock;
	int64_t started_ms;				    /* monotonic */
	struct channel_process processes[CHILD_ROLE_COUNT]; /* from the keeper's last message */
	int64_t replacing_ms; /* the same; Unix time since when the program is being replaced; 0 = it is not */
	int64_t pinged_ms; /* monotonic: the keeper's last question, or the start; 0 = no keeper (tests) */
	int keeper_fd; /* -1 = none (tests) */
	int files_fd;  /* the keeper writes files to the output directory; -1 = none (tests) */
	int reload_fd; /* text of a new configuration to load; -1 = none */
	uint64_t connections_closed; /* to the admin socket and /metrics: there was no room */
	bool keeper_gone;	     /* control ends: the keeper has ended */
	bool draining;
	bool leaving;		/* another control process takes the board over */
	bool state_removed;	/* the state file has no name any more (statewatch.h) */
	int64_t drain_until_ms; /* monotonic: then what is in progress is given up */
};

#endif
