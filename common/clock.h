/* The only place that reads clocks. Pure code gets `now` as an argument instead. */
#ifndef RELAY_COMMON_CLOCK_H
#define RELAY_COMMON_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);	  /* Unix time, milliseconds */
int64_t clock_monotonic_ns(void); /* never goes back */
int64_t clock_monotonic_ms(void); /* the same clock in milliseconds */
int64_t clock_boot_ms(void); /* since the machine started, its sleep included; never goes back */

/* The wall clock may be set at any time; the other one goes on evenly. Their difference shows it. */
struct clock_pair {
	int64_t wall_ms;
	int64_t boot_ms;
};

/* Both clocks at one moment. */
struct clock_pair clock_pair(void);
/* The same, cheaper: if the process was stopped in between, the two moments differ. */
struct clock_pair clock_pair_quick(void);

/* The random id that the kernel gives each start of the machine; zeros if it does not tell. */
#define CLOCK_BOOT_SIZE 16
void clock_read_boot(uint8_t ret[CLOCK_BOOT_SIZE]);

/* RFC 3339 UTC. "2026-01-02T03:04:05Z" / with ".678" */
#define CLOCK_RFC3339_SIZE 32
const char *clock_format_rfc3339(int64_t wall_ms, char *out);
const char *clock_format_rfc3339_ms(int64_t wall_ms, char *out);

#endif
