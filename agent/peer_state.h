/* The state of peer.c, which peer_accept.c shares. */
#ifndef RELAY_AGENT_PEER_STATE_H
#define RELAY_AGENT_PEER_STATE_H

#include "agent/agent.h"
#include "agent/allowed.h"
#include "agent/peer.h"
#include "agent/unproven.h"
#include "common/acceptor.h"
#include "common/quiet.h"
#include "spoe/session.h"

enum peer_state {
	PEER_OPENING, /* no HELLO yet */
	PEER_SERVING,
	PEER_STALLED,	/* an answer is unsent; nothing is read meanwhile */
	PEER_LINGERING, /* everything is sent; waiting for the peer to close */
};

struct peer {
	struct peers *peers;
	struct peer *next, **link; /* list of all */
	ev_io io;
	enum peer_state state;
	bool closing;	   /* close after the unsent bytes; answer no more */
	bool needs_secret; /* it connected over TCP */
	struct unproven unproven;
	int64_t prove_by_ms; /* monotonic: until the HELLO, over TCP until the secret */
	int64_t deadline_ms; /* monotonic; INT64_MAX = none */
	struct spoe_session session;
	uint8_t *held; /* input of an incomplete frame; NULL = none */
	size_t held_n, held_size;
	uint8_t *unsent; /* PEER_WRITE_SIZE; NULL = none */
	size_t unsent_n, unsent_at;
};

struct listener {
	struct peers *peers;
	ev_io io;
	bool is_local;
};

struct peers {
	struct agent *agent;
	struct peer *all;
	uint32_t count;
	uint32_t leave_step; /* connections to close in one step; 0 = not leaving */
	struct unproven_list unproven;
	struct allowed allowed;
	struct listener listeners[CHILD_LISTENERS_MAX];
	uint32_t listener_count;
	ev_timer sweep;
	ev_timer resume_accept;
	struct acceptor acceptor;
	struct quiet refused_quiet, broken_quiet, secret_quiet, stalled_quiet, accept_quiet;
	uint8_t input[PEER_READ_SIZE];
	uint8_t output[PEER_WRITE_SIZE];
};

/* peer.c */
void peer_new(struct listener *l, int fd);
/* Makes room. False: there is none to close. */
bool peer_close_unproven(struct peers *p, struct unproven *u);
void peer_complain(struct quiet *q, const char *message, const char *why);
board_counter *peer_counter(const struct peers *p, enum board_counter_id id);

/* peer_accept.c */
void peer_accept_start(struct peers *p);
void peer_accept_stop(struct peers *p);

#endif
