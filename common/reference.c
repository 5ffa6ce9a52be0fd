#include "common/reference.h"

#include "common/config.h"
#include "common/provider.h"
#include "common/refusal.h"
#include "common/troff.h"
#include "common/version.h"

void reference_begin(struct buffer *out, const char *title, const char *rows)
{
	buffer_printf(out,
		"# %s\n\n"
		"<!-- Made from the rows of %s by `cmake --build --preset release --target docs`: "
		"edit the rows. -->\n\n",
		title, rows);
}

void reference_cell(struct buffer *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '|')
			buffer_append_str(out, "\\");
		buffer_append(out, p, 1);
	}
}

/* --- errors --- */

static const char errors_intro[] =
	"Each refusal of the relay carries its code in `X-Relay-Error` and in the body, and the id of "
	"the request in\n`X-Request-Id`. `retryable` in the body says whether the client should send the "
	"same request again by itself;\n`X-Should-Retry: true|false` says the same to the SDKs of OpenAI "
	"and Anthropic. Both are false where waiting would\ntake longer than 60 seconds, and where only a "
	"person can help. `Retry-After` gives the seconds to wait; where the\nrelay knows the moment, it "
	"replaces the value of the table, and `resets_at` in the body is that moment in Unix\nseconds. "
	"docs/LIMITS.md has the rules. The path decides the shape of the "
	"body, so that\nSDKs can read it:\n";

static const char errors_more[] =
	"\nAn error of an upstream passes through unchanged, with `X-Relay-Upstream: 1` and without "
	"`X-Relay-Error`.\n`relayadm requests why ID` shows what the relay decided for one request, and "
	"why.\n\n"
	"| code | status | type | retryable | `Retry-After` |\n|---|---|---|---|---|\n";

static void put_shape(struct buffer *out, const struct provider_shape *s)
{
	buffer_printf(out, "- `%s`:", s->name);
	for (size_t i = 0; s->paths && s->paths[i]; i++)
		buffer_printf(out, "%s `%s` and below", i ? "," : "", s->paths[i]);
	buffer_append_str(out, s->paths ? "\n" : " all other paths\n");
}

static void put_error(struct buffer *out, const struct refusal_row *row)
{
	buffer_printf(out, "| [`%s`](#%s) | %d | %s | %s | ", row->code, row->code, row->status,
		row->type, row->retryable ? "yes" : "no");
	if (row->retry_after)
		buffer_printf(out, "%d s", row->retry_after);
	else
		buffer_append_str(out, row->retry_max ? "until `resets_at`" : "-");
	if (row->retry_max > 0 && row->retry_max < REFUSAL_ANY)
		buffer_printf(out, ", at most %d s", row->retry_max);
	buffer_append_str(out, " |\n");
}

void reference_errors(struct buffer *out)
{
	reference_begin(out, "Errors", "common/refusal.h");
	buffer_append_str(out, errors_intro);
	for (size_t i = provider_shape_count(); i-- > 0;)
		put_shape(out, provider_shape_at(i));
	buffer_append_str(out, errors_more);
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++)
		put_error(out, refusal_row((enum refusal)r));
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		const struct refusal_row *row = refusal_row((enum refusal)r);
		buffer_printf(out, "\n## %s\n%d, \"%s\".\n\n**Cause.** %s\n\n**Remedy.** %s\n",
			row->code, row->status, row->message, row->cause, row->remedy);
	}
}

/* --- configuration --- */

static const char config_intro[] =
	"The file is `/etc/spoa-relay/spoa-relay.conf` unless `--config` names another. It has sections "
	"with lines\n`key = value`; `#` and `;` begin a comment line. `${NAME}` in a value is replaced "
	"from the environment. An\nunknown key, a key given twice or a bad value is an error with file "
	"and line. `spoa-relay --check-config`\nreads the file without starting anything; `spoa-relay "
	"--print-config` shows each option with its value.\n\n"
	"SIGHUP reloads the file. Options marked \"restart\" keep their old value until the relay is "
	"started again; the\nlog names them.\n";

static const char *type_name(enum config_type type)
{
	switch (type) {
	case CONFIG_TEXT:
		return "text";
	case CONFIG_SECRET:
		return "secret";
	case CONFIG_PATH:
		return "absolute path";
	case CONFIG_LEVEL:
		return "level";
	case CONFIG_REQUESTS:
		return "off, errors or all";
	case CONFIG_NUMBER:
		return "number";
	case CONFIG_SIZE:
		return "size";
	case CONFIG_DURATION:
		return "duration";
	}
	return "";
}

static void put_type(struct buffer *out, const struct config_row *row)
{
	buffer_append_str(out, type_name(row->type));
	if (!row->range.max)
		return;
	buffer_append_str(out, ", ");
	config_range(row, out);
}

static bool begins_section(size_t i)
{
	return i == 0 || strcmp(config_rows[i - 1].section, config_rows[i].section) != 0;
}

static void put_option(struct buffer *out, const struct config_row *row)
{
	buffer_printf(out, "| `%s` | ", row->key);
	put_type(out, row);
	if (row->fallback[0])
		buffer_printf(out, " | `%s` | ", row->fallback);
	else
		buffer_append_str(out, " | empty | ");
	buffer_printf(out, "%s | ", row->reloadable ? "reload" : "restart");
	reference_cell(out, row->help);
	buffer_append_str(out, " |\n");
}

void reference_config(struct buffer *out)
{
	reference_begin(out, "Configuration", "common/config_rows.h");
	buffer_append_str(out, config_intro);
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		if (begins_section(i))
			buffer_printf(out,
				"\n## [%s]\n\n"
				"| option | type | default | applied by | meaning |\n"
				"|---|---|---|---|---|\n",
				config_rows[i].section);
		put_option(out, &config_rows[i]);
	}
	buffer_append_str(out,
		"\n## Types\n\n"
		"- number: a whole number.\n"
		"- size: a number of bytes such as 4096, 64k, 10m.\n"
		"- duration: 250ms, 10s, 5m, 24h, 30d; a bare number is seconds.\n"
		"- level: error, warning, info or debug.\n"
		"- text: at most 1023 characters without control characters. Lists are separated by commas.\n"
		"- secret: a text that `--print-config` does not show.\n");
}

/* --- spoa-relay.conf(5) --- */

static void put_man_option(struct buffer *out, const struct config_row *row)
{
	buffer_append_str(out, ".TP\n\\fB");
	troff_text(out, row->key);
	buffer_append_str(out, "\\fR = \\fI");
	troff_text(out, type_name(row->type));
	buffer_append_str(out, "\\fR\n");
	troff_sentences(out, row->help);
	buffer_append_str(out, "\n");
	if (row->range.max) {
		buffer_append_str(out, "From ");
		config_range(row, out);
		buffer_append_str(out, ".\n");
	}
	if (row->fallback[0]) {
		buffer_append_str(out, "Default: ");
		troff_text(out, row->fallback);
		buffer_append_str(out, ".\n");
	}
	buffer_printf(out, "A change needs a %s.\n", row->reloadable ? "reload" : "restart");
}

void reference_config_man(struct buffer *out)
{
	troff_title(out, "SPOA-RELAY.CONF", 5, version_text(), "File Formats");
	buffer_append_str(out,
		".SH NAME\nspoa\\-relay.conf \\- configuration file of spoa\\-relay\n"
		".SH DESCRIPTION\n"
		"The file has sections, \\fB[name]\\fR, with lines \\fIkey\\fR = \\fIvalue\\fR.\n"
		"Lines that begin with # or ; are comments.\n"
		"\\fB${NAME}\\fR in a value is replaced from the environment.\n"
		"An unknown key, a key given twice or a bad value is an error with file and line.\n"
		".PP\n"
		"Sizes are written as 4096, 64k, 10m; durations as 250ms, 10s, 5m, 24h, 30d, and a bare\n"
		"number is seconds. Lists are separated by commas.\n"
		".PP\n"
		"SIGHUP reloads the file. An option that needs a restart keeps its old value until then.\n");
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		if (begins_section(i))
			buffer_printf(out, ".SH \"[%s]\"\n", config_rows[i].section);
		put_man_option(out, &config_rows[i]);
	}
	buffer_append_str(out,
		".SH FILES\n.TP\n\\fI/etc/spoa\\-relay/spoa\\-relay.conf\\fR\n"
		"The file that is read when \\fB\\-\\-config\\fR names no other.\n"
		".SH SEE ALSO\n.BR spoa\\-relay (8),\n.BR relayadm (1)\n");
}
