/*
 * The reference, made from the rows of the code: docs/ERRORS.md, docs/CONFIG.md, docs/METRICS.md and
 * spoa-relay.conf(5). `spoa-relay --generate` prints them, the build target `docs` refreshes the files.
 */
#ifndef RELAY_COMMON_REFERENCE_H
#define RELAY_COMMON_REFERENCE_H

#include "common/buffer.h"

void reference_errors(struct buffer *out);
void reference_config(struct buffer *out);
void reference_config_man(struct buffer *out);
/* In admin/api, which has the rows of the metrics. */
void reference_metrics(struct buffer *out);

/* The first lines of a generated document. `rows` names the file with the rows. */
void reference_begin(struct buffer *out, const char *title, const char *rows);
/* Text for a cell of a Markdown table. */
void reference_cell(struct buffer *out, const char *text);

#endif
