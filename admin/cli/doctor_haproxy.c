/* HAProxy: its version, the files rendered for it, its descriptors. */
#include "admin/cli/doctor.h"

#include "common/num.h"
#include "haproxy/render.h"
#include "haproxy/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ASK_MS 5000
#define CFG_MAX ((size_t)64 << 20)
#define LIMITS_MAX ((size_t)16 << 10)
#define RELAY_DESCRIPTORS 65536 /* LimitNOFILE of the unit */

/* 2.6 of 2.6.12-1+deb12u1 */
static bool has_branch(const char *version, const char *branch)
{
	size_t n = strlen(branch);

	return strncmp(version, branch, n) == 0 && (version[n] == '.' || version[n] == '-');
}

static bool is_too_old(const char *version)
{
	int major = 0;
	int minor = 0;

	/* NOLINTNEXTLINE(cert-err34-c): what is no number is old too */
	return sscanf(version, "%d.%d", &major, &minor) != 2 || major < 2 ||
		(major == 2 && minor < 6);
}

static void check_branch(struct doctor *d, const char *version)
{
	static const char *const tested[] = {"2.6", "3.0", "3.2", "3.4"};

	for (size_t i = 0; i < sizeof(tested) / sizeof(tested[0]); i++) {
		if (has_branch(version, tested[i])) {
			doctor_say(
				d, DOCTOR_OK, "haproxy", NULL, "HAProxy %s is installed", version);
			return;
		}
	}
	if (is_too_old(version))
		doctor_say(d, DOCTOR_PROBLEM, "haproxy", "install HAProxy 2.6 or newer",
			"HAProxy %s is too old", version);
	else
		doctor_say(d, DOCTOR_NOTE, "haproxy", NULL,
			"HAProxy %s is not among the tested ones: 2.6, 3.0, 3.2, 3.4", version);
}

void doctor_check_haproxy(struct doctor *d)
{
	char version[64];
	struct errtext e;
	const char *runs = json_object_get_string(doctor_status(d, "haproxy", "version"));

	if (runtime_version(d->config.haproxy_binary.s, ASK_MS, version, sizeof(version), &e)) {
		doctor_say(d, DOCTOR_PROBLEM, "haproxy",
			"install HAProxy, or correct [haproxy] binary", "%s", e.text);
		return;
	}
	check_branch(d, version);
	if (!runs)
		doctor_say(d, DOCTOR_NOTE, "haproxy", NULL,
			"not checked: which version runs; nothing tells of a running HAProxy");
	else if (strcmp(runs, version) != 0)
		doctor_say(d, DOCTOR_PROBLEM, "haproxy", "systemctl restart haproxy",
			"HAProxy %s runs, %s is installed", runs, version);
	else
		doctor_say(d, DOCTOR_OK, "haproxy", NULL, "HAProxy %s runs", runs);
}

/* The number in the first line of relay.cfg; 0 = none. */
static uint64_t generation_of(struct slice cfg)
{
	static const char before[] = "# Rendered by spoa-relay, generation ";
	uint64_t gen = 0;
	struct slice number;

	if (!slice_has_prefix(cfg, slice_from_str(before)))
		return 0;
	cfg = slice_skip(cfg, sizeof(before) - 1);
	if (!slice_next(&cfg, '.', &number) || num_parse_u64(number, UINT64_MAX, &gen))
		return 0;
	return gen;
}

static void compare_generation(struct doctor *d, const char *path, uint64_t gen)
{
	json_object *newest = doctor_status(d, "haproxy", "generation");
	bool pending = json_object_get_boolean(doctor_status(d, "haproxy", "pending")) != 0;

	if (gen == 0)
		doctor_say(d, DOCTOR_PROBLEM, "rendered files", "relayadm haproxy reload",
			"the relay has not rendered %s", path);
	else if (!d->status)
		doctor_say(d, DOCTOR_NOTE, "rendered files", NULL,
			"%s is of generation %" PRIu64
			"; whether it is the newest is not checked: the relay does not answer",
			path, gen);
	else if (gen != (uint64_t)json_object_get_int64(newest))
		doctor_say(d, DOCTOR_PROBLEM, "rendered files", "relayadm haproxy reload",
			"%s is of generation %" PRIu64 ", the newest is %" PRId64, path, gen,
			json_object_get_int64(newest));
	else if (pending)
		doctor_say(d, DOCTOR_PROBLEM, "rendered files", "relayadm haproxy reload",
			"HAProxy has not loaded %s, generation %" PRIu64, path, gen);
	else
		doctor_say(d, DOCTOR_OK, "rendered files", NULL,
			"HAProxy has loaded %s, generation %" PRIu64, path, gen);
}

void doctor_check_rendered(struct doctor *d)
{
	const char *directory = d->config.haproxy_output_dir.s;
	char path[PATH_MAX];
	struct buffer cfg;

	if (!*directory) {
		doctor_say(d, DOCTOR_NOTE, "rendered files", "set [haproxy] output_dir",
			"not checked: [haproxy] output_dir is empty");
		return;
	}
	snprintf(path, sizeof(path), "%s/" RENDER_CFG_NAME, directory);
	buffer_init(&cfg, CFG_MAX);
	int error = buffer_read_file(&cfg, path, CFG_MAX);
	if (error == -EACCES)
		doctor_say(d, DOCTOR_NOTE, "rendered files", "run relayadm doctor as root",
			"not checked: this user may not read %s", path);
	else if (error)
		doctor_say(d, DOCTOR_PROBLEM, "rendered files", "relayadm haproxy render --out DIR",
			"%s: %s", path, strerror(-error));
	else
		compare_generation(d, path, generation_of(buffer_slice(&cfg)));
	buffer_fini(&cfg);
}

/* --- descriptors --- */

/* The number after `name` at the start of a line. 0 = there is none. */
static uint64_t number_after(struct slice text, const char *name)
{
	struct slice line;
	struct slice word;
	uint64_t number = 0;

	while (slice_next(&text, '\n', &line)) {
		if (!slice_has_prefix(line, slice_from_str(name)))
			continue;
		line = slice_trim(slice_skip(line, strlen(name)));
		if (slice_next(&line, ' ', &word) && num_parse_u64(word, UINT64_MAX, &number) == 0)
			return number;
	}
	return 0;
}

/* The soft limit of a process. 0 = not known. */
static uint64_t soft_limit(int64_t pid)
{
	struct buffer text = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/limits", pid);
	int error = buffer_read_file(&text, path, LIMITS_MAX);
	uint64_t soft = error ? 0 : number_after(buffer_slice(&text), "Max open files");
	buffer_fini(&text);
	return soft;
}

static void check_relay_descriptors(struct doctor *d)
{
	json_object *agent = doctor_status(d, "processes", "agent");
	uint64_t soft = soft_limit(json_object_get_int64(json_object_object_get(agent, "pid")));

	if (!agent)
		return; /* the relay does not answer, which relayadm has said */
	if (soft == 0)
		doctor_say(d, DOCTOR_NOTE, "descriptors", "run relayadm doctor as root",
			"not checked: the limit of the relay cannot be read");
	else
		doctor_say(d, soft < RELAY_DESCRIPTORS ? DOCTOR_NOTE : DOCTOR_OK, "descriptors",
			soft < RELAY_DESCRIPTORS ? "LimitNOFILE=65536 in spoa-relay.service" : NULL,
			"the relay may open %" PRIu64, soft);
}

/* HAProxy 2.6 crashes if it may open more than it has made room for, and does (docs/SIZING.md). */
static void judge_haproxy(struct doctor *d, struct slice info)
{
	const char *version = json_object_get_string(doctor_status(d, "haproxy", "version"));
	uint64_t room = number_after(info, "Maxsock: ");
	uint64_t soft = soft_limit((int64_t)number_after(info, "Pid: "));

	if (room == 0 || soft == 0)
		doctor_say(d, DOCTOR_NOTE, "descriptors", "run relayadm doctor as root",
			"not checked: the limit of HAProxy cannot be read");
	else if (soft > room && version && has_branch(version, "2.6"))
		doctor_say(d, DOCTOR_NOTE, "descriptors",
			"start HAProxy with a lower soft limit: see docs/SIZING.md",
			"HAProxy has room for %" PRIu64 " and may open %" PRIu64
			": version 2.6 crashes when it needs more than it has room for",
			room, soft);
	else
		doctor_say(d, DOCTOR_OK, "descriptors", NULL,
			"HAProxy has room for %" PRIu64 " and may open %" PRIu64, room, soft);
}

void doctor_check_descriptors(struct doctor *d)
{
	const char *master = d->config.haproxy_master_socket.s;
	struct buffer info = {0};
	struct errtext e;

	check_relay_descriptors(d);
	if (!*master)
		return;
	if (runtime_command(master, "@1 show info", ASK_MS, &info, &e))
		doctor_say(d, DOCTOR_NOTE, "descriptors", NULL, "not checked: %s", e.text);
	else
		judge_haproxy(d, buffer_slice(&info));
	buffer_fini(&info);
}
