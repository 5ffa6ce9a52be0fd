/*
 * What is wrong with the node, for `relayadm status`. The warnings are read off the facts of the same
 * answer, so that the first line and the rest of the screen never contradict each other.
 */
#ifndef RELAY_ADMIN_API_WARNINGS_H
#define RELAY_ADMIN_API_WARNINGS_H

#include "admin/api/request.h"

/*
 * Puts `ok`, `summary` (`ok`, or the problems in one line) and `warnings` into an answer that has all other
 * members. A warning is {code, level, subject, message}; codes are part of the interface. The level `problem`
 * makes the node not ok; `note` is for operators who look anyway.
 */
void warnings_describe(struct request *r);

#endif
