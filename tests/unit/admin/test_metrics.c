#include "tests/unit/admin/room.h"

#include "admin/api/metrics.h"
#include "common/reference.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES                                                                                      \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('chat', 'https://h', 'openai', 0);"                                                     \
	"INSERT INTO accounts (name, upstream_id, source, suspended, created_ms) VALUES"           \
	" ('a', 1, 'token', 0, 0), ('b', 1, 'token', 1, 0);"                                       \
	"INSERT INTO tenants (name, created_ms) VALUES ('acme', 0), ('zeta', 0)"

static bool is_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return false;
	return n > 0 && !isdigit((unsigned char)s[0]);
}

/* `name="value",...` */
static bool is_labels(const char *s, const char *end)
{
	while (s < end) {
		const char *equals = memchr(s, '=', (size_t)(end - s));
		if (!equals || !is_name(s, (size_t)(equals - s)) || equals[1] != '"')
			return false;
		s = memchr(equals + 2, '"', (size_t)(end - equals - 2));
		if (!s)
			return false;
		s++;
		if (s < end && *s++ != ',')
			return false;
	}
	return true;
}

static bool is_sample(const char *line)
{
	size_t n = strcspn(line, "{ ");
	const char *value = line + n;
	char *end;

	if (!is_name(line, n))
		return false;
	if (*value == '{') {
		const char *close = strrchr(line, '}');
		if (!close || !is_labels(value + 1, close))
			return false;
		value = close + 1;
	}
	if (*value != ' ')
		return false;
	strtod(value + 1, &end);
	return end != value + 1 && !*end;
}

/* Every line parses, every sample belongs to the metric announced before it. */
static void check_format(const char *text)
{
	char *copy = strdup(text);
	char *rest = copy;
	char metric[96] = "";
	char *line;

	assert_true(text[strlen(text) - 1] == '\n');
	copy[strlen(copy) - 1] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			snprintf(metric, sizeof(metric), "%.*s", (int)strcspn(line + 7, " "),
				line + 7);
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_true(strncmp(line + 7, metric, strlen(metric)) == 0);
		} else {
			if (!is_sample(line) || strncmp(line, metric, strlen(metric)) != 0)
				fail_msg("not a sample of %s: %s", metric, line);
		}
	}
	free(copy);
}

static bool has_line(const struct buffer *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *at = text->data; (at = strstr(at, line)); at += n)
		if (at[n] == '\n' && (at == text->data || at[-1] == '\n'))
			return true;
	return false;
}

static void is_valid_before_anything_was_counted(void **state)
{
	struct room *r = *state;
	struct buffer text = {0};

	room_run(r, NAMES);
	metrics_render(&r->control, &text);
	check_format(buffer_str(&text));
	assert_true(has_line(&text, "relay_store_up 1"));
	assert_true(has_line(&text, "relay_decision_duration_seconds_count 0"));
	assert_true(has_line(
		&text, "relay_upstream_ttfb_seconds_bucket{upstream=\"chat\",le=\"+Inf\"} 0"));
	assert_true(
		has_line(&text, "relay_account_state{account=\"a\",state=\"no_credential\"} 1"));
	assert_true(has_line(&text, "relay_account_state{account=\"b\",state=\"suspended\"} 1"));
	assert_true(has_line(&text, "relay_account_state{account=\"b\",state=\"active\"} 0"));
	buffer_fini(&text);
}

static void shows_the_counters_of_the_agent(void **state)
{
	struct room *r = *state;
	struct board *b = r->board;
	struct buffer text = {0};

	room_run(r, NAMES);
	board_set(&b->counters[BOARD_LEASES], 3);
	board_add(&b->counters[BOARD_ALLOWED], 5);
	board_add(&b->counters[BOARD_EVENTS_FORGED], 8);
	board_add(&b->refused[REFUSAL_INVALID_API_KEY], 2);
	board_add(&board_tenant(b, 2)->status_class[2], 9);
	board_set(&board_tenant(b, 2)->active, 4);
	board_set(&board_account(b, 1)->active, 6);
	board_tenant(b, 777); /* of no name: not shown */
	board_observe_decision(b, 1500);
	board_observe_decision(b, 900);
	board_observe_upstream(&board_upstream(b, 1)->ttfb, 70);
	metrics_render(&r->control, &text);
	check_format(buffer_str(&text));
	assert_true(has_line(&text, "relay_leases_outstanding 3"));
	assert_true(has_line(&text, "relay_events_refused_total{reason=\"bad\"} 0"));
	assert_true(has_line(&text, "relay_events_refused_total{reason=\"forged\"} 8"));
	assert_true(has_line(&text, "relay_decisions_total{action=\"allow\",code=\"\"} 5"));
	assert_true(has_line(
		&text, "relay_decisions_total{action=\"deny\",code=\"invalid_api_key\"} 2"));
	assert_true(
		has_line(&text, "relay_requests_total{tenant=\"zeta\",status_class=\"2xx\"} 9"));
	assert_true(
		has_line(&text, "relay_requests_total{tenant=\"acme\",status_class=\"2xx\"} 0"));
	assert_true(has_line(&text, "relay_streams_active{tenant=\"zeta\"} 4"));
	assert_true(has_line(&text, "relay_account_inflight{account=\"a\"} 6"));
	assert_true(has_line(&text, "relay_decision_duration_seconds_bucket{le=\"1e-06\"} 1"));
	assert_true(has_line(&text, "relay_decision_duration_seconds_bucket{le=\"2e-06\"} 2"));
	assert_true(has_line(&text, "relay_decision_duration_seconds_bucket{le=\"+Inf\"} 2"));
	assert_true(has_line(
		&text, "relay_upstream_ttfb_seconds_bucket{upstream=\"chat\",le=\"0.05\"} 0"));
	assert_true(has_line(
		&text, "relay_upstream_ttfb_seconds_bucket{upstream=\"chat\",le=\"0.1\"} 1"));
	assert_true(has_line(&text, "relay_upstream_ttfb_seconds_sum{upstream=\"chat\"} 0.070000"));
	buffer_fini(&text);
}

/* An agent that has not read the state file knows nothing of the streams that outlived the relay. */
static void shows_no_requests_in_progress_before_they_are_counted(void **state)
{
	struct room *r = *state;
	struct buffer text = {0};

	room_run(r, NAMES);
	assert_false(board_knows_leases(r->board));
	metrics_render(&r->control, &text);
	check_format(buffer_str(&text));
	assert_null(strstr(buffer_str(&text), "\nrelay_leases_outstanding "));
	assert_null(strstr(buffer_str(&text), "\nrelay_streams_active{"));
	assert_null(strstr(buffer_str(&text), "\nrelay_account_inflight{"));
	buffer_fini(&text);
}

static void shows_limits_waiting_and_healing(void **state)
{
	struct room *r = *state;
	struct board *b = r->board;
	struct buffer text = {0};

	room_run(r, NAMES);
	board_add(&b->counters[BOARD_HEALED], 2);
	board_add(&b->counters[BOARD_GIVEN_BACK], 3);
	board_set(&b->counters[BOARD_WAITING], 4);
	board_add(&b->counters[BOARD_WAITED], 5);
	board_add(&b->counters[BOARD_BINDINGS_MOVED], 6);
	board_set(&board_account(b, 2)->risk, 125000);
	for (uint64_t i = 0; i < 3; i++)
		board_add(&board_tenant(b, 1)->shadow[i], 7 + i);
	metrics_render(&r->control, &text);
	check_format(buffer_str(&text));
	assert_true(has_line(&text, "relay_slots_healed_total 2"));
	assert_true(has_line(&text, "relay_requests_given_back_total 3"));
	assert_true(has_line(&text, "relay_requests_waiting 4"));
	assert_true(has_line(&text, "relay_requests_waited_total 5"));
	assert_true(has_line(&text, "relay_bindings_moved_total 6"));
	assert_true(has_line(&text, "relay_account_risk{account=\"a\"} 0.000000"));
	assert_true(has_line(&text, "relay_account_risk{account=\"b\"} 0.125000"));
	assert_true(has_line(&text, "relay_shadow_passed_total{tenant=\"acme\",limit=\"rate\"} 7"));
	assert_true(has_line(
		&text, "relay_shadow_passed_total{tenant=\"acme\",limit=\"concurrency\"} 8"));
	assert_true(
		has_line(&text, "relay_shadow_passed_total{tenant=\"acme\",limit=\"quota\"} 9"));
	assert_null(strstr(buffer_str(&text), "relay_leases_reclaimed_total"));
	buffer_fini(&text);
}

/* Both are made from the rows: whatever is shown is documented, with a sentence and a unit. */
static void every_metric_is_in_the_reference(void **state)
{
	struct room *r = *state;
	struct buffer text = {0};
	struct buffer reference = {0};
	char row[128];
	size_t count = 0;

	room_run(r, NAMES);
	metrics_render(&r->control, &text);
	reference_metrics(&reference);
	for (const char *at = buffer_str(&text); (at = strstr(at, "# HELP ")); at += 7) {
		const char *end = strchr(at, '\n');
		snprintf(row, sizeof(row), "\n| `%.*s` | ", (int)strcspn(at + 7, " "), at + 7);
		if (!strstr(buffer_str(&reference), row))
			fail_msg("not in the reference:%s", row);
		assert_int_equal(end[-1], '.');
		count++;
	}
	assert_true(count > 40);
	assert_null(strstr(buffer_str(&reference), "|  |  |"));
	buffer_fini(&reference);
	buffer_fini(&text);
}

static void answers_quickly(void **state)
{
	struct room *r = *state;
	struct buffer text = {0};
	char sql[96];
	int64_t best = INT64_MAX;

	for (int i = 0; i < 500; i++) {
		snprintf(sql, sizeof(sql),
			"INSERT INTO tenants (name, created_ms) VALUES ('t%d', 0)", i);
		room_run(r, sql);
		board_tenant(r->board, (uint32_t)i + 1);
	}
	for (int i = 0; i < 5; i++) {
		int64_t start = room_cpu_ns();
		buffer_clear(&text);
		metrics_render(&r->control, &text);
		int64_t took = room_cpu_ns() - start;
		best = took < best ? took : best;
	}
	print_message("500 tenants: %lld us\n", (long long)(best / 1000));
	assert_true(best < 50000000);
	buffer_fini(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

static void shows_the_health_of_accounts(void **state)
{
	struct room *r = *state;
	struct board *b = r->board;
	struct buffer text = {0};

	room_run(r, NAMES);
	room_put_token(r, 1, "sk-a");
	board_set(&board_account(b, 1)->standing, BOARD_STANDING_HALF_OPEN);
	board_set(&board_account(b, 1)->circuit, CIRCUIT_HALF_OPEN);
	board_add(&board_account(b, 1)->results[RESULT_OVERLOAD], 7);
	board_set(&board_account(b, 2)->circuit, CIRCUIT_OPEN);
	board_add(&b->counters[BOARD_FAILOVER_CONNECT], 2);
	board_add(&b->counters[BOARD_FAILOVER_REFUSED], 3);
	board_add(&b->counters[BOARD_RETRY_EXHAUSTED], 5);
	board_add(&b->counters[BOARD_HEALTH_FULL], 6);
	metrics_render(&r->control, &text);
	check_format(buffer_str(&text));
	assert_true(has_line(&text, "relay_account_state{account=\"a\",state=\"half_open\"} 1"));
	assert_true(has_line(&text, "relay_account_state{account=\"a\",state=\"active\"} 0"));
	assert_true(has_line(&text, "relay_circuit_state{account=\"a\"} 1"));
	assert_true(has_line(&text, "relay_circuit_state{account=\"b\"} 2"));
	assert_true(
		has_line(&text, "relay_account_results_total{account=\"a\",class=\"overload\"} 7"));
	assert_true(
		has_line(&text, "relay_account_results_total{account=\"b\",class=\"overload\"} 0"));
	assert_true(has_line(&text, "relay_failovers_total{reason=\"response\"} 0"));
	assert_true(has_line(&text, "relay_failovers_total{reason=\"connect\"} 2"));
	assert_true(has_line(&text, "relay_failovers_total{reason=\"refused\"} 3"));
	assert_true(has_line(&text, "relay_retry_exhausted_total 5"));
	assert_true(has_line(&text, "relay_health_full_total 6"));
	/* the operator has reset it since */
	room_run(r, "UPDATE accounts SET epoch = 1 WHERE id = 1");
	buffer_clear(&text);
	metrics_render(&r->control, &text);
	assert_true(has_line(&text, "relay_account_state{account=\"a\",state=\"active\"} 1"));
	assert_true(has_line(&text, "relay_circuit_state{account=\"a\"} 0"));
	buffer_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_valid_before_anything_was_counted),
		TEST(shows_the_counters_of_the_agent),
		TEST(shows_no_requests_in_progress_before_they_are_counted),
		TEST(shows_limits_waiting_and_healing),
		TEST(shows_the_health_of_accounts),
		TEST(every_metric_is_in_the_reference),
		TEST(answers_quickly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
