#include "admin/publish/haproxy_sync.h"

#include "admin/control.h"
#include "admin/publish/generation.h"
#include "admin/publish/haproxy_files.h"
#include "admin/publish/haproxy_model.h"
#include "admin/store/hex.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/seam.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SETTING_OPTIONS "haproxy.options" /* JSON of the last `haproxy render` */
#define SETTING_HASH "haproxy.hash"	  /* of the texts of settings.gen */
#define SETTING_LOADED "haproxy.loaded"	  /* the generation that HAProxy was seen to have */
#define RELOAD_MS 10000
#define STATUS_MS 500
#define PROBE_MS 500 /* a HAProxy that hangs must not delay a change for long */

struct haproxy_sync {
	struct control *control;
	struct json_object *options; /* NULL = never rendered */
	struct haproxy_texts texts;  /* of the newest generation, when `unwritten` */
	bool unwritten;
	bool failed;   /* the last rendering failed: the files lack changes of the store */
	bool pending;  /* HAProxy has not loaded the newest generation yet */
	bool deferred; /* by --no-reload: the timer does not reload */
	bool promised; /* changes wait for the shared reload; --no-reload does not put it off */
	int64_t reloaded_ms; /* when a change reloaded HAProxy, monotonic; 0 = never */
	struct errtext error;
};

const char *haproxy_outcome_name(enum haproxy_outcome o)
{
	switch (o) {
	case HAPROXY_UNCHANGED:
		return "unchanged";
	case HAPROXY_RELOADED:
		return "reloaded";
	case HAPROXY_PENDING:
		return "pending reload";
	}
	return "";
}

static const char *text_option(struct json_object *options, const char *name)
{
	struct json_object *o;

	if (!options || !json_object_object_get_ex(options, name, &o) ||
		!json_object_is_type(o, json_type_string))
		return "";
	return json_object_get_string(o);
}

static const char *output_dir(const struct haproxy_sync *h)
{
	return h->options ? haproxy_model_output_dir(&h->control->config, h->options) : "";
}

static struct haproxy_place place_of(const struct haproxy_sync *h, struct json_object *options)
{
	const struct config *config = &h->control->config;
	const char *dir = haproxy_model_output_dir(config, options);
	bool by_keeper = config->haproxy_output_dir.s[0] && h->control->files_fd >= 0;

	return (struct haproxy_place){
		.dir = dir,
		.keeper = by_keeper ? h->control->files_fd : -1,
		.scratch = by_keeper ? config->state_dir.s : dir,
	};
}

static void note_error(struct haproxy_sync *h, const struct errtext *e)
{
	if (strcmp(h->error.text, e->text) != 0)
		log_event(
			LOG_LEVEL_WARNING, "haproxy is not up to date", LOG_STR("reason", e->text));
	h->error = *e;
}

/* --- state from before --- */

static uint64_t loaded_generation(struct store *s)
{
	char *text = NULL;

	if (store_get_setting(s, SETTING_LOADED, &text, NULL) < 0 || !text)
		return 0;
	uint64_t gen = strtoull(text, NULL, 10);
	free(text);
	return gen;
}

struct haproxy_sync *haproxy_sync_new(struct control *c, struct errtext *e)
{
	struct haproxy_sync *h = calloc(1, sizeof(*h));
	char *text = NULL;

	if (!h) {
		errtext_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	h->control = c;
	if (store_get_setting(c->store, SETTING_OPTIONS, &text, e) < 0) {
		free(h);
		return NULL;
	}
	if (text)
		h->options = json_tokener_parse(text);
	free(text);
	if (h->options)
		h->pending = loaded_generation(c->store) != generation_current(c->store);
	return h;
}

void haproxy_sync_free(struct haproxy_sync *h)
{
	if (!h)
		return;
	haproxy_texts_fini(&h->texts);
	json_object_put(h->options);
	free(h);
}

static void mark_loaded(struct haproxy_sync *h)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu",
		(unsigned long long)generation_current(h->control->store));
	store_set_setting(h->control->store, SETTING_LOADED, text, NULL);
	h->pending = false;
	h->deferred = false;
	h->promised = false;
	h->error.text[0] = '\0';
}

/* --- rendering --- */

static void hash_texts(const struct haproxy_texts *t, struct buffer *out)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct buffer all = {0};

	buffer_append_slice(&all, buffer_slice(&t->cfg));
	buffer_append(&all, "", 1);
	buffer_append_slice(&all, buffer_slice(&t->spoe));
	SHA256((const uint8_t *)buffer_str(&all), all.len, digest);
	hex_format((struct slice){(const char *)digest, sizeof(digest)}, out);
	buffer_fini(&all);
}

static bool hash_is_kept(struct haproxy_sync *h)
{
	struct buffer hash = {0};
	char *kept = NULL;

	hash_texts(&h->texts, &hash);
	store_get_setting(h->control->store, SETTING_HASH, &kept, NULL);
	bool same = kept && strcmp(kept, buffer_str(&hash)) == 0;
	free(kept);
	buffer_fini(&hash);
	return same;
}

/* Renders the store's state under the current generation number. */
static int render_as(
	struct haproxy_sync *h, struct json_object *options, uint64_t gen, struct errtext *e)
{
	struct haproxy_model m;
	int error = haproxy_model_init(&m, h->control, options, gen, e);

	if (error)
		return error;
	error = haproxy_texts_render(&h->texts, &m.render, e);
	haproxy_model_fini(&m);
	return error;
}

/* Never from a request: whoever may use the admin socket may not choose what control runs. */
static const char *binary_of(const struct haproxy_sync *h)
{
	return h->control->config.haproxy_binary.s;
}

/* Renders a new generation, lets HAProxy check it, and stores its number. */
static int render_next(
	struct haproxy_sync *h, struct json_object *options, uint64_t gen, struct errtext *e)
{
	struct store *s = h->control->store;
	struct haproxy_model m;
	struct buffer hash = {0};
	const struct haproxy_place place = place_of(h, options);
	int error = haproxy_model_init(&m, h->control, options, gen, e);

	if (error)
		return error;
	error = haproxy_files_write_ca(&place, &m, e);
	if (!error)
		error = haproxy_files_check(&place, &m, binary_of(h), e);
	if (!error)
		error = haproxy_texts_render(&h->texts, &m.render, e);
	haproxy_model_fini(&m);
	if (error)
		return error;
	hash_texts(&h->texts, &hash);
	error = store_set_setting(s, SETTING_HASH, buffer_str(&hash), e);
	buffer_fini(&hash);
	if (!error)
		error = generation_set_current(s, gen, e);
	return error ? error : store_bump_version(s, e);
}

/* `ret_new` tells whether there is a new generation. Inside a transaction. */
static int render_changes(
	struct haproxy_sync *h, struct json_object *options, bool *ret_new, struct errtext *e)
{
	struct store *s = h->control->store;
	uint64_t gen = generation_current(s);
	bool changed = false;
	int error = generation_plan(s, gen + 1, &changed, e);

	if (!error && !changed && gen) {
		error = render_as(h, options, gen, e);
		if (!error && hash_is_kept(h)) {
			*ret_new = false;
			return 0;
		}
	}
	if (!error)
		error = render_next(h, options, gen + 1, e);
	*ret_new = true;
	return error;
}

/* The agent has to see a new snapshot: it reads the networks of trusted proxies. */
static int keep_options(struct haproxy_sync *h, struct json_object *options, struct errtext *e)
{
	if (options == h->options)
		return 0;
	int error = store_set_setting(h->control->store, SETTING_OPTIONS,
		json_object_to_json_string_ext(options, JSON_C_TO_STRING_PLAIN), e);
	return error ? error : store_bump_version(h->control->store, e);
}

/* Texts that were still to be written are lost, so that the files lack them until the next rendering. */
static void drop_texts(struct haproxy_sync *h)
{
	haproxy_texts_fini(&h->texts);
	h->failed |= h->unwritten;
	h->unwritten = false;
}

static int render(struct haproxy_sync *h, struct json_object *options, struct errtext *e)
{
	struct store *s = h->control->store;
	bool is_new = false;
	int error = store_begin(s, e);

	if (error)
		return error;
	error = render_changes(h, options, &is_new, e);
	if (!error)
		error = keep_options(h, options, e);
	if (error) {
		store_rollback(s);
		drop_texts(h);
		return error;
	}
	error = store_commit(s, e);
	if (error)
		return error;
	h->unwritten = is_new ||
		!haproxy_files_are(
			haproxy_model_output_dir(&h->control->config, options), &h->texts);
	h->pending |= h->unwritten;
	if (!h->unwritten)
		haproxy_texts_fini(&h->texts);
	return 0;
}

void haproxy_sync_prepare(struct haproxy_sync *h)
{
	struct errtext why = {""};

	if (!h->options)
		return;
	h->failed = render(h, h->options, &why) != 0;
	if (h->failed)
		note_error(h, &why);
}

/* --- reloading --- */

/* 1: HAProxy has loaded the newest generation; 0: an older one; negative: it does not answer. */
static int ask_loaded(const struct haproxy_sync *h, struct errtext *e)
{
	const struct config *config = &h->control->config;
	const char *admin = config->haproxy_admin_socket.s;
	const char *master = config->haproxy_master_socket.s;
	uint64_t gen = 0;
	int error;

	if (*admin)
		error = runtime_variable(admin, "", SEAM_PROC_GEN, STATUS_MS, &gen, e);
	else if (*master)
		error = runtime_variable(master, "@1 ", SEAM_PROC_GEN, STATUS_MS, &gen, e);
	else
		return errtext_set(e, -ENOTSUP, "no socket of HAProxy is configured");
	if (error && error != -ENOENT)
		return error;
	return !error && gen == generation_current(h->control->store);
}

static int probe(const char *master, struct errtext *e)
{
	struct buffer answer = {.max = RUNTIME_ANSWER_MAX};
	int error = runtime_command(master, "show proc", PROBE_MS, &answer, e);

	buffer_fini(&answer);
	return error;
}

static int reload(struct haproxy_sync *h, struct errtext *e)
{
	const char *master = h->control->config.haproxy_master_socket.s;

	if (!*master)
		return errtext_set(
			e, -ENOTSUP, "[haproxy] master_socket is not set: reload HAProxy yourself");
	int error = probe(master, e);
	if (!error)
		error = runtime_reload(master, RELOAD_MS, e);
	if (!error) {
		mark_loaded(h);
		log_event(LOG_LEVEL_INFO, "haproxy reloaded",
			LOG_INT("gen", generation_current(h->control->store)));
	}
	return error;
}

static bool answers(const char *admin_socket, const char *master_socket)
{
	struct runtime_status status;

	return runtime_status(admin_socket, master_socket, STATUS_MS, &status, NULL) == 0;
}

/* Whether some HAProxy works with earlier files, as far as control can see. */
static bool is_running(const struct haproxy_sync *h)
{
	const struct control *c = h->control;

	return (c->board && board_get(&c->board->counters[BOARD_SPOP_CONNECTIONS])) ||
		answers(c->config.haproxy_admin_socket.s, "") ||
		answers("", c->config.haproxy_master_socket.s);
}

/* A reload failed with this error. No master socket is no sign that HAProxy runs. */
static bool works_with_old_files(const struct haproxy_sync *h, int error)
{
	return (error != -ENOTSUP && error != -ENOENT && error != -ECONNREFUSED) || is_running(h);
}

/* Until HAProxy starts for the first time, there is no HAProxy that could lack a change. */
static bool was_started(const struct haproxy_sync *h)
{
	const struct board *b = h->control->board;

	return (b && board_get(&b->frames[0])) || loaded_generation(h->control->store) > 0;
}

/* A reload failed with this error: whether what was asked for is not in force. */
static bool is_missing(
	const struct haproxy_sync *h, enum haproxy_reload when, bool is_new, int error)
{
	switch (when) {
	case HAPROXY_RELOAD_ALWAYS:
		return true;
	case HAPROXY_RELOAD_IF_CHANGED:
		return works_with_old_files(h, error);
	case HAPROXY_RELOAD_SOON:
		return is_new && (works_with_old_files(h, error) || was_started(h));
	case HAPROXY_RELOAD_LATER:
		break;
	}
	return false;
}

static int write_files(struct haproxy_sync *h, struct errtext *e)
{
	if (!h->unwritten)
		return 0;
	const struct haproxy_place place = place_of(h, h->options);
	int error = haproxy_files_write(&place, &h->texts, e);
	if (error)
		return error;
	h->unwritten = false;
	h->deferred = false;
	haproxy_texts_fini(&h->texts);
	return 0;
}

int64_t haproxy_sync_wait_ms(const struct haproxy_sync *h)
{
	int64_t age_ms = clock_monotonic_ms() - h->reloaded_ms;

	if (!h->reloaded_ms || age_ms >= HAPROXY_SYNC_TOGETHER_MS)
		return 0;
	return HAPROXY_SYNC_TOGETHER_MS - age_ms;
}

bool haproxy_sync_is_due_later(const struct haproxy_sync *h)
{
	return h->pending && !h->failed && !h->deferred && haproxy_sync_wait_ms(h) > 0;
}

/* The files are in place; the timer reloads, for all changes of these seconds. */
static enum haproxy_outcome leave_to_timer(struct haproxy_sync *h, bool is_new)
{
	bool brings_reload = is_new || h->deferred;

	h->deferred = false;
	h->promised |= brings_reload;
	return brings_reload ? HAPROXY_PENDING : HAPROXY_UNCHANGED;
}

/* HAProxy may have started since the files were written. Negative: it does not answer. */
static int find_loaded(struct haproxy_sync *h, struct errtext *e)
{
	int loaded = ask_loaded(h, e);

	if (loaded > 0)
		mark_loaded(h);
	if (loaded >= 0 || loaded == -ENOTSUP)
		return 0;
	note_error(h, e);
	return loaded;
}

/* The files are in place. 0, or a negative code with the reason. */
static int bring_into_force(
	struct haproxy_sync *h, enum haproxy_reload when, bool is_new, struct haproxy_report *ret)
{
	if (when == HAPROXY_RELOAD_LATER) {
		h->deferred = !h->promised;
		return 0;
	}
	if (when == HAPROXY_RELOAD_SOON && haproxy_sync_wait_ms(h) > 0) {
		ret->outcome = leave_to_timer(h, is_new);
		return 0;
	}
	int error = reload(h, &ret->error);
	ret->failed = error && is_missing(h, when, is_new, error);
	if (error)
		return error;
	if (when == HAPROXY_RELOAD_SOON)
		h->reloaded_ms = clock_monotonic_ms();
	ret->outcome = HAPROXY_RELOADED;
	return 0;
}

void haproxy_sync_finish(
	struct haproxy_sync *h, enum haproxy_reload when, struct haproxy_report *ret)
{
	bool asked = when == HAPROXY_RELOAD_ALWAYS;
	bool is_new = h->unwritten || h->failed;

	*ret = (struct haproxy_report){.outcome = HAPROXY_PENDING};
	if (asked && h->options && !h->failed)
		h->pending = true;
	if (h->pending && !asked && !is_new && find_loaded(h, &ret->error) &&
		when == HAPROXY_RELOAD_SOON)
		return;
	ret->error.text[0] = '\0';
	int error = write_files(h, &ret->error);
	ret->failed = ret->unwritten = error || h->failed;
	if (!error && h->failed) {
		ret->error = h->error;
		h->deferred |= when == HAPROXY_RELOAD_LATER && !h->promised;
	} else if (!error && !h->pending) {
		h->error.text[0] = '\0';
		ret->outcome = HAPROXY_UNCHANGED;
	} else if (!error) {
		error = bring_into_force(h, when, is_new, ret);
	}
	if (error)
		note_error(h, &ret->error);
}

bool haproxy_sync_owes(const struct haproxy_sync *h)
{
	return h->options && (h->pending || h->failed) && was_started(h);
}

bool haproxy_sync_retry(struct haproxy_sync *h, bool *ret_reload, struct haproxy_report *ret)
{
	struct errtext why = {""};

	*ret_reload = !h->deferred;
	if (h->options && h->failed)
		return true;
	if (h->options && h->pending && !h->deferred) {
		haproxy_sync_finish(h, HAPROXY_RELOAD_SOON, ret);
		return false;
	}
	if (h->options && h->pending && !h->unwritten)
		find_loaded(h, &why);
	*ret = (struct haproxy_report){
		.outcome = h->options && h->pending ? HAPROXY_PENDING : HAPROXY_UNCHANGED};
	return false;
}

/* --- commands --- */

/* The same path, or two paths of one existing directory. */
static bool is_same_directory(const char *one, const char *other)
{
	struct stat a;
	struct stat b;

	return strcmp(one, other) == 0 ||
		(stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
			a.st_ino == b.st_ino);
}

/* A configured directory is the only one, so that no caller chooses where control writes. */
static int check_options(
	const struct haproxy_sync *h, struct json_object *options, struct errtext *e)
{
	const char *out = text_option(options, "out");
	const char *configured = h->control->config.haproxy_output_dir.s;

	if (*out != '/')
		return errtext_set(e, -EINVAL, "out must be an absolute path");
	if (*configured && !is_same_directory(out, configured))
		return errtext_set(e, -EINVAL,
			"out: the files go to %s; for another directory change [haproxy] "
			"output_dir and reload the relay",
			configured);
	if (mkdir(out, 0755) < 0 && errno != EEXIST) {
		int error = errno;
		return errtext_set(e, -EINVAL, "%s: cannot be made: %s", out, strerror(error));
	}
	return 0;
}

static bool is_empty(struct json_object *value)
{
	return !value ||
		(json_object_is_type(value, json_type_string) && !*json_object_get_string(value)) ||
		(json_object_is_type(value, json_type_array) &&
			json_object_array_length(value) == 0);
}

/*
 * The options kept so far with the given ones in their place; an empty one takes its default again. The
 * configured directory is the default for `out`.
 */
static struct json_object *merge_options(const struct haproxy_sync *h, struct json_object *given)
{
	struct json_object *copy = NULL;

	if (!h->options)
		copy = json_object_new_object();
	else if (json_object_deep_copy(h->options, &copy, NULL) < 0)
		return NULL;
	json_object_object_foreach(given, field, value)
	{
		if (is_empty(value))
			json_object_object_del(copy, field);
		else
			json_object_object_add(copy, field, json_object_get(value));
	}
	if (!*text_option(copy, "out"))
		json_object_object_add(copy, "out",
			json_object_new_string(h->control->config.haproxy_output_dir.s));
	return copy;
}

int haproxy_sync_render(struct haproxy_sync *h, struct json_object *options, struct errtext *e)
{
	struct json_object *copy = merge_options(h, options);
	int error = copy ? check_options(h, copy, e) : errtext_set(e, -ENOMEM, "out of memory");

	if (!error)
		error = render(h, copy, e);
	if (error) {
		json_object_put(copy);
		return error;
	}
	json_object_put(h->options);
	h->options = copy;
	h->failed = false;
	return 0;
}

struct json_object *haproxy_sync_options(const struct haproxy_sync *h)
{
	return h->options;
}

/* Rendering has checked the texts. */
size_t haproxy_sync_trusted(const struct haproxy_sync *h, struct cidr *out)
{
	struct json_object *list = NULL;
	size_t n = 0;

	if (!h->options || !json_object_object_get_ex(h->options, "trust_forwarded", &list) ||
		!json_object_is_type(list, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list) && n < RENDER_TRUSTED_MAX; i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(list, i));
		if (cidr_parse(slice_from_str(text), &out[n]) == 0)
			n++;
	}
	return n;
}

int haproxy_sync_is_rendered(const struct haproxy_sync *h, struct errtext *e)
{
	if (h->options)
		return 0;
	return errtext_set(e, -EINVAL,
		"HAProxy's files were never rendered: run relayadm haproxy render --out DIR");
}

int haproxy_sync_check(struct haproxy_sync *h, struct errtext *e)
{
	char path[HAPROXY_FILES_PATH_MAX];
	int error = haproxy_sync_is_rendered(h, e);

	if (error)
		return error;
	snprintf(path, sizeof(path), "%s/" RENDER_CFG_NAME, output_dir(h));
	return runtime_check(binary_of(h), path, HAPROXY_FILES_CHECK_MS, e);
}

void haproxy_sync_state(struct haproxy_sync *h, struct haproxy_state *ret)
{
	const struct config *config = &h->control->config;

	*ret = (struct haproxy_state){.gen = generation_current(h->control->store)};
	if (h->pending && !h->failed && !h->unwritten && ask_loaded(h, NULL) > 0)
		mark_loaded(h);
	ret->pending = h->pending || h->failed;
	ret->loaded = loaded_generation(h->control->store);
	ret->output_dir = output_dir(h);
	ret->error = h->error.text;
	if (config->haproxy_admin_socket.s[0] || config->haproxy_master_socket.s[0])
		ret->answers = runtime_status(config->haproxy_admin_socket.s,
				       config->haproxy_master_socket.s, STATUS_MS, &ret->status,
				       NULL) == 0;
}
