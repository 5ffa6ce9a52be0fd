#include "admin/publish/haproxy_work.h"

#include "common/seam.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RELOAD_MS 10000
#define STATUS_MS 500
#define PROBE_MS 500 /* a HAProxy that hangs must not delay a change for long */

void haproxy_where_set(struct haproxy_where *w, const struct haproxy_place *p)
{
	snprintf(w->dir, sizeof(w->dir), "%s", p->dir);
	snprintf(w->scratch, sizeof(w->scratch), "%s", p->scratch);
	w->keeper = p->keeper;
}

static struct haproxy_place place_of(const struct haproxy_where *w)
{
	return (struct haproxy_place){.dir = w->dir, .keeper = w->keeper, .scratch = w->scratch};
}

/* --- HAProxy's sockets --- */

/* The generation that HAProxy has. 0; -ENOENT: none; other errors: it does not answer. */
static int ask_generation(const struct config *c, uint64_t *ret, struct errtext *e)
{
	const char *admin = c->haproxy_admin_socket.s;
	const char *master = c->haproxy_master_socket.s;

	if (*admin)
		return runtime_variable(admin, "", SEAM_PROC_GEN, STATUS_MS, ret, e);
	if (*master)
		return runtime_variable(master, "@1 ", SEAM_PROC_GEN, STATUS_MS, ret, e);
	return errtext_set(e, -ENOTSUP, "no socket of HAProxy is configured");
}

static int ask_loaded(const struct haproxy_forcing *f, struct errtext *e)
{
	uint64_t gen = 0;
	int error = ask_generation(&f->config, &gen, e);

	if (error)
		return error == -ENOENT ? 0 : error;
	return gen == f->gen;
}

static bool status_of(const char *admin, const char *master, struct runtime_status *ret)
{
	return runtime_status(admin, master, STATUS_MS, ret, NULL) == 0;
}

struct haproxy_look haproxy_look_now(const struct config *c)
{
	struct haproxy_look look = {.gen = 0};
	uint64_t gen = 0;

	look.answers =
		status_of(c->haproxy_admin_socket.s, c->haproxy_master_socket.s, &look.status);
	if (look.answers && ask_generation(c, &gen, NULL) == 0)
		look.gen = gen;
	return look;
}

static int probe(const char *master, struct errtext *e)
{
	struct buffer answer = {.max = RUNTIME_ANSWER_MAX};
	int error = runtime_command(master, "show proc", PROBE_MS, &answer, e);

	buffer_fini(&answer);
	return error;
}

static int reload(const char *master, struct errtext *e)
{
	if (!*master)
		return errtext_set(
			e, -ENOTSUP, "[haproxy] master_socket is not set: reload HAProxy yourself");
	int error = probe(master, e);
	return error ? error : runtime_reload(master, RELOAD_MS, e);
}

/* Whether some HAProxy works with earlier files, as far as control can see. */
static bool is_running(const struct haproxy_forcing *f)
{
	struct runtime_status status;

	return f->connected || status_of(f->config.haproxy_admin_socket.s, "", &status) ||
		status_of("", f->config.haproxy_master_socket.s, &status);
}

/* A reload failed with this error. No master socket is no sign that HAProxy runs. */
static bool works_with_old_files(const struct haproxy_forcing *f, int error)
{
	return (error != -ENOTSUP && error != -ENOENT && error != -ECONNREFUSED) || is_running(f);
}

/* --- jobs --- */

void haproxy_checking_work(struct offload_job *job)
{
	struct haproxy_checking *c = (struct haproxy_checking *)job;
	const struct haproxy_place place = place_of(&c->where);
	const char *binary = c->config.haproxy_binary.s;

	if (c->path[0]) {
		c->error = runtime_check(binary, c->path, HAPROXY_FILES_CHECK_MS, &c->why);
		return;
	}
	c->error = haproxy_files_write_ca(&place, &c->ca, &c->why);
	if (!c->error)
		c->error = haproxy_files_check(c->dir, &c->texts, binary, &c->why);
	else
		haproxy_files_drop_scratch(c->dir);
}

void haproxy_checking_free(struct haproxy_checking *c)
{
	if (!c)
		return;
	haproxy_ca_copies_fini(&c->ca);
	haproxy_texts_fini(&c->texts);
	free(c);
}

static void write_and_reload(struct haproxy_forcing *f)
{
	const struct haproxy_place place = place_of(&f->where);

	if (f->writes)
		f->write_error = haproxy_files_write(&place, &f->texts, &f->why);
	if (f->write_error || !f->reloads || f->loaded > 0)
		return;
	f->reload_error = reload(f->config.haproxy_master_socket.s, &f->why);
	if (f->reload_error)
		f->runs = works_with_old_files(f, f->reload_error);
}

void haproxy_forcing_work(struct offload_job *job)
{
	struct haproxy_forcing *f = (struct haproxy_forcing *)job;

	if (f->asks)
		f->loaded = ask_loaded(f, &f->loaded_why);
	if (f->loaded == -ENOTSUP)
		f->loaded = 0;
	if (f->loaded >= 0 || !f->needs_answer)
		write_and_reload(f);
	f->look = haproxy_look_now(&f->config);
}
