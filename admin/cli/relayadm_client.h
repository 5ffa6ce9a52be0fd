/* relayadm's side of the admin API: one HTTP request over the Unix socket, by libcurl. */
#ifndef RELAY_ADMIN_CLI_RELAYADM_CLIENT_H
#define RELAY_ADMIN_CLI_RELAYADM_CLIENT_H

#include "common/buffer.h"
#include "common/errtext.h"

#include <stdbool.h>

#define CLIENT_CONNECT_MS 3000L
#define CLIENT_TIMEOUT_MS 180000L /* a reload of HAProxy may take long */
#define CLIENT_PATIENCE_MS 1000	  /* a change that HAProxy need not load takes 100 ms at most */
#define CLIENT_LOOK_MS 500	  /* without a byte: does the keeper stand still? */
#define CLIENT_ANSWER_MAX ((size_t)1 << 30)

struct client_call {
	const char *socket;
	const char *method;
	const char *target; /* path and query, encoded */
	struct slice body;  /* p NULL = none */
	int output_fd;	    /* takes the bytes of a good answer; -1 = `answer` does */
	/* printed once to stderr if there is no answer after CLIENT_PATIENCE_MS; NULL = nothing */
	const char *waiting;
	long timeout_ms; /* 0 = CLIENT_TIMEOUT_MS */
};

struct client_answer {
	long status;
	bool is_json;
	struct buffer body;
};

/*
 * 0; -ECONNREFUSED (daemon unreachable), -ETIMEDOUT (it runs and does not answer), -EPIPE (the connection was
 * lost) or -EIO with the reason. The caller ends `ret->body`.
 */
int client_run(const struct client_call *call, struct client_answer *ret, struct errtext *e);
bool client_is_unreachable(int error);

#endif
