/*
 * The reference: the least work of an SPOE agent. It reads no argument and answers every NOTIFY with the
 * same few variables, or, without BACKEND and BEARER, with the action alone.
 * Usage: constant_agent ADDRESS [BACKEND BEARER]
 */
#include "common/address.h"
#include "common/provider.h"
#include "common/seam.h"
#include "spoe/session.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_SIZE 65536
#define WRITE_SIZE 262144

struct constant {
	struct slice backend, bearer;
};

struct connection {
	ev_io io;
	const struct constant *constant;
	struct spoe_session session;
	char in[READ_SIZE];
	size_t n;
};

static char output[WRITE_SIZE];

static void set(struct spoe_ack *ack, enum seam_var var, struct slice value)
{
	spoe_ack_set_str(ack, SPOE_SCOPE_TXN, slice_from_str(seam_var_name(var)), value);
}

static void set_forwarding(struct spoe_ack *ack, const struct constant *constant)
{
	set(ack, SEAM_VAR_BE, constant->backend);
	spoe_ack_set_str(ack, SPOE_SCOPE_TXN, slice_from_str(provider_auth_at(0)->variable),
		constant->bearer);
	set(ack, SEAM_VAR_TRACK, SLICE_LITERAL("1|1|1"));
	set(ack, SEAM_VAR_MARK, SLICE_LITERAL("1.0.0.1"));
}

static void answer(struct connection *c, const struct spoe_notify *notify, struct spoe_writer *out)
{
	struct spoe_ack ack;

	spoe_session_ack(&c->session, &ack, out, notify);
	set(&ack, SEAM_VAR_ACTION, SLICE_LITERAL(SEAM_ACTION_ALLOW));
	if (c->constant->backend.n)
		set_forwarding(&ack, c->constant);
	spoe_ack_end(&ack);
}

static void close_connection(struct ev_loop *loop, struct connection *c)
{
	ev_io_stop(loop, &c->io);
	close(c->io.fd);
	free(c);
}

/* False: the connection is finished. */
static int step(struct connection *c, struct spoe_writer *out)
{
	struct slice in = {c->in, c->n};
	struct spoe_event event;
	size_t consumed;
	enum spoe_answer result;

	while ((result = spoe_session_next(&c->session, in, &consumed, &event)) == SPOE_OK) {
		if (event.type == SPOE_EVENT_HELLO)
			spoe_session_hello(&c->session, out);
		else if (event.type == SPOE_EVENT_NOTIFY)
			answer(c, &event.notify, out);
		else if (event.type == SPOE_EVENT_DISCONNECT)
			return 0;
		in = slice_skip(in, consumed);
	}
	memmove(c->in, in.p, in.n);
	c->n = in.n;
	return result == SPOE_MORE;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct connection *c = io->data;
	struct spoe_writer out;

	(void)events;
	ssize_t n = read(io->fd, c->in + c->n, sizeof(c->in) - c->n);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		close_connection(loop, c);
		return;
	}
	c->n += (size_t)n;
	spoe_writer_init(&out, output, sizeof(output));
	int go_on = step(c, &out);
	size_t len = spoe_writer_used(&out);
	if ((len && write(io->fd, output, len) != (ssize_t)len) || !go_on)
		close_connection(loop, c);
}

static void on_connect(struct ev_loop *loop, ev_io *io, int events)
{
	(void)events;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c)
		return;
	c->constant = io->data;
	spoe_session_init(&c->session, SEAM_ACK_MAX);
	ev_io_init(&c->io, on_readable, fd, EV_READ);
	c->io.data = c;
	ev_io_start(loop, &c->io);
}

int main(int argc, char **argv)
{
	struct constant constant = {{NULL, 0}, {NULL, 0}};
	struct address address;
	struct errtext e = {""};
	ev_io io;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: constant_agent ADDRESS [BACKEND BEARER]\n");
		return 2;
	}
	if (argc == 4)
		constant = (struct constant){slice_from_str(argv[2]), slice_from_str(argv[3])};
	int fd = address_parse(slice_from_str(argv[1]), &address, &e)
		? -1
		: address_listen(&address, 0, &e);
	if (fd < 0) {
		fprintf(stderr, "constant_agent: %s\n", e.text);
		return 1;
	}
	ev_io_init(&io, on_connect, fd, EV_READ);
	io.data = &constant;
	ev_io_start(ev_default_loop(0), &io);
	ev_run(ev_default_loop(0), 0);
	return 0;
}
