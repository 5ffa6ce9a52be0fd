/* The agent process: its loop, its tables, and pointers to its parts. */
#ifndef RELAY_AGENT_AGENT_H
#define RELAY_AGENT_AGENT_H

#include "agent/badkeys.h"
#include "agent/decide/decide.h"
#include "agent/generations.h"
#include "agent/gone.h"
#include "agent/healer.h"
#include "agent/lease.h"
#include "agent/sharing.h"
#include "common/board.h"
#include "common/child.h"
#include "common/quiet.h"
#include "common/snapshot.h"
#include "common/statefile.h"
#include "common/step.h"

#include <ev.h>
#include <stdbool.h>

#define JUDGE_STATUSES 1000

struct waiting;
struct checks;
struct peers;
struct events;

struct agent {
	struct ev_loop *loop;
	const struct child_start *start;
	struct board *board;
	struct statefile statefile;
	struct leases leases;
	struct usages usages;
	struct slots slots;
	struct budgets budgets;
	struct pooled pooled;
	struct bindings bindings;
	struct undo undo;
	struct healths healths;
	struct evidence evidence;
	uint8_t unknown_seen[JUDGE_STATUSES / 8]; /* unclassified statuses that were logged */
	struct quiet rubbish_quiet;
	struct room room;
	struct healer healer;
	struct gone gone;
	struct generations generations;
	struct peers *peers;
	struct events *events;
	struct waiting *waiting;
	struct checks *checks;
	bool room_is_stale; /* something was released: decide waiting requests again */
	struct decide_state state;
	struct step_watch steps; /* of the wall clock */
	struct step_settled settled;
	struct step_retention retention;
	uint8_t boot[CLOCK_BOOT_SIZE];
	struct badkeys badkeys;
	struct sharing sharing;
	const struct snapshot *snapshot; /* in force; NULL = none yet: nothing is allowed */
	uint64_t random;		 /* of this process; part of every random choice */
	int64_t started_ms;		 /* Unix time */
	uint32_t readings;		 /* of HAProxy's gauge, by this agent */
	bool wants_reading;		 /* control is asked before the loop sleeps */
	uint32_t away;		  /* leases of lost_was_away() that the last one has released */
	int64_t last_question_ms; /* monotonic */
};

#endif
