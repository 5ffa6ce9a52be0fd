#include "tests/golden/cmocka_env.h"

#include <stdlib.h>
#include <string.h>

#include "tests/golden/recording.h"

static struct recordings all;
static struct guarded guarded;

static int load(void **state)
{
	(void)state;
	recordings_load(&all);
	guarded_init(&guarded, RECORDING_SIZE_MAX);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	guarded_fini(&guarded);
	recordings_free(&all);
	return 0;
}

static struct slice bytes_of(const struct recording *file)
{
	return (struct slice){(const char *)file->bytes, file->n};
}

/* The number of frames of the whole that end within its first `n` bytes. */
static size_t frames_within(const struct outcome *whole, size_t n)
{
	size_t i = 0;

	while (i < whole->n_events && whole->ends[i] <= n)
		i++;
	return i;
}

static void every_prefix_needs_more(void **state)
{
	struct outcome whole;
	struct outcome part;

	(void)state;
	for (size_t i = 0; i < all.n; i++) {
		recording_play(bytes_of(&all.files[i]), NULL, &whole);
		for (size_t n = 0; n < all.files[i].n; n++) {
			struct slice prefix = slice_cut(bytes_of(&all.files[i]), n);

			recording_play(guarded_copy(&guarded, prefix), NULL, &part);
			assert_int_equal(part.answer, SPOE_MORE);
			assert_int_equal(part.n_events, frames_within(&whole, n));
			assert_true(part.consumed <= n);
		}
	}
}

/* The events of a session that is fed piece by piece, as text. */
struct listener {
	struct spoe_session session;
	size_t consumed;
	char *text;
	size_t size;
	FILE *out;
};

static void listener_open(struct listener *listener)
{
	spoe_session_init(&listener->session, SPOE_FRAME_MAX);
	listener->consumed = 0;
	listener->text = NULL;
	listener->out = open_memstream(&listener->text, &listener->size);
	assert_non_null(listener->out);
}

static void listener_close(struct listener *listener, const char *wanted)
{
	assert_int_equal(fclose(listener->out), 0);
	assert_string_equal(listener->text, wanted);
	free(listener->text);
}

/* Like an agent after a read: `whole` has arrived up to `n`; consumed bytes are gone. */
static void listener_feed(struct listener *listener, struct slice whole, size_t n)
{
	struct slice in = slice_skip(slice_cut(whole, n), listener->consumed);
	enum spoe_answer answer;
	struct spoe_event event;
	size_t consumed;

	in = guarded_copy(&guarded, in);
	while ((answer = spoe_session_next(&listener->session, in, &consumed, &event)) == SPOE_OK) {
		recording_print(&listener->session, &event, listener->out);
		listener->consumed += consumed;
		in = slice_skip(in, consumed);
	}
	assert_int_equal(answer, SPOE_MORE);
	listener->consumed += consumed;
}

static char *whole_text(const struct recording *file)
{
	struct listener listener;

	listener_open(&listener);
	listener_feed(&listener, bytes_of(file), file->n);
	assert_int_equal(fclose(listener.out), 0);
	return listener.text;
}

static void a_split_at_any_byte_gives_the_same_events(void **state)
{
	struct listener listener;

	(void)state;
	for (size_t i = 0; i < all.n; i++) {
		char *wanted = whole_text(&all.files[i]);

		for (size_t n = 0; n <= all.files[i].n; n++) {
			listener_open(&listener);
			listener_feed(&listener, bytes_of(&all.files[i]), n);
			listener_feed(&listener, bytes_of(&all.files[i]), all.files[i].n);
			listener_close(&listener, wanted);
		}
		free(wanted);
	}
}

static void a_byte_at_a_time_gives_the_same_events(void **state)
{
	struct listener listener;

	(void)state;
	for (size_t i = 0; i < all.n; i++) {
		char *wanted = whole_text(&all.files[i]);

		listener_open(&listener);
		for (size_t n = 1; n <= all.files[i].n; n++)
			listener_feed(&listener, bytes_of(&all.files[i]), n);
		listener_close(&listener, wanted);
		free(wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_prefix_needs_more),
		cmocka_unit_test(a_split_at_any_byte_gives_the_same_events),
		cmocka_unit_test(a_byte_at_a_time_gives_the_same_events),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
