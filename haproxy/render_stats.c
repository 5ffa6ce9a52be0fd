/* The stats page and HAProxy's Prometheus exporter, both read-only. */
#include "haproxy/render_parts.h"

void render_stats(const struct render_model *m, struct buffer *b)
{
	if (!m->options.stats)
		return;
	buffer_printf(b,
		"\nfrontend " RENDER_STATS " from " RENDER_DEFAULTS "\n"
		"\tbind %s\n"
		".if feature(PROMEX)\n"
		"\thttp-request use-service prometheus-exporter if { path /metrics }\n"
		".endif\n"
		"\tstats enable\n"
		"\tstats uri /\n"
		"\tstats refresh 5s\n"
		"\tstats show-legends\n"
		"\tstats hide-version\n",
		m->options.stats);
}
