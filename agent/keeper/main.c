/* The program spoa-relay: what its command line asks for. The rest is in keeper.c and in the children. */
#include "agent/keeper/firstrun.h"
#include "agent/keeper/handover.h"
#include "agent/keeper/keeper.h"
#include "agent/keeper/options.h"
#include "agent/keeper/trial.h"
#include "common/config.h"
#include "common/log.h"
#include "common/reference.h"
#include "common/stdfds.h"
#include "common/version.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* What the build asks for: see common/reference.h. */
static const struct generated {
	const char *name;
	void (*write)(struct buffer *out);
} generated[] = {
	{"man", options_man},
	{"config-man", reference_config_man},
	{"errors", reference_errors},
	{"config", reference_config},
	{"metrics", reference_metrics},
};

static int print(struct buffer *text)
{
	bool failed =
		buffer_error(text) || fputs(buffer_str(text), stdout) == EOF || fflush(stdout) != 0;

	buffer_fini(text);
	return failed ? 1 : 0;
}

static int generate(const char *what)
{
	struct buffer text = {0};

	for (size_t i = 0; i < sizeof(generated) / sizeof(generated[0]); i++) {
		if (strcmp(what, generated[i].name) == 0) {
			generated[i].write(&text);
			return print(&text);
		}
	}
	fprintf(stderr, "spoa-relay: cannot generate '%s'\n", what);
	return 2;
}

static int print_config(const struct config *c)
{
	struct buffer text = {0};

	config_print(c, &text);
	return print(&text);
}

static int init(const struct config *c)
{
	struct errtext e = {""};

	log_init("init", c->log_level);
	if (firstrun_init(c, &e)) {
		fprintf(stderr, "spoa-relay: %s\n", e.text);
		return 1;
	}
	printf("made a new, empty store: %s\n", c->store_url.s);
	return 0;
}

/*
 * As it was started, not where links lead: the next version may be behind the same link. A wrapper script, or the
 * keeper before, names the path in the environment.
 */
static void find_program(char out[PATH_MAX])
{
	const char *named = getenv(HANDOVER_PROGRAM);
	const char *path =
		named && named[0] ? named : (const char *)(uintptr_t)getauxval(AT_EXECFN);
	char here[PATH_MAX];

	if (path[0] == '/' || !getcwd(here, sizeof(here)) ||
		(size_t)snprintf(out, PATH_MAX, "%s/%s", here, path) >= PATH_MAX)
		snprintf(out, PATH_MAX, "%s", path);
}

/* In the form of the log if the relay was to run: nobody may read it, and a service manager waits for the end. */
static int fail(const struct options *o, const char *why)
{
	if (o->task != OPTIONS_RUN) {
		fprintf(stderr, "spoa-relay: %s\n", why);
		return 1;
	}
	log_init("keeper", LOG_LEVEL_INFO);
	log_event(LOG_LEVEL_ERROR, "cannot start", LOG_STR("error", why));
	return 1;
}

static int with_config(const struct options *o)
{
	static struct config config;
	struct errtext e = {""};

	if (o->task == OPTIONS_PRINT && !o->config_given && access(o->config_path, F_OK) < 0) {
		config_parse(&config, "defaults", SLICE_LITERAL(""), &e);
		return print_config(&config);
	}
	if (config_load(&config, o->config_path, &e))
		return fail(o, e.text);
	if (o->task == OPTIONS_PRINT)
		return print_config(&config);
	if (o->task == OPTIONS_INIT)
		return init(&config);
	if (o->task == OPTIONS_CHECK) {
		int code = trial_run(&config);
		if (code != 1)
			printf("%s: OK\n", o->config_path);
		return code;
	}
	/* the children may not have access to the directory of the start */
	char *path = realpath(o->config_path, NULL);
	char program[PATH_MAX];
	find_program(program);
	if (!path || chdir("/") < 0) {
		errtext_set(&e, -errno, "%s: %s", o->config_path, strerror(errno));
		return fail(o, e.text);
	}
	log_init("keeper", config.log_level);
	int code = keeper_main(&config, path, program);
	free(path);
	return code;
}

static int show_usage(void)
{
	struct buffer text = {0};

	options_usage(&text);
	return print(&text);
}

int main(int argc, char **argv)
{
	struct options o;

	if (stdfds_open())
		return 1;
	if (options_parse(argc, argv, &o)) {
		fputs("Try: spoa-relay --help\n", stderr);
		return 2;
	}
	switch (o.task) {
	case OPTIONS_HELP:
		return show_usage();
	case OPTIONS_VERSION:
		printf("spoa-relay %s\n", version_text());
		return 0;
	case OPTIONS_GENERATE:
		return generate(o.generate);
	case OPTIONS_RUN:
	case OPTIONS_CONFIG:
	case OPTIONS_CHECK:
	case OPTIONS_INIT:
	case OPTIONS_PRINT:
		break;
	}
	return with_config(&o);
}
