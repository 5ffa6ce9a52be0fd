#include "admin/publish/publish.h"

#include "admin/control.h"
#include "admin/publish/account_sets.h"
#include "admin/publish/assemble.h"
#include "admin/publish/haproxy_sync.h"
#include "admin/publish/keybase.h"
#include "admin/store/banlist.h"
#include "admin/store/notices.h"
#include "admin/store/secrets.h"
#include "admin/store/site.h"
#include "admin/store/store.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/snapshot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct publish {
	struct control *control;
	int peer_fd; /* -1 = no agent */
	uint32_t peer_number;
	struct keybase base;
	int fds[2]; /* snapshot and its key base; -1 = nothing built yet */
	uint64_t version;
	uint64_t sent; /* to this peer; 0 = nothing */
	uint64_t acknowledged;
	uint64_t refused;  /* the last version that the agent did not take */
	uint64_t given_up; /* it crashed the agent; 0 = none */
	int64_t waits_ms;  /* monotonic: since then the agent has had something to take */
	char reason[CHANNEL_TEXT_MAX];
};

struct publish *publish_new(struct control *c)
{
	struct publish *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->control = c;
	p->peer_fd = -1;
	p->fds[0] = p->fds[1] = -1;
	keybase_init(&p->base);
	return p;
}

static void close_built(struct publish *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
		p->fds[i] = -1;
	}
}

static void forget_peer(struct publish *p)
{
	if (p->peer_fd >= 0)
		close(p->peer_fd);
	p->peer_fd = -1;
	p->peer_number++;
	p->sent = 0;
}

void publish_free(struct publish *p)
{
	if (!p)
		return;
	forget_peer(p);
	keybase_fini(&p->base);
	close_built(p);
	free(p);
}

int publish_fd(const struct publish *p)
{
	return p->peer_fd;
}

uint32_t publish_peer_number(const struct publish *p)
{
	return p->peer_number;
}

uint64_t publish_version(const struct publish *p)
{
	return p->version;
}

uint64_t publish_acknowledged(const struct publish *p)
{
	return p->acknowledged;
}

const char *publish_refusal(const struct publish *p, uint64_t version)
{
	if (version == p->given_up)
		return "it crashed the agent, which uses the one before";
	return p->refused == version ? p->reason : NULL;
}

bool publish_is_late(const struct publish *p)
{
	if (p->acknowledged >= p->version)
		return false;
	return publish_refusal(p, p->version) ||
		clock_monotonic_ms() - p->waits_ms > PUBLISH_LATE_MS;
}

/* --- building --- */

static int build_keys(struct publish *p, struct buffer *log, struct errtext *e)
{
	int error = keybase_update(&p->base, p->control->store, e);

	return error ? error : keybase_write_log(&p->base, log, e);
}

bool publish_wants_merge(const struct publish *p)
{
	return keybase_wants_merge(&p->base);
}

void publish_merge(struct publish *p)
{
	struct errtext e = {""};

	if (keybase_merge(&p->base, &e))
		log_event(LOG_LEVEL_WARNING, "log of keys cannot be merged",
			LOG_STR("reason", e.text));
}

static struct snapshot_options agent_options(const struct config *config)
{
	return (struct snapshot_options){
#define COPY_RESTART(field)
#define COPY_RELOAD(field)
#define COPY_AGENT(field) .field = config->field,
#define X(section, key, field, type, range, fallback, when, help) COPY_##when(field)
		CONFIG_ROWS(X)
#undef X
	};
}

static int make_head(const struct publish *p, struct snapshot_head *ret, struct errtext *e)
{
	const struct control *c = p->control;
	struct snapshot_head h = {
		.version = store_version(c->store),
		.keybase = p->base.id,
		.created_ms = clock_wall_ms(),
		.options = agent_options(&c->config),
	};
	int error = site_flags(c->store, &h.flags, e);

	if (!error)
		error = banlist_taken(c->store, c->board, &h.bans_taken, e);
	if (error)
		return error;

	memcpy(h.hash_secret, c->secrets->hash_secret, sizeof(h.hash_secret));
	snprintf(h.secret, sizeof(h.secret), "%s", c->secrets->record_secret);
	h.flags |= c->secrets->record_is_ours ? SNAPSHOT_SECRET_BY_GEN : 0;
	snprintf(h.node_id, sizeof(h.node_id), "%.63s", c->config.node_id.s);
	snprintf(h.region, sizeof(h.region), "%.63s", c->config.region.s);
	*ret = h;
	explicit_bzero(&h, sizeof(h));
	return 0;
}

/* The agent compares names in small letters. */
static void add_sticky_name(struct snapshot_builder *b, struct slice name)
{
	char small[CONFIG_TEXT_MAX];

	for (size_t i = 0; i < name.n; i++)
		small[i] = (char)tolower((unsigned char)name.p[i]);
	struct snapshot_text text = snapshot_builder_text(b, (struct slice){small, name.n});
	snapshot_builder_add(b, SNAPSHOT_STICKY, &text);
}

static void add_sticky(struct snapshot_builder *b, const struct config *config)
{
	struct slice rest = slice_from_str(config->sticky_headers.s);
	struct slice one;

	while (slice_next(&rest, ',', &one)) {
		one = slice_trim(one);
		if (one.n)
			add_sticky_name(b, one);
	}
}

static void add_trusted(struct snapshot_builder *b, const struct control *c)
{
	struct cidr networks[RENDER_TRUSTED_MAX];
	size_t n = c->haproxy ? haproxy_sync_trusted(c->haproxy, networks) : 0;

	for (size_t i = 0; i < n; i++)
		snapshot_builder_add(b, SNAPSHOT_TRUSTED, &networks[i]);
}

static int build_block(
	struct publish *p, struct snapshot_builder *b, struct buffer *out, struct errtext *e)
{
	struct buffer log = {0};
	int error = build_keys(p, &log, e);

	if (!error)
		error = account_sets_update(p->control->store, e);
	if (!error)
		error = assemble_snapshot(p->control->store, p->control->vault, b, e);
	add_sticky(b, &p->control->config);
	add_trusted(b, p->control);
	struct snapshot_head head;
	if (!error)
		error = make_head(p, &head, e);
	if (!error) {
		snapshot_builder_set_keylog(b, buffer_slice(&log));
		error = snapshot_builder_finish(b, &head, out);
		explicit_bzero(&head, sizeof(head));
		if (error)
			errtext_set(e, error, "snapshot: too large, or out of memory");
	}
	buffer_fini(&log);
	return error;
}

/* The key base of the next snapshot may be another one, so this one's is kept. */
static int keep_built(struct publish *p, int snapshot_fd, struct errtext *e)
{
	int base_fd = fcntl(p->base.fd, F_DUPFD_CLOEXEC, 0);

	if (base_fd < 0) {
		int error = -errno;
		close(snapshot_fd);
		return errtext_set(e, error, "keys: %s", strerror(-error));
	}
	close_built(p);
	if (p->acknowledged == p->version)
		p->waits_ms = clock_monotonic_ms();
	p->fds[0] = snapshot_fd;
	p->fds[1] = base_fd;
	p->version = store_version(p->control->store);
	p->sent = 0;
	return 0;
}

int publish_build(struct publish *p, struct errtext *e)
{
	struct buffer block = {.max = SNAPSHOT_SIZE_MAX};
	struct snapshot_builder *b = snapshot_builder_new();

	if (!b)
		return errtext_set(e, -ENOMEM, "snapshot: out of memory");
	int error = build_block(p, b, &block, e);
	int fd = error ? -1 : snapshot_seal("relay-snapshot", buffer_slice(&block));
	if (!error && fd < 0)
		error = errtext_set(e, fd, "snapshot: %s", strerror(-fd));
	snapshot_builder_free(b);
	buffer_fini(&block);
	return error ? error : keep_built(p, fd, e);
}

/* --- the agent --- */

void publish_set_peer(struct publish *p, int fd)
{
	forget_peer(p);
	p->peer_fd = fd;
	p->acknowledged = 0;
	p->refused = 0;
	p->waits_ms = clock_monotonic_ms();
}

void publish_send(struct publish *p)
{
	const struct channel_message m = {.type = CHANNEL_SNAPSHOT, .version = p->version};

	if (p->peer_fd < 0 || p->fds[0] < 0 || p->sent == p->version || p->version == p->given_up)
		return;
	int error = channel_send(p->peer_fd, &m, p->fds, 2);
	if (!error)
		p->sent = p->version;
	else if (error != -EAGAIN)
		forget_peer(p);
}

/* --- a snapshot that crashes the agent --- */

#define GIVEN_UP_SUBJECT "snapshot"

void publish_give_up(struct publish *p, uint64_t version)
{
	struct errtext e = {""};
	char text[NOTICES_MESSAGE_MAX];

	p->given_up = version;
	snprintf(text, sizeof(text),
		"the configuration of version %llu has crashed the agent, which uses the one before: the last "
		"changes are not in force; undo them, or make another one, and report the crash",
		(unsigned long long)version);
	if (notices_raise(p->control->store, NOTICE_SNAPSHOT_GIVEN_UP, GIVEN_UP_SUBJECT, text, &e))
		log_event(LOG_LEVEL_ERROR, "notice not stored", LOG_STR("reason", e.text));
}

static void end_given_up(struct publish *p)
{
	struct errtext e = {""};

	p->given_up = 0;
	if (notices_resolve(p->control->store, NOTICE_SNAPSHOT_GIVEN_UP, GIVEN_UP_SUBJECT, &e))
		log_event(LOG_LEVEL_ERROR, "notice not ended", LOG_STR("reason", e.text));
}

/* --- the agent's answers --- */

static void take_ack(struct publish *p, const struct channel_message *m)
{
	if (m->type != CHANNEL_SNAPSHOT_ACK)
		return;
	if (!m->error) {
		p->acknowledged = m->version;
		p->waits_ms = clock_monotonic_ms();
		if (p->given_up && m->version != p->given_up)
			end_given_up(p);
		return;
	}
	p->refused = m->version;
	snprintf(p->reason, sizeof(p->reason), "%.*s", CHANNEL_TEXT_MAX - 1, m->text);
	log_event(LOG_LEVEL_ERROR, "agent refused a snapshot", LOG_INT("version", m->version),
		LOG_STR("reason", p->reason));
}

bool publish_receive(struct publish *p)
{
	bool wants_gauge = false;
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];
	int error = 0;

	while (p->peer_fd >= 0 && !error) {
		error = channel_receive(p->peer_fd, &m, fds);
		if (!error)
			take_ack(p, &m);
		wants_gauge |= !error && m.type == CHANNEL_WANTS_GAUGE;
		for (size_t i = 0; i < CHANNEL_FDS_MAX && !error; i++)
			if (fds[i] >= 0)
				close(fds[i]); /* the agent has none to give */
	}
	if (error && error != -EAGAIN)
		forget_peer(p);
	return wants_gauge;
}
