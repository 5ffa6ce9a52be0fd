/*
 * The local UDP sockets that end records come from. A sender's user is looked up once and again every
 * SENDERS_RECHECK_MS, because another user may take a port that has become free. A process that ends
 * right after its last record is believed for SENDERS_GONE_MS after it was seen.
 */
#ifndef RELAY_AGENT_SENDERS_H
#define RELAY_AGENT_SENDERS_H

#include "agent/allowed.h"
#include "agent/sockowner.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SENDERS_MAX 512 /* more are looked up for each record */
#define SENDERS_RECHECK_MS 100
#define SENDERS_SWEEP_MS 1000
#define SENDERS_GONE_MS 2500

struct sender {
	struct sockowner_address address;
	int64_t seen_ms; /* monotonic: when its user was last looked up, and was allowed */
};

struct senders {
	struct sockowner owner;
	const struct allowed *allowed;
	bool is_blind;	   /* the kernel shows no sockets: anyone may send */
	bool others_exist; /* the receiver is not on loopback: senders of other hosts are not seen */
	size_t count;
	size_t last;			 /* found last */
	struct sender rows[SENDERS_MAX]; /* allowed ones only */
};

/* `fd` receives the records. `allowed` must outlive it; root is allowed too. */
void senders_init(struct senders *s, int fd, const struct allowed *allowed);
void senders_fini(struct senders *s); /* a zeroed one too */
enum senders_verdict {
	SENDERS_ALLOWED,
	SENDERS_REFUSED, /* another user */
	SENDERS_GONE,	 /* no socket has this address, and it was not seen in time */
};
enum senders_verdict senders_judge(struct senders *s, const struct sockaddr *from, int64_t now_ms);
/* Every SENDERS_SWEEP_MS: looks all up again, and forgets those that are gone. */
void senders_sweep(struct senders *s, int64_t now_ms);

#endif
