/* Files that a crash must not lose or leave half written. */
#ifndef RELAY_COMMON_DURABLE_H
#define RELAY_COMMON_DURABLE_H

#include "common/slice.h"

/* Writes all of the text and waits until the disk has it. 0, or -errno. */
int durable_write(int fd, struct slice text);

#endif
