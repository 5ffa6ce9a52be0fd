/*
 * Whether a child answers the keeper's questions. Pure: the time and the state of the child are arguments.
 *
 * Only time counts in which the child could have answered:
 * - A look counts as one interval, however late it is. Whatever held the keeper up, such as a suspended machine, a
 *   SIGSTOP or a busy CPU, may have held the child up as well.
 * - A runnable child counts the CPU time that it got. A child that waits for a CPU is not at fault; one that uses
 *   the CPU and does not answer is in an endless loop.
 * - A child that sleeps or is stopped while a question waits for it counts in full.
 */
#ifndef RELAY_AGENT_KEEPER_WATCH_H
#define RELAY_AGENT_KEEPER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define WATCH_LOOK_MS 250

enum watch_step {
	WATCH_NOTHING,
	WATCH_ASK,  /* send question `number` */
	WATCH_HUNG, /* silent for its limit */
};

/* The child as the kernel sees it. */
struct watch_sample {
	bool is_runnable; /* it uses a CPU or waits for one; false = it sleeps, is stopped, or unknown */
	int64_t cpu_ms; /* used since its start */
};

struct watch {
	int64_t limit_ms;
	int64_t silent_ms; /* counted since the question */
	int64_t looked_ms; /* monotonic time of the last look */
	int64_t asked_ms;  /* of the last question */
	int64_t cpu_ms;	   /* at the last look */
	uint64_t number;   /* of the last question */
	bool is_asked;	   /* its answer is missing */
};

/* The child has been started; its first answer is that it serves. */
void watch_start(struct watch *w, int64_t limit_ms, int64_t now_ms);
/* It serves: questions begin with the next look. */
void watch_serve(struct watch *w, int64_t limit_ms);
/* The time of the next look, monotonic. */
int64_t watch_due(const struct watch *w);
/* Does nothing before watch_due(). An answer that has arrived must be given to watch_answer() first. */
enum watch_step watch_look(struct watch *w, int64_t now_ms, const struct watch_sample *s);
/* Answers to earlier questions, or to none, change nothing. */
void watch_answer(struct watch *w, uint64_t number);

#endif
