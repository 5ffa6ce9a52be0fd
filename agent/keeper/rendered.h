/*
 * What HAProxy's master, which may be root, may read from us. Control writes the text; the keeper checks it
 * before it gets into the output directory, and does not trust that the renderer wrote it: a control that was
 * taken over must not become root through HAProxy.
 *
 * Only our sections with the words that we render pass. Nothing that runs a program, loads code, reads other
 * files into answers, changes users, or writes files. Which addresses, certificates and headers the text
 * names is not checked: control may choose them.
 */
#ifndef RELAY_AGENT_KEEPER_RENDERED_H
#define RELAY_AGENT_KEEPER_RENDERED_H

#include "common/errtext.h"
#include "common/slice.h"

#define RENDERED_MAX ((size_t)64 << 20) /* bytes of one file */
#define RENDERED_NAME_MAX 64

struct rendered_places {
	const char *output_dir;
	const char *sockets[2]; /* paths that HAProxy may bind; others must end in ".sock" */
};

/*
 * `name` is the file's name in the output directory: relay.cfg, relay-spoe.conf or ca-HEX.pem. 0, or -EPERM
 * with the file, the line and the word that a rendered file does not have.
 */
int rendered_check(const char *name, struct slice text, const struct rendered_places *places,
	struct errtext *e);

#endif
