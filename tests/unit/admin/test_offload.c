/* Jobs on a thread: their order, where they end, and what the end of the offload does with them. */
#include "admin/publish/offload.h"

#include <ev.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define JOBS 5

/* What ended, in this order. */
struct told {
	char said[JOBS + 1];
};

struct errand {
	struct offload_job job;
	int gate; /* the job reads a byte from it first; -1 = does not wait */
	bool on_thread;
	struct told *told;
	char name;
	pthread_t loops;
};

static void work(struct offload_job *job)
{
	struct errand *e = (struct errand *)job;
	char byte;

	if (e->gate >= 0)
		assert_int_equal(read(e->gate, &byte, 1), 1);
	e->on_thread = !pthread_equal(pthread_self(), e->loops);
}

static void done(struct offload_job *job, bool ran)
{
	struct errand *e = (struct errand *)job;
	size_t n = strlen(e->told->said);

	assert_true(pthread_equal(pthread_self(), e->loops));
	e->told->said[n] = ran ? e->name : (char)(e->name - 'a' + 'A');
	e->told->said[n + 1] = '\0';
}

static void run_all(struct offload *o, struct errand *all, int gate, struct told *told)
{
	for (int i = 0; i < JOBS; i++) {
		all[i] = (struct errand){.job = {.work = work, .done = done},
			.gate = i == 0 ? gate : -1,
			.told = told,
			.name = (char)('a' + i),
			.loops = pthread_self()};
		offload_run(o, &all[i].job);
	}
}

static void jobs_run_in_order_and_end_on_the_loop(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct offload *o = offload_new(loop);
	struct errand all[JOBS];
	struct told told = {""};
	int gate[2];

	(void)state;
	assert_non_null(o);
	assert_int_equal(pipe(gate), 0);
	run_all(o, all, gate[0], &told);
	ev_run(loop, EVRUN_NOWAIT);
	assert_string_equal(told.said, "");
	assert_int_equal(write(gate[1], "x", 1), 1);
	while (strlen(told.said) < JOBS)
		ev_run(loop, EVRUN_ONCE);
	assert_string_equal(told.said, "abcde");
	for (int i = 0; i < JOBS; i++)
		assert_true(all[i].on_thread);
	offload_free(o);
	ev_loop_destroy(loop);
	close(gate[0]);
	close(gate[1]);
}

/* Opens the gate when the offload is about to end. */
static void *open_gate(void *context)
{
	const int *fd = context;

	assert_int_equal(write(*fd, "x", 1), 1);
	return NULL;
}

static void the_end_waits_for_one_job_and_tells_the_others(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct offload *o = offload_new(loop);
	struct errand all[JOBS];
	struct told told = {""};
	int gate[2];
	pthread_t opener;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	run_all(o, all, gate[0], &told);
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &gate[1]), 0);
	offload_free(o);
	pthread_join(opener, NULL);
	/* each was told once: that it ran, or in capitals that it did not */
	assert_int_equal(strlen(told.said), JOBS);
	for (size_t i = 0; i < JOBS; i++)
		assert_true(told.said[i] == 'a' + (char)i || told.said[i] == 'A' + (char)i);
	ev_loop_destroy(loop);
	close(gate[0]);
	close(gate[1]);
}

static void without_an_offload_all_is_done_at_once(void **state)
{
	struct errand all[JOBS];
	struct told told = {""};

	(void)state;
	run_all(NULL, all, -1, &told);
	assert_string_equal(told.said, "abcde");
	assert_false(all[0].on_thread);
	offload_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_run_in_order_and_end_on_the_loop),
		cmocka_unit_test(the_end_waits_for_one_job_and_tells_the_others),
		cmocka_unit_test(without_an_offload_all_is_done_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
