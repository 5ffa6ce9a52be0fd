#include "admin/publish/haproxy_sync.h"

#include "admin/control.h"
#include "admin/publish/generation.h"
#include "admin/publish/haproxy_files.h"
#include "admin/publish/haproxy_model.h"
#include "admin/publish/haproxy_sync_parts.h"
#include "admin/publish/offload.h"
#include "admin/store/hex.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SETTING_OPTIONS "haproxy.options" /* JSON of the last `haproxy render` */
#define SETTING_HASH "haproxy.hash"	  /* of the texts of settings.gen */
#define TRIES 10			  /* to render what HAProxy has accepted */
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

const char *haproxy_sync_output_dir(const struct haproxy_sync *h)
{
	return h->options ? haproxy_model_output_dir(&h->control->config, h->options) : "";
}

struct haproxy_place haproxy_sync_place(const struct haproxy_sync *h, struct json_object *options)
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

void haproxy_sync_note(struct haproxy_sync *h, const struct errtext *e)
{
	if (strcmp(h->error.text, e->text) != 0)
		log_event(
			LOG_LEVEL_WARNING, "haproxy is not up to date", LOG_STR("reason", e->text));
	h->error = *e;
}

/* --- state from before --- */

uint64_t haproxy_sync_loaded(struct store *s)
{
	char *text = NULL;

	if (store_get_setting(s, HAPROXY_SYNC_LOADED, &text, NULL) < 0 || !text)
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
		h->pending = haproxy_sync_loaded(c->store) != generation_current(c->store);
	return h;
}

void haproxy_sync_free(struct haproxy_sync *h)
{
	if (!h)
		return;
	haproxy_texts_fini(&h->texts);
	json_object_put(h->preparing.options);
	json_object_put(h->options);
	free(h);
}

void haproxy_sync_mark_loaded(struct haproxy_sync *h)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu",
		(unsigned long long)generation_current(h->control->store));
	store_set_setting(h->control->store, HAPROXY_SYNC_LOADED, text, NULL);
	h->pending = false;
	h->deferred = false;
	h->promised = false;
	h->error.text[0] = '\0';
}

/* --- rendering --- */

static void on_checked(struct offload_job *job, bool ran);

/*
 * With the configured binary, never one from a request: whoever may use the admin socket may not choose what
 * control runs. NULL: out of memory.
 */
static struct haproxy_checking *checking_of(struct haproxy_sync *h)
{
	struct haproxy_checking *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->job = (struct offload_job){.work = haproxy_checking_work, .done = on_checked};
	c->owner = h;
	c->config = h->control->config;
	return c;
}

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

/* For HAProxy to check; of a model of a transaction that is rolled back. */
static struct haproxy_checking *new_checking(struct haproxy_sync *h, struct json_object *options,
	const struct haproxy_model *m, struct errtext *e)
{
	struct haproxy_checking *c = checking_of(h);
	const struct haproxy_place place = haproxy_sync_place(h, options);
	struct render_model copy = m->render;

	if (!c || haproxy_ca_copies_init(&c->ca, m)) {
		haproxy_checking_free(c);
		errtext_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	haproxy_where_set(&c->where, &place);
	if (haproxy_files_make_scratch(&place, c->dir, e)) {
		haproxy_checking_free(c);
		return NULL;
	}
	copy.output_dir = c->dir;
	if (!haproxy_texts_render(&c->texts, &copy, e))
		return c;
	haproxy_files_drop_scratch(c->dir);
	haproxy_checking_free(c);
	return NULL;
}

static int store_next(
	struct haproxy_sync *h, const struct buffer *hash, uint64_t gen, struct errtext *e)
{
	struct store *s = h->control->store;
	int error = store_set_setting(s, SETTING_HASH, buffer_str(hash), e);

	if (!error)
		error = generation_set_current(s, gen, e);
	return error ? error : store_bump_version(s, e);
}

/* Renders a new generation. Stores its number if HAProxy has accepted these texts; else `ret_check`. */
static int render_next(struct haproxy_sync *h, struct json_object *options, uint64_t gen,
	struct haproxy_checking **ret_check, struct errtext *e)
{
	struct haproxy_model m;
	struct buffer hash = {0};
	int error = haproxy_model_init(&m, h->control, options, gen, e);

	if (error)
		return error;
	error = haproxy_texts_render(&h->texts, &m.render, e);
	if (!error) {
		hash_texts(&h->texts, &hash);
		if (strcmp(buffer_str(&hash), h->preparing.accepted) == 0) {
			error = store_next(h, &hash, gen, e);
		} else {
			*ret_check = new_checking(h, options, &m, e);
			error = *ret_check ? 0 : -EIO;
			snprintf(h->preparing.checked, sizeof(h->preparing.checked), "%s",
				buffer_str(&hash));
		}
	}
	buffer_fini(&hash);
	haproxy_model_fini(&m);
	return error;
}

/* `ret_new` tells whether there is a new generation. Inside a transaction. */
static int render_changes(struct haproxy_sync *h, struct json_object *options, bool *ret_new,
	struct haproxy_checking **ret_check, struct errtext *e)
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
		error = render_next(h, options, gen + 1, ret_check, e);
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

/* `ret_check`: nothing was stored, because HAProxy has to check the texts first. */
static int render(struct haproxy_sync *h, struct json_object *options,
	struct haproxy_checking **ret_check, struct errtext *e)
{
	struct store *s = h->control->store;
	bool is_new = false;
	int error = store_begin(s, e);

	if (error)
		return error;
	error = render_changes(h, options, &is_new, ret_check, e);
	if (!error && !*ret_check)
		error = keep_options(h, options, e);
	if (error || *ret_check) {
		store_rollback(s);
		if (error)
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

static void end_preparing(struct haproxy_sync *h, int error, const struct errtext *why)
{
	struct preparing p = h->preparing;

	h->preparing = (struct preparing){.options = NULL};
	if (p.options == h->options) {
		h->failed = error != 0;
		if (error)
			haproxy_sync_note(h, why);
		error = 0; /* haproxy_sync_finish() reports it */
	} else if (!error) {
		json_object_put(h->options);
		h->options = json_object_get(p.options);
		h->failed = false;
	}
	json_object_put(p.options);
	p.done(p.context, error, why);
}

/*
 * The store may change while HAProxy checks. So the texts are rendered again, and stored only if they are
 * the ones that HAProxy has accepted.
 */
static void prepare(struct haproxy_sync *h)
{
	struct haproxy_checking *check = NULL;
	struct errtext why = {""};
	int error = h->preparing.tries++ < TRIES
		? render(h, h->preparing.options, &check, &why)
		: errtext_set(
			  &why, -EAGAIN, "the configuration changes faster than HAProxy checks it");

	if (check)
		offload_run(h->control->worker, &check->job);
	else
		end_preparing(h, error, &why);
}

static void on_checked(struct offload_job *job, bool ran)
{
	struct haproxy_checking *c = (struct haproxy_checking *)job;
	struct haproxy_sync *h = c->owner;
	const struct errtext why = c->why;
	int error = ran ? c->error : -EPIPE;

	haproxy_checking_free(c);
	if (error) {
		drop_texts(h);
		end_preparing(h, error, &why);
		return;
	}
	memcpy(h->preparing.accepted, h->preparing.checked, sizeof(h->preparing.accepted));
	prepare(h);
}

void haproxy_sync_prepare(struct haproxy_sync *h, haproxy_prepared_fn *done, void *context)
{
	const struct errtext nothing = {""};

	if (!h->options) {
		done(context, 0, &nothing);
		return;
	}
	h->preparing = (struct preparing){json_object_get(h->options), done, context, 0, "", ""};
	prepare(h);
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

void haproxy_sync_render(struct haproxy_sync *h, struct json_object *options,
	haproxy_prepared_fn *done, void *context)
{
	struct errtext why = {""};
	struct json_object *copy = merge_options(h, options);
	int error =
		copy ? check_options(h, copy, &why) : errtext_set(&why, -ENOMEM, "out of memory");

	if (error) {
		json_object_put(copy);
		done(context, error, &why);
		return;
	}
	h->preparing = (struct preparing){copy, done, context, 0, "", ""};
	prepare(h);
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

static void on_files_checked(struct offload_job *job, bool ran)
{
	struct haproxy_checking *c = (struct haproxy_checking *)job;

	if (!ran)
		c->error = errtext_set(&c->why, -EPIPE, "the relay stops");
	c->told(c->context, c->error, &c->why);
	haproxy_checking_free(c);
}

int haproxy_sync_check(
	struct haproxy_sync *h, haproxy_prepared_fn *done, void *context, struct errtext *e)
{
	int error = haproxy_sync_is_rendered(h, e);
	struct haproxy_checking *c = error ? NULL : checking_of(h);

	if (!c)
		return error ? error : errtext_set(e, -ENOMEM, "out of memory");
	c->job.done = on_files_checked;
	c->told = done;
	c->context = context;
	snprintf(c->path, sizeof(c->path), "%s/" RENDER_CFG_NAME, haproxy_sync_output_dir(h));
	offload_run(h->control->worker, &c->job);
	return 0;
}
