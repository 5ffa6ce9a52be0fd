/*
 * Forms of texts, for the rows of options and arguments: what can be judged without the store. relayadm
 * checks them before it sends anything, and the server checks the same rows again.
 */
#ifndef RELAY_ADMIN_COMMAND_COMMAND_FORM_H
#define RELAY_ADMIN_COMMAND_COMMAND_FORM_H

#include "admin/command/command.h"

#define FORM_PROBE_MAX 512 /* bytes of --probe */

/* Each takes a text that ends with a NUL and has no control characters. 0, or -EINVAL with what is wrong. */
command_form_fn form_url;      /* url.h */
command_form_fn form_prefix;   /* a path prefix of url.h */
command_form_fn form_probe;    /* path and query from the root of the upstream's host, or `none` */
command_form_fn form_region;   /* as a name */
command_form_fn form_source;   /* an address that can be sent from */
command_form_fn form_socks4;   /* HOST:PORT, HOST numeric */
command_form_fn form_node;     /* HOST:PORT */
command_form_fn form_listener; /* HOST:PORT, HOST numeric or `*` or nothing */
command_form_fn form_file;     /* an absolute path, fit for HAProxy's files */
command_form_fn form_code;     /* one of refusal.h */
command_form_fn form_time;
command_form_fn form_status;

/* A point in time as RFC 3339, or a duration before now. 0 or -EINVAL. */
int form_read_time(struct slice text, int64_t now_ms, int64_t *ret_ms);
/* 429, or 4xx for all of its hundred. 0 or -EINVAL. */
int form_read_status(struct slice text, unsigned *ret_min, unsigned *ret_max);

#endif
