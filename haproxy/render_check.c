#include "common/ip.h"
#include "common/num.h"
#include "common/seam.h"
#include "haproxy/render_node.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <errno.h>

/* Headers that frame a message or belong to the relay cannot be extra headers. */
static const char *const reserved_headers[] = {
	"host",
	"content-length",
	"transfer-encoding",
	"connection",
	"upgrade",
	"te",
	"trailer",
	"keep-alive",
	"http2-settings",
	"expect",
	"x-request-id",
};

static int check_extra_header(const char *name, struct errtext *e)
{
	int error = render_check_header("extra header", name, e);

	if (error)
		return error;
	for (size_t i = 0; i < sizeof(reserved_headers) / sizeof(reserved_headers[0]); i++) {
		if (strcasecmp(name, reserved_headers[i]) == 0)
			return errtext_set(
				e, -EINVAL, "extra header \"%s\" belongs to HAProxy", name);
	}
	if (strncasecmp(name, "x-relay-", 8) == 0)
		return errtext_set(e, -EINVAL, "extra header \"%s\" belongs to the relay", name);
	return 0;
}

/* The variable's name is a hash: header names with the same hash would share a value. */
static int check_extra_headers(const struct render_model *m, struct errtext *e)
{
	char one[SEAM_HEADER_VAR_SIZE];
	char other[SEAM_HEADER_VAR_SIZE];

	for (size_t i = 0; i < m->header_count; i++) {
		int error = check_extra_header(m->headers[i], e);
		if (error)
			return error;
		seam_header_var(m->headers[i], one);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(one, seam_header_var(m->headers[k], other)) == 0 &&
				strcasecmp(m->headers[i], m->headers[k]) != 0)
				return errtext_set(e, -EINVAL,
					"extra headers \"%s\" and \"%s\" have the same "
					"variable: rename one",
					m->headers[k], m->headers[i]);
		}
	}
	return 0;
}

typedef int check_fn(const char *what, const char *text, struct errtext *e);

static int check_list(check_fn *check, const char *what, const char *const *texts, size_t count,
	struct errtext *e)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = check(what, texts[i], e);
	return error;
}

static int check_cidr(const char *what, const char *text, struct errtext *e)
{
	struct cidr net;

	if (cidr_parse(slice_from_str(text), &net))
		return errtext_set(
			e, -EINVAL, "%s \"%s\" is not a network such as 10.0.0.0/8", what, text);
	return 0;
}

static int check_bind(const char *what, const char *text, struct errtext *e)
{
	return render_check_endpoint(what, text, true, e);
}

static int check_options(const struct render_options *o, struct errtext *e)
{
	int error;

	if (o->bind_count == 0 || o->bind_count > RENDER_BINDS_MAX)
		return errtext_set(
			e, -EINVAL, "from 1 to %d addresses to bind are needed", RENDER_BINDS_MAX);
	if (o->trusted_count > RENDER_TRUSTED_MAX)
		return errtext_set(
			e, -EINVAL, "at most %d networks can be trusted", RENDER_TRUSTED_MAX);
	error = check_list(check_bind, "bind address", o->binds, o->bind_count, e);
	if (!error)
		error = check_list(check_cidr, "trusted network", o->trusted, o->trusted_count, e);
	if (!error && o->cert)
		error = render_check_path("certificate", o->cert, e);
	if (!error && o->stats)
		error = check_bind("stats address", o->stats, e);
	if (!error && !render_replay_is_known(o->replay_body))
		error = errtext_set(e, -EINVAL, "replayed bodies are 48k, 144k or off");
	return error;
}

static int check_egress(
	const struct render_model *m, const struct render_backend *k, struct errtext *e)
{
	switch (k->egress) {
	case RENDER_EGRESS_DIRECT:
		return 0;
	case RENDER_EGRESS_SOURCE:
		return render_check_ip("source address", k->egress_address, e);
	case RENDER_EGRESS_SOCKS4:
		return render_check_endpoint("SOCKS4 proxy", k->egress_address, false, e);
	case RENDER_EGRESS_NODE:
		return render_node_check_backend(m, k, e);
	}
	return errtext_set(e, -EINVAL, "unknown kind of egress");
}

static int check_backend(
	const struct render_model *m, const struct render_backend *k, struct errtext *e)
{
	int error = render_check_name("backend name", k->name, e);

	if (error)
		return error;
	error = render_check_host("host", k->host, e);
	if (!error)
		error = render_check_word("host header", k->host_header, e);
	if (!error && strpbrk(k->host_header, " %"))
		error = errtext_set(
			e, -EINVAL, "host header \"%s\" is not HOST or HOST:PORT", k->host_header);
	if (!error && k->ca_file)
		error = render_check_path("CA file", k->ca_file, e);
	if (!error && k->port == 0)
		error = errtext_set(e, -EINVAL, "port 0 cannot be connected to");
	if (!error)
		error = check_egress(m, k, e);
	return error ? errtext_prefix(e, error, "backend %s", k->name) : 0;
}

static int check_backends(const struct render_model *m, const struct render_backend *rows,
	size_t count, struct errtext *e)
{
	for (size_t i = 0; i < count; i++) {
		int error = check_backend(m, &rows[i], e);
		if (error)
			return error;
		for (size_t k = 0; k < i; k++) {
			if (strcmp(rows[i].name, rows[k].name) == 0)
				return errtext_set(
					e, -EINVAL, "two backends are named %s", rows[i].name);
		}
	}
	return 0;
}

/* Parts of paths, for the Location of an answer. */
static int check_paths(const struct render_backend *k, struct errtext *e)
{
	int error = 0;

	if (k->prefix && k->prefix[0])
		error = render_check_word("path prefix of an upstream", k->prefix, e);
	if (!error && k->strip && k->strip[0])
		error = render_check_word("path prefix to strip", k->strip, e);
	return error;
}

static int check_egresses(const struct render_model *m, struct errtext *e)
{
	for (size_t i = 0; i < m->backend_count; i++) {
		const char *name = m->backends[i].name;
		if (!name || name[0] != RENDER_EGRESS_PREFIX[0])
			return errtext_set(e, -EINVAL,
				"backend name \"%s\" does not begin with " RENDER_EGRESS_PREFIX,
				name ? name : "");
		int error = check_paths(&m->backends[i], e);
		if (error)
			return error;
	}
	return 0;
}

static int check_lists(const struct render_model *m, struct errtext *e)
{
	int error = check_extra_headers(m, e);

	if (!error)
		error = check_list(render_check_header_pattern, "request header to strip",
			m->request_deny, m->request_deny_count, e);
	if (!error)
		error = check_list(render_check_header, "request header to let pass",
			m->request_allow, m->request_allow_count, e);
	if (!error)
		error = check_list(render_check_header_pattern, "response header to strip",
			m->response_deny, m->response_deny_count, e);
	if (!error)
		error = check_list(render_check_header, "response header to let pass",
			m->response_allow, m->response_allow_count, e);
	return error;
}

static int check_secret(const struct render_model *m, struct errtext *e)
{
	if (!m->secret)
		return 0;
	if (strlen(m->secret) > SEAM_SECRET_MAX)
		return errtext_set(
			e, -EINVAL, "the secret is longer than %d characters", SEAM_SECRET_MAX);
	/* A space would shift the fields of the end record. */
	if (strchr(m->secret, ' '))
		return errtext_set(e, -EINVAL, "the secret holds a space");
	return render_check_word("the secret", m->secret, e);
}

/* Its digits are an argument in HAProxy's file, where other characters would have a meaning. */
static int check_id_key(const struct render_model *m, struct errtext *e)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = m->id_key ? strspn(m->id_key, digits) : 0;

	if (n < 22 || (n + strspn(m->id_key + n, "=")) % 4 || strlen(m->id_key + n) > 2 ||
		m->id_key[n + strspn(m->id_key + n, "=")])
		return errtext_set(
			e, -EINVAL, "the key of request ids is not base64 of 16 bytes or more");
	return 0;
}

static int check_sockets(const struct render_model *m, struct errtext *e)
{
	int error = 0;

	if (m->spop_count == 0 || m->spop_count > ADDRESS_LIST_MAX)
		return errtext_set(
			e, -EINVAL, "from 1 to %d agent listeners are needed", ADDRESS_LIST_MAX);
	for (size_t i = 0; i < m->spop_count && !error; i++)
		error = render_check_word("agent listener", m->spop[i].text, e);
	if (!error)
		error = render_check_word("records socket", m->records.text, e);
	if (!error && m->admin_socket && m->admin_socket[0])
		error = render_check_path("admin socket", m->admin_socket, e);
	if (!error && m->internal_socket && m->internal_socket[0])
		error = render_check_path("internal socket", m->internal_socket, e);
	if (!error && m->admin_group && m->admin_group[0])
		error = render_check_name("group", m->admin_group, e);
	return error;
}

int render_check_spoe_model(const struct render_model *m, struct errtext *e)
{
	int error = check_sockets(m, e);

	if (!error && m->gen > INT64_MAX)
		error = errtext_set(e, -EINVAL, "the generation is not a number HAProxy can hold");
	return error;
}

int render_check_model(const struct render_model *m, struct errtext *e)
{
	int error = render_check_spoe_model(m, e);

	if (!error)
		error = check_options(&m->options, e);
	if (!error)
		error = render_check_path("output directory", m->output_dir, e);
	if (!error)
		error = check_secret(m, e);
	if (!error)
		error = check_id_key(m, e);
	if (!error)
		error = check_lists(m, e);
	if (!error)
		error = render_node_check_all(m, e);
	if (!error)
		error = render_check_sockets(m, e);
	if (!error)
		error = check_egresses(m, e);
	if (!error)
		error = check_backends(m, m->backends, m->backend_count, e);
	if (!error)
		error = check_backends(m, m->internal, m->internal_count, e);
	return error;
}
