#include "agent/keeper/restarts.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct row {
	uint32_t ends[CHILD_END_COUNT];
	uint32_t last_end;
	int64_t last_end_ms;
	int64_t last_end_mono;
};

struct file {
	struct row rows[CHILD_ROLE_COUNT];
};

static uint32_t add_name(uint32_t hash, const char *name)
{
	do
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	while (*name++);
	return hash;
}

/* Counts are told apart by their places: a program of another build takes them if all places are the same. */
static uint32_t layout(void)
{
	uint32_t hash = 2166136261u ^ (uint32_t)sizeof(struct file);

	for (int role = 0; role < CHILD_ROLE_COUNT; role++)
		hash = add_name(hash, child_role_name((enum child_role)role));
	for (int end = 0; end < CHILD_END_COUNT; end++)
		hash = add_name(hash, child_end_name((enum child_end)end));
	return hash;
}

static struct row row_of(const struct child *c)
{
	struct row row = {.last_end = c->last_end,
		.last_end_ms = c->last_end_ms,
		.last_end_mono = c->last_end_mono};

	for (size_t i = 0; i < CHILD_END_COUNT; i++)
		row.ends[i] = c->ends[i];
	return row;
}

void restarts_hand_over(const struct child children[CHILD_ROLE_COUNT], struct handover *h)
{
	struct file file;
	char name[INHERITED_NAME_MAX];
	int fd = memfd_create("relay-restarts", MFD_CLOEXEC);

	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++)
		file.rows[i] = row_of(&children[i]);
	if (fd >= 0 && pwrite(fd, &file, sizeof(file), 0) != (ssize_t)sizeof(file)) {
		close(fd);
		fd = -1;
	}
	h->restarts_fd = fd;
	snprintf(name, sizeof(name), "%s%" PRIu32, INHERITED_RESTARTS, layout());
	handover_add(h, &h->restarts_fd, name);
}

static bool is_sound(const struct file *f)
{
	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++) {
		if (f->rows[i].last_end >= CHILD_END_COUNT)
			return false;
	}
	return true;
}

static void take_row(const struct row *row, struct child *c)
{
	for (size_t i = 0; i < CHILD_END_COUNT; i++)
		c->ends[i] = row->ends[i];
	c->last_end = (enum child_end)row->last_end;
	c->last_end_ms = row->last_end_ms;
	c->last_end_mono = row->last_end_mono;
}

void restarts_take(struct inherited *i, struct child children[CHILD_ROLE_COUNT])
{
	struct file file;
	uint64_t number;
	int fd = inherited_take_named(i, INHERITED_RESTARTS, &number);

	if (fd < 0)
		return;
	if (number == layout() && pread(fd, &file, sizeof(file), 0) == (ssize_t)sizeof(file) &&
		is_sound(&file)) {
		for (size_t n = 0; n < CHILD_ROLE_COUNT; n++)
			take_row(&file.rows[n], &children[n]);
	}
	close(fd);
}
