/*
 * Where log lines go: stderr. A line is written whole or dropped and counted; a reader that stopped
 * reading never blocks the writer. stderr itself keeps its flags, because other programs may share it.
 */
#ifndef RELAY_COMMON_SINK_H
#define RELAY_COMMON_SINK_H

#include "common/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A program passes lower descriptors to the next one, sd_listen_fds(3). */
#define SINK_FD_MIN 64
#define SINK_LINE_MAX 4096 /* bytes of a line: a pipe takes that much whole or not at all */

enum sink_form {
	SINK_JSON,
	SINK_TEXT,    /* a terminal */
	SINK_JOURNAL, /* systemd's journal: JSON after a priority `<N>` */
};

enum sink_way {
	SINK_WRITE, /* never blocks: a file, or our own non-blocking descriptor */
	SINK_SEND,  /* a socket */
	SINK_ASK,   /* may block: asked first whether there is room */
};

struct sink {
	int fd;
	enum sink_form form;
	enum sink_way way;
	_Atomic uint64_t *dropped; /* lines; shared with the processes forked after sink_open() */
};

/* Looks at stderr. A sink that is open already is closed first; `s` is zeroed before the first call. */
void sink_open(struct sink *s);
/* False: dropped and counted. */
bool sink_write(struct sink *s, struct slice line);
uint64_t sink_dropped(const struct sink *s);

#endif
