/* A model with one of everything, for the tests of the renderer, and cmocka with the headers it needs. */
#ifndef RELAY_TESTS_UNIT_HAPROXY_MODEL_H
#define RELAY_TESTS_UNIT_HAPROXY_MODEL_H

#include "haproxy/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODEL_BACKENDS 8

struct model {
	struct render_model m;
	struct config config;
	struct render_backend backends[MODEL_BACKENDS];
	struct render_backend internal[2];
	struct address spop;
};

/*
 * Plain HTTP, a local agent socket, two backends that need no DNS. model_widen() adds TLS, trusted
 * networks, a secret, stats, policies, backends of every kind and the internal frontend. Points into
 * itself.
 */
void model_init(struct model *model);
void model_widen(struct model *model);

/* The rendered text of both files, one after the other; fails the test on an error. */
char *model_render(const struct model *model); /* free() it */
/* The reason why the model cannot be rendered; fails the test if it can. */
const char *model_refusal(const struct model *model);

#endif
