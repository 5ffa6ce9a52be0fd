/* The units of systemd against the configuration. Read as text: a unit that is not installed is no fault by itself. */
#include "admin/cli/doctor.h"

#include "common/num.h"
#include "haproxy/render.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UNIT_MAX ((size_t)256 << 10)
#define STOP_DEFAULT_MS 90000 /* of systemd, without TimeoutStopSec */
#define STOP_MARGIN_MS 30000  /* beyond `drain`: the watchdog's time for control, and saving */
#define WORD_MAX 1024

struct unit {
	struct doctor *d;
	const char *name; /* below the directory of units */
	struct buffer text;
	bool differs; /* a finding says how */
};

/* What a directory NAME.d changes is not read. */
static void note_changes(struct doctor *d, const char *path)
{
	char directory[PATH_MAX];

	if ((size_t)snprintf(directory, sizeof(directory), "%s.d", path) >= sizeof(directory))
		return;
	if (access(directory, F_OK) == 0)
		doctor_say(d, DOCTOR_NOTE, "units", "systemctl cat shows all of the unit",
			"not checked: what %s changes", directory);
}

/* False if there is no such unit, which a finding says. */
static bool unit_open(struct unit *u, struct doctor *d, const char *name)
{
	char path[PATH_MAX];
	char remedy[PATH_MAX];

	*u = (struct unit){.d = d, .name = name};
	snprintf(path, sizeof(path), "%s/%s", d->units, name);
	snprintf(remedy, sizeof(remedy),
		"copy it from /usr/local/share/spoa-relay as in the README, if systemd starts the programs");
	int error = buffer_read_file(&u->text, path, UNIT_MAX);
	note_changes(d, path);
	if (!error)
		return true;
	doctor_say(d, DOCTOR_NOTE, "units", remedy, "not checked: %s: %s", path, strerror(-error));
	buffer_fini(&u->text);
	return false;
}

static void unit_close(struct unit *u)
{
	if (!u->differs)
		doctor_say(u->d, DOCTOR_OK, "units", NULL, "%s agrees with the configuration",
			u->name);
	buffer_fini(&u->text);
}

static void differs(struct unit *u, const char *line, const char *want, struct slice has)
{
	char remedy[3 * WORD_MAX];

	u->differs = true;
	snprintf(remedy, sizeof(remedy),
		"write %s%s into %s/%s, then: systemctl daemon-reload, and restart the unit", line,
		want, u->d->units, u->name);
	doctor_say(u->d, DOCTOR_PROBLEM, "units", remedy,
		"%s: %s%.*s, but the configuration needs %s", u->name, line, has.p ? (int)has.n : 6,
		has.p ? has.p : "(none)", want);
}

/* The next value of `key` ("Key="); the last one counts, as for systemd. False = no more. */
static bool next_value(struct slice *text, const char *key, struct slice *ret)
{
	struct slice line;

	while (slice_next(text, '\n', &line)) {
		line = slice_trim(line);
		if (!slice_has_prefix(line, slice_from_str(key)))
			continue;
		*ret = slice_trim(slice_skip(line, strlen(key)));
		return true;
	}
	return false;
}

static struct slice value_of(const struct unit *u, const char *key)
{
	struct slice text = buffer_slice(&u->text);
	struct slice value = {NULL, 0};

	while (next_value(&text, key, &value))
		;
	return value;
}

/* Whether a line of the unit is KEYwanted. Sets `value` to the last one that is there. */
static bool has_value(
	const struct unit *u, const char *key, const char *wanted, struct slice *value)
{
	struct slice text = buffer_slice(&u->text);

	*value = (struct slice){NULL, 0};
	while (next_value(&text, key, value)) {
		if (slice_eq_str(*value, wanted))
			return true;
	}
	return false;
}

static void need_value(struct unit *u, const char *key, const char *wanted)
{
	struct slice value;

	if (!has_value(u, key, wanted, &value))
		differs(u, key, wanted, value);
}

/* The word behind an option such as -f, in a command line; the first one after `*rest`. */
static bool word_behind(struct slice *rest, const char *option, struct slice *ret)
{
	struct slice word;
	bool is_next = false;

	while (slice_next(rest, ' ', &word)) {
		word = slice_trim(word);
		if (word.n == 0)
			continue;
		if (is_next) {
			*ret = word;
			return true;
		}
		is_next = slice_eq_str(word, option);
	}
	return false;
}

static uint64_t parse_stop(struct slice value)
{
	uint64_t ms = STOP_DEFAULT_MS;

	if (slice_eq_str(value, "infinity"))
		return UINT64_MAX;
	if (value.p && num_parse_u64(value, UINT64_MAX / 1000, &ms) == 0)
		return ms * 1000;
	if (value.p)
		num_parse_duration(value, UINT64_MAX, &ms);
	return ms;
}

static void check_program(struct unit *u, struct slice start)
{
	char program[WORD_MAX];
	struct slice rest = start;
	struct slice word;

	if (!slice_next(&rest, ' ', &word))
		return;
	while (word.n && strchr("@-:+!", word.p[0]))
		word = slice_skip(word, 1);
	snprintf(program, sizeof(program), "%.*s", (int)slice_cut(word, WORD_MAX - 1).n, word.p);
	if (access(program, X_OK) == 0)
		return;
	u->differs = true;
	doctor_say(u->d, DOCTOR_PROBLEM, "units",
		"correct ExecStart, then: systemctl daemon-reload", "%s: cannot run %s: %s",
		u->name, program, strerror(errno));
}

void doctor_check_service(struct doctor *d)
{
	struct unit u;
	char wanted[64];
	struct slice config = slice_from_str(DOCTOR_CONFIG);

	if (!unit_open(&u, d, "spoa-relay.service"))
		return;
	struct slice start = value_of(&u, "ExecStart=");
	struct slice rest = start;
	check_program(&u, start);
	word_behind(&rest, "--config", &config);
	if (!slice_eq_str(config, d->config_path))
		differs(&u, "ExecStart=spoa-relay --config ", d->config_path, config);
	struct slice stop = value_of(&u, "TimeoutStopSec=");
	if (parse_stop(stop) < d->config.drain_ms + STOP_MARGIN_MS) {
		snprintf(wanted, sizeof(wanted), "%llu",
			(unsigned long long)(d->config.drain_ms + STOP_MARGIN_MS) / 1000);
		differs(&u, "TimeoutStopSec=", wanted, stop);
	}
	unit_close(&u);
}

/* As ListenStream= has it. */
static void listen_text(const struct address *a, char *out, size_t size)
{
	const char *colon = strchr(a->text, ':');

	snprintf(out, size, "%s%s", a->kind == ADDRESS_ABNS ? "@" : "", colon ? colon + 1 : "");
}

/* A user that is not named in the configuration is HAProxy's. */
static void socket_user(const struct config *c, char *out, size_t size)
{
	struct slice list =
		slice_from_str(*c->spop_allow_users.s ? c->spop_allow_users.s : "haproxy");
	struct slice first = list;

	slice_next(&list, ',', &first);
	first = slice_trim(first);
	snprintf(out, size, "%.*s", (int)first.n, first.p);
}

void doctor_check_socket_unit(struct doctor *d)
{
	struct address at[ADDRESS_LIST_MAX];
	int count = config_spop_listeners(&d->config, at);
	char wanted[CONFIG_TEXT_MAX];
	bool has_unix = false;
	struct address events;
	struct unit u;

	if (!unit_open(&u, d, "spoa-relay.socket"))
		return;
	for (int i = 0; i < count; i++) {
		listen_text(&at[i], wanted, sizeof(wanted));
		need_value(&u, "ListenStream=", wanted);
		has_unix = has_unix || at[i].kind == ADDRESS_UNIX;
	}
	if (address_parse(slice_from_str(d->config.events_listen.s), &events, NULL) == 0) {
		listen_text(&events, wanted, sizeof(wanted));
		need_value(&u, "ListenDatagram=", wanted);
	}
	socket_user(&d->config, wanted, sizeof(wanted));
	if (has_unix)
		need_value(&u, "SocketUser=", wanted);
	unit_close(&u);
}

/* --- HAProxy's drop-in --- */

static struct slice extra_options(const struct unit *u)
{
	static const char key[] = "EXTRAOPTS=";
	struct slice text = buffer_slice(&u->text);
	struct slice value;
	struct slice found = {NULL, 0};

	while (next_value(&text, "Environment=", &value)) {
		if (value.n && value.p[0] == '"')
			value = slice_skip(value, 1);
		if (slice_has_prefix(value, slice_from_str(key)))
			found = slice_skip(value, sizeof(key) - 1);
	}
	if (found.n && found.p[found.n - 1] == '"')
		found.n--;
	return found;
}

static void check_loaded_file(struct unit *u, struct slice options)
{
	char wanted[PATH_MAX];
	struct slice file = {NULL, 0};

	if (!*u->d->config.haproxy_output_dir.s)
		return; /* doctor_check_rendered() says so */
	snprintf(wanted, sizeof(wanted), "%s/" RENDER_CFG_NAME, u->d->config.haproxy_output_dir.s);
	while (word_behind(&options, "-f", &file)) {
		if (slice_eq_str(file, wanted))
			return;
	}
	differs(u, "-f ", wanted, file);
}

/* PATH,mode,660,group,GROUP */
static void check_master(struct unit *u, struct slice options)
{
	const char *group = u->d->config.group.s;
	struct slice master = {NULL, 0};
	struct slice word;

	if (!*u->d->config.haproxy_master_socket.s)
		return;
	word_behind(&options, "-S", &master);
	struct slice rest = master;
	if (!slice_next(&rest, ',', &word) ||
		!slice_eq_str(word, u->d->config.haproxy_master_socket.s)) {
		differs(u, "-S ", u->d->config.haproxy_master_socket.s, master);
		return;
	}
	while (slice_next(&rest, ',', &word)) {
		if (slice_eq_str(word, "group") && slice_next(&rest, ',', &word) &&
			slice_eq_str(word, group))
			return;
	}
	differs(u, "-S PATH,mode,660,group,", group, master);
}

void doctor_check_drop_in(struct doctor *d)
{
	struct unit u;

	if (!unit_open(&u, d, "haproxy.service.d/spoa-relay.conf"))
		return;
	struct slice options = extra_options(&u);
	check_loaded_file(&u, options);
	check_master(&u, options);
	unit_close(&u);
}
