/* The program spoa-relay: its command line. All else is in keeper.c and in the children. */
#include "agent/keeper/keeper.h"
#include "common/config.h"
#include "common/log.h"
#include "common/version.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_PATH_DEFAULT "/etc/spoa-relay/spoa-relay.conf"

enum task {
	TASK_RUN,
	TASK_CHECK,
	TASK_PRINT,
	TASK_VERSION,
	TASK_HELP,
};

struct command_line {
	enum task task;
	const char *config_path;
	bool config_given;
};

static const char usage[] =
	"Usage: spoa-relay [--config FILE] [--check-config] [--print-config] [--version]\n"
	"\n"
	"  --config FILE    configuration file (default " CONFIG_PATH_DEFAULT ")\n"
	"  --check-config   read the configuration, say what is wrong, exit 0 or 1\n"
	"  --print-config   show every option: value, default, whether a reload can change it\n"
	"  --version        show the version\n"
	"  --help           show this text\n"
	"\n"
	"Runs in the foreground and logs to stderr. SIGHUP reloads the configuration, SIGTERM stops.\n";

static int parse_command_line(int argc, char **argv, struct command_line *ret)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, TASK_CHECK},
		{"print-config", no_argument, NULL, TASK_PRINT},
		{"version", no_argument, NULL, TASK_VERSION},
		{"help", no_argument, NULL, TASK_HELP},
		{NULL, 0, NULL, 0},
	};
	struct command_line line = {TASK_RUN, CONFIG_PATH_DEFAULT, false};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'c') {
			line.config_path = optarg;
			line.config_given = true;
		} else if (option == '?')
			return -1;
		else
			line.task = (enum task)option;
	}
	if (optind < argc) {
		fprintf(stderr, "spoa-relay: unexpected argument '%s'\n", argv[optind]);
		return -1;
	}
	*ret = line;
	return 0;
}

static int print_config(const struct config *c)
{
	struct buffer text = {0};

	config_print(c, &text);
	fputs(buffer_str(&text), stdout);
	buffer_fini(&text);
	return 0;
}

static int with_config(const struct command_line *line)
{
	static struct config config;
	struct errtext e = {""};

	if (line->task == TASK_PRINT && !line->config_given &&
		access(line->config_path, F_OK) < 0) {
		config_parse(&config, "defaults", SLICE_LITERAL(""), &e);
		return print_config(&config);
	}
	if (config_load(&config, line->config_path, &e)) {
		fprintf(stderr, "spoa-relay: %s\n", e.text);
		return 1;
	}
	if (line->task == TASK_PRINT)
		return print_config(&config);
	if (line->task == TASK_CHECK) {
		printf("%s: OK\n", line->config_path);
		return 0;
	}
	/* the children may not be allowed into the directory that we were started in */
	char *path = realpath(line->config_path, NULL);
	if (!path || chdir("/") < 0) {
		fprintf(stderr, "spoa-relay: %s: %s\n", line->config_path, strerror(errno));
		return 1;
	}
	log_init("keeper", config.log_level);
	int code = keeper_main(&config, path);
	free(path);
	return code;
}

int main(int argc, char **argv)
{
	struct command_line line;

	if (parse_command_line(argc, argv, &line)) {
		fputs(usage, stderr);
		return 2;
	}
	if (line.task == TASK_HELP) {
		fputs(usage, stdout);
		return 0;
	}
	if (line.task == TASK_VERSION) {
		printf("spoa-relay %s\n", version_text());
		return 0;
	}
	return with_config(&line);
}
