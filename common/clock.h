/* The only place that reads clocks. Pure code gets `now` as an argument instead. */
#ifndef RELAY_COMMON_CLOCK_H
#define RELAY_COMMON_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);	  /* Unix time, milliseconds */
int64_t clock_monotonic_ns(void); /* never goes back */
int64_t clock_monotonic_ms(void); /* the same clock in milliseconds */

/* RFC 3339 UTC. "2026-01-02T03:04:05Z" / with ".678" */
#define CLOCK_RFC3339_SIZE 32
const char *clock_format_rfc3339(int64_t wall_ms, char *out);
const char *clock_format_rfc3339_ms(int64_t wall_ms, char *out);

#endif
