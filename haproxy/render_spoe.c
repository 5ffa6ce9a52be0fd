/* relay-spoe.conf, and the backend of the agent. */
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <inttypes.h>

static bool has_local(const struct render_model *m)
{
	for (size_t i = 0; i < m->spop_count; i++) {
		if (address_is_local(&m->spop[i]))
			return true;
	}
	return false;
}

bool render_spop_uses(const struct render_model *m, const struct address *listener)
{
	return address_is_local(listener) || !has_local(m);
}

bool render_spop_has_secret(const struct render_model *m)
{
	return !has_local(m);
}

/* The source of each argument; append_arg() writes the generation. */
static const char *const sources[SEAM_ARG_COUNT] = {
	[SEAM_ARG_SECRET] = ("env(" SEAM_SECRET_ENV ")"),
	[SEAM_ARG_WORKER] = ("var(proc." SEAM_PROC_WORKER ")"),
	[SEAM_ARG_ID] = "unique-id",
	[SEAM_ARG_HEAD] = "req.hdrs",
	[SEAM_ARG_METHOD] = "method",
	[SEAM_ARG_PATH] = "pathq",
	[SEAM_ARG_SRC] = "src",
	[SEAM_ARG_BODY] = "req.body",
	[SEAM_ARG_NAME] = (RENDER_VAR("name")),
	[SEAM_ARG_SINCE] = (RENDER_VAR("since")),
	[SEAM_ARG_STATUS] = "status",
	[SEAM_ARG_LIMITS] = (RENDER_VAR("lim")),
	[SEAM_ARG_ACCOUNT] = ("req.fhdr(" SEAM_HEADER_ACCOUNT ")"),
	[SEAM_ARG_FAILED] = "var(txn.rly.failed)",
};

#define ARG(name) (1u << SEAM_ARG_##name)
#define ARGS_COMMON (ARG(GEN) | ARG(SECRET) | ARG(ID))
#define ARGS_DECIDE (ARGS_COMMON | ARG(WORKER) | ARG(HEAD) | ARG(METHOD) | ARG(PATH) | ARG(SRC))
#define ARGS_WAIT (ARGS_DECIDE | ARG(NAME) | ARG(SINCE))

struct message {
	const char *name;
	unsigned args;
};

static const struct message messages[] = {
	{SEAM_MSG_DECIDE, ARGS_DECIDE},
	{SEAM_MSG_DECIDE2, ARGS_DECIDE},
	{SEAM_MSG_BODIED, ARGS_DECIDE | ARG(BODY)},
	{SEAM_MSG_AGAIN, ARGS_COMMON | ARG(WORKER) | ARG(FAILED)},
	{SEAM_MSG_AGAIN2, ARGS_COMMON | ARG(WORKER) | ARG(FAILED)},
	{SEAM_MSG_RESPOND, ARGS_COMMON | ARG(STATUS) | ARG(LIMITS)},
	{SEAM_MSG_PROBE, ARGS_COMMON | ARG(ACCOUNT)},
};

static const struct message wait_messages[] = {
	{SEAM_MSG_WAIT, ARGS_WAIT},
	{SEAM_MSG_WAIT2, ARGS_WAIT},
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* HAProxy writes a line about each exchange, also if nobody has asked for a log. */
#define NO_LOG_LINE "\toption dontlog-normal\n"

static void append_arg(const struct render_model *m, enum seam_arg arg, struct buffer *b)
{
	if (arg == SEAM_ARG_SECRET && !render_spop_has_secret(m))
		return;
	buffer_printf(b, " %s=", seam_arg_name(arg));
	if (arg == SEAM_ARG_GEN)
		buffer_printf(b, "int(%" PRIu64 ")", m->gen);
	else
		buffer_append_str(b, sources[arg]);
	if (seam_arg_max(arg))
		buffer_printf(b, ",bytes(0,%u)", seam_arg_max(arg) + 1);
}

static void append_messages(
	const struct render_model *m, const struct message *rows, size_t count, struct buffer *b)
{
	for (size_t i = 0; i < count; i++) {
		buffer_printf(b, "\nspoe-message %s\n\targs", rows[i].name);
		for (unsigned arg = 0; arg < SEAM_ARG_COUNT; arg++) {
			if (rows[i].args & 1u << arg)
				append_arg(m, (enum seam_arg)arg, b);
		}
		buffer_printf(b, "\n\nspoe-group %s\n\tmessages %s\n", rows[i].name, rows[i].name);
	}
}

static void append_groups(const struct message *rows, size_t count, struct buffer *b)
{
	buffer_append_str(b, "\tgroups");
	for (size_t i = 0; i < count; i++)
		buffer_printf(b, " %s", rows[i].name);
	buffer_append_str(b, "\n");
}

/* A second engine to the same agent, for requests that wait for a slot. */
static void append_wait_engine(const struct render_model *m, struct buffer *b)
{
	buffer_printf(b,
		"\n[" SEAM_ENGINE_WAIT "]\n\n"
		"# The agent holds a question for at most %d s; then HAProxy asks again.\n"
		"spoe-agent relay-agent-wait\n",
		SEAM_WAIT_MS / 1000);
	append_groups(wait_messages, COUNT(wait_messages), b);
	buffer_printf(b,
		"\toption var-prefix " SEAM_VAR_PREFIX "\n"
		"\toption set-on-error error\n"
		"\toption continue-on-error\n" NO_LOG_LINE "\tno option send-frag-payload\n"
		"\ttimeout hello 1s\n"
		"\ttimeout idle 60s\n"
		"\ttimeout processing %dms\n"
		"\tuse-backend " RENDER_AGENT "\n",
		SEAM_WAIT_PROCESSING_MS);
	append_messages(m, wait_messages, COUNT(wait_messages), b);
}

/*
 * `option async` stays on although the agent never announces it: HAProxy offers it only in the versions
 * where pipelining is always safe (docs/HAPROXY-NOTES.md, SPOE).
 */
int render_spoe(const struct render_model *m, struct buffer *spoe, struct errtext *e)
{
	int error = render_check_spoe_model(m, e);

	if (error)
		return error;
	buffer_printf(spoe,
		"# Rendered by spoa-relay, generation %" PRIu64 ", for " RENDER_CFG_NAME
		". Do not edit: the next rendering overwrites it.\n"
		"[" SEAM_ENGINE "]\n\n"
		"# A client waits at most two seconds for a dead agent: two questions of one second each.\n"
		"spoe-agent relay-agent\n",
		m->gen);
	append_groups(messages, COUNT(messages), spoe);
	buffer_append_str(spoe,
		"\toption var-prefix " SEAM_VAR_PREFIX "\n"
		"\toption set-on-error error\n"
		"\toption continue-on-error\n" NO_LOG_LINE "\tno option send-frag-payload\n"
		"\ttimeout hello 1s\n"
		"\ttimeout idle 30s\n"
		"\ttimeout processing 1s\n"
		"\tuse-backend " RENDER_AGENT "\n");
	append_messages(m, messages, COUNT(messages), spoe);
	append_wait_engine(m, spoe);
	return buffer_error(spoe) ? errtext_set(e, buffer_error(spoe), "out of memory") : 0;
}

void render_agent_backend(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b,
		"\n# The agent. Two servers lead to the same socket: when an agent dies, HAProxy repeats the\n"
		"# question on the other server at once. Set no maxconn here: HAProxy 2.6 to 3.0 would open\n"
		"# and close connections all the time. In `mode tcp` 3.1 and later would open one for each\n"
		"# question.\n"
		"defaults " RENDER_DEFAULTS_AGENT "\n"
		".if version_atleast(3.1)\n"
		"\tmode spop\n"
		".else\n"
		"\tmode tcp\n"
		".endif\n"
		"\ttimeout connect 200ms\n"
		"\ttimeout server 3m\n"
		"\tretries 3\n"
		"\toption redispatch 1\n"
		"\nbackend " RENDER_AGENT " from " RENDER_DEFAULTS_AGENT "\n"
		"\tbalance roundrobin\n");
	for (size_t i = 0; i < m->spop_count; i++) {
		if (!render_spop_uses(m, &m->spop[i]))
			continue;
		for (int twin = 'a'; twin <= 'b'; twin++) {
			buffer_printf(b, "\tserver agent%zu%c ", i + 1, twin);
			render_target(m, &m->spop[i], b);
			buffer_append_str(b, "\n");
		}
	}
}
