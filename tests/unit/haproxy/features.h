/* The models of the golden rendering: one for each feature set, made without files, clocks or addresses
 * of this machine. */
#ifndef RELAY_TESTS_UNIT_HAPROXY_FEATURES_H
#define RELAY_TESTS_UNIT_HAPROXY_FEATURES_H

#include "haproxy/render.h"

#define FEATURE_COUNT 14
#define FEATURE_BACKENDS_MAX 16

/* A model and the rows that it points to. */
struct feature_model {
	struct render_model m;
	struct config config;
	struct render_backend backends[FEATURE_BACKENDS_MAX];
	struct render_backend internal[4];
	struct render_node nodes[2];
	struct address spop[3];
	struct address check;
};

struct feature {
	const char *name; /* of its folder below tests/golden/rendered */
	void (*add)(struct feature_model *f);
};

extern const struct feature features[FEATURE_COUNT];

/* The model of a minimal installation with the feature added. Points into itself. */
void feature_init(struct feature_model *f, const struct feature *feature);

#endif
