#include "common/seam.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

static const char *const arg_names[] = {
#define X(id, name, max) name,
	SEAM_DECIDE_ARGS(X)
#undef X
};

static const unsigned arg_maxima[] = {
#define X(id, name, max) max,
	SEAM_DECIDE_ARGS(X)
#undef X
};

static const char *const var_names[] = {
#define X(id, name) name,
	SEAM_VARS(X)
#undef X
};

const char *seam_arg_name(enum seam_arg a)
{
	return arg_names[a];
}

unsigned seam_arg_max(enum seam_arg a)
{
	return arg_maxima[a];
}

const char *seam_var_name(enum seam_var v)
{
	return var_names[v];
}

const char *seam_header_var(const char *header, char *out)
{
	uint32_t hash = 2166136261u;

	for (const char *c = header; *c; c++)
		hash = (hash ^ (uint32_t)tolower((unsigned char)*c)) * 16777619u;
	snprintf(out, SEAM_HEADER_VAR_SIZE, "h_%08x", hash);
	return out;
}
