/* The request that refreshes an account, read from the store right before it is sent. */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_SEND_H
#define RELAY_ADMIN_UPKEEP_REFRESH_SEND_H

#include "admin/store/store.h"
#include "common/buffer.h"
#include "common/errtext.h"

#include <stdint.h>

#define REFRESH_TARGET_SIZE 512
#define REFRESH_BACKEND_SIZE 64

struct control;

struct refresh_send {
	int64_t parent; /* generation of the refresh token in `body` */
	char target[REFRESH_TARGET_SIZE];
	char backend[REFRESH_BACKEND_SIZE]; /* the token host, through an egress of the account */
	const char *content_type;	    /* a header */
	struct buffer body;
};

/*
 * `turn` chooses among the account's usable egresses in a circle; 0 is the preferred one. 0;
 * -ENOENT: no account, no usable egress or no refresh token, with the reason.
 */
int refresh_send_prepare(struct control *c, int64_t account, uint32_t turn,
	struct refresh_send *ret, struct errtext *e);
void refresh_send_fini(struct refresh_send *s);

#endif
