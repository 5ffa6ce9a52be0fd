#include "agent/keeper/options.h"

#include "common/troff.h"
#include "common/version.h"

#include <getopt.h>
#include <stdio.h>

#define HELP_COLUMN 17

static const struct row {
	const char *name;
	const char *metavar; /* NULL: takes no value */
	enum options_task task;
	const char *help; /* NULL: for the build, not shown */
} rows[] = {
	{"config", "FILE", OPTIONS_CONFIG,
		"configuration file (default " OPTIONS_CONFIG_DEFAULT ")"},
	{"check-config", NULL, OPTIONS_CHECK, "read the configuration, report errors, exit 0 or 1"},
	{"print-config", NULL, OPTIONS_PRINT,
		"show every option: value, default, whether a reload applies a change"},
	{"init", NULL, OPTIONS_INIT,
		"make a new, empty store where one is missing, and exit; a first start makes it by itself"},
	{"version", NULL, OPTIONS_VERSION, "show the version"},
	{"help", NULL, OPTIONS_HELP, "show this text"},
	{"generate", "WHAT", OPTIONS_GENERATE, NULL},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static void take(const struct row *row, struct options *o)
{
	if (row->task == OPTIONS_CONFIG) {
		o->config_path = optarg;
		o->config_given = true;
		return;
	}
	o->task = row->task;
	if (row->task == OPTIONS_GENERATE)
		o->generate = optarg;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct options o = {.task = OPTIONS_RUN, .config_path = OPTIONS_CONFIG_DEFAULT};
	struct option known[ROW_COUNT + 1] = {{NULL, 0, NULL, 0}};
	int at;

	for (size_t i = 0; i < ROW_COUNT; i++)
		known[i] = (struct option){
			rows[i].name, rows[i].metavar ? required_argument : no_argument, NULL, 0};
	for (int c; (c = getopt_long(argc, argv, "", known, &at)) != -1;) {
		if (c != 0)
			return -1;
		take(&rows[at], &o);
	}
	if (optind < argc) {
		fprintf(stderr, "spoa-relay: unexpected argument '%s'\n", argv[optind]);
		return -1;
	}
	*ret = o;
	return 0;
}

void options_usage(struct buffer *out)
{
	buffer_append_str(out, "Usage: spoa-relay [OPTION]...\n\n");
	for (size_t i = 0; i < ROW_COUNT && rows[i].help; i++) {
		struct buffer what = {0};
		buffer_printf(&what, "--%s%s%s", rows[i].name, rows[i].metavar ? " " : "",
			rows[i].metavar ? rows[i].metavar : "");
		buffer_printf(out, "  %-*s%s\n", HELP_COLUMN, buffer_str(&what), rows[i].help);
		buffer_fini(&what);
	}
	buffer_append_str(out,
		"\nRuns in the foreground and logs to stderr. SIGHUP reloads the configuration, SIGTERM "
		"drains and stops,\nSIGUSR2 replaces the running program by the one on disk.\n");
}

static const char man_description[] =
	".SH DESCRIPTION\n"
	"spoa\\-relay decides for HAProxy which request may pass, with which upstream account and through\n"
	"which egress. It runs in the foreground and logs to stderr: text on a terminal, JSON lines\n"
	"otherwise. It has three processes:\n"
	".TP\n\\fBkeeper\\fR\n"
	"opens the sockets and the state file, starts the other two and restarts them when they die.\n"
	".TP\n\\fBcontrol\\fR\n"
	"keeps the store and the credentials, renders HAProxy's files, refreshes tokens, probes accounts\n"
	"and answers\n.BR relayadm (1).\n"
	".TP\n\\fBagent\\fR\n"
	"answers HAProxy's questions from memory.\n"
	".PP\n"
	"If root starts it, control and agent run as the users \\fBuser\\fR and \\fBagent_user\\fR of the\n"
	"configuration.\n";

static const char man_rest[] =
	".SH SIGNALS\n"
	".TP\n\\fBSIGHUP\\fR\nreloads the configuration. Options that need a restart keep their old value.\n"
	".TP\n\\fBSIGTERM\\fR, \\fBSIGINT\\fR\n"
	"refuses new and waiting requests, and stops as soon as no request is in progress, at the latest\n"
	"after the option \\fBdrain\\fR. Streams in HAProxy continue. A second signal stops at once.\n"
	".TP\n\\fBSIGUSR2\\fR\n"
	"replaces the running program by the one that is on disk now, if that accepts the configuration. The\n"
	"process id stays, and no request fails.\n"
	".SH ENVIRONMENT\n"
	".TP\n\\fBSPOA_RELAY_PROGRAM\\fR\n"
	"the path that SIGUSR2 starts. Without it, that is the path of the program as it was started.\n"
	".SH EXIT STATUS\n"
	"0 after a stop by signal or a successful task, 1 after an error, 2 after a wrong command line.\n"
	".SH FILES\n"
	".TP\n\\fI" OPTIONS_CONFIG_DEFAULT
	"\\fR\nthe configuration, see\n.BR spoa\\-relay.conf (5).\n"
	".TP\n\\fISTATE_DIR/relay.db\\fR, \\fISTATE_DIR/vault.key\\fR\n"
	"the store, and the key that encrypts the credentials in it. Keep their backups in different places.\n"
	".TP\n\\fISTATE_DIR/state\\fR\n"
	"counts, requests in progress and conversations; a new agent reads them.\n"
	".TP\n\\fIRUN_DIR/admin.sock\\fR\n"
	"the socket for\n.BR relayadm (1).\n"
	".SH SEE ALSO\n"
	".BR relayadm (1),\n.BR spoa\\-relay.conf (5),\n.BR haproxy (1)\n";

void options_man(struct buffer *out)
{
	troff_title(out, "SPOA-RELAY", 8, version_text(), "System Administration");
	buffer_append_str(out,
		".SH NAME\nspoa\\-relay \\- gateway for many tenants over many upstream LLM accounts, an SPOE "
		"agent of HAProxy\n.SH SYNOPSIS\n\\fBspoa\\-relay\\fR");
	for (size_t i = 0; i < ROW_COUNT && rows[i].help; i++) {
		buffer_append_str(out, " [\\fB");
		troff_text(out, "--");
		troff_text(out, rows[i].name);
		buffer_append_str(out, "\\fR");
		if (rows[i].metavar)
			buffer_printf(out, " \\fI%s\\fR", rows[i].metavar);
		buffer_append_str(out, "]");
	}
	buffer_append_str(out, "\n");
	buffer_append_str(out, man_description);
	buffer_append_str(out, ".SH OPTIONS\n");
	for (size_t i = 0; i < ROW_COUNT && rows[i].help; i++) {
		buffer_append_str(out, ".TP\n\\fB");
		troff_text(out, "--");
		troff_text(out, rows[i].name);
		buffer_append_str(out, "\\fR");
		if (rows[i].metavar)
			buffer_printf(out, " \\fI%s\\fR", rows[i].metavar);
		buffer_append_str(out, "\n");
		troff_text(out, rows[i].help);
		buffer_append_str(out, "\n");
	}
	buffer_append_str(out, man_rest);
}
