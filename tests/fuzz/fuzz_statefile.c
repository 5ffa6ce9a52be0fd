/*
 * The head of a state file, and one row. A head that is accepted places every row within the file. A row
 * that is sound keeps its sum, and a flipped bit of it is found.
 *
 * Input: what to do with the checksum of the head, the size of the file in pages, the head.
 */
#include "common/statefile_layout.h"
#include "common/staterow.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define SIZE_BYTES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_places(const struct statefile_head *h, uint64_t size)
{
	uint32_t parts = layout_parts(h, (off_t)size);

	if (parts == 0 || layout_size(h, parts) > size)
		abort();
	for (int i = 0; i < STATEFILE_TABLE_COUNT; i++) {
		enum statefile_table t = (enum statefile_table)i;
		uint32_t rows = layout_rows(h, t, parts);
		if (rows == 0 || layout_offset(h, t, 0) < LAYOUT_PAGE ||
			layout_offset(h, t, rows - 1) + h->tables[t].row_size > size)
			abort();
	}
}

static void try_head(const uint8_t *data, size_t size)
{
	struct statefile_head h = layout_head();
	struct errtext e;
	uint64_t pages = data[1] | (uint64_t)data[2] << 8 | (uint64_t)data[3] << 16;
	int fd = memfd_create("head", MFD_CLOEXEC);

	memcpy(&h, data + 1 + SIZE_BYTES,
		size - 1 - SIZE_BYTES < sizeof(h) ? size - 1 - SIZE_BYTES : sizeof(h));
	if (data[0] & 1)
		h.crc = (uint32_t)crc32(0, (const Bytef *)&h, offsetof(struct statefile_head, crc));
	if (data[0] & 2)
		pages = h.size / LAYOUT_PAGE % (1 << 20);
	if (fd < 0 || ftruncate(fd, (off_t)(pages * LAYOUT_PAGE)) < 0 ||
		pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		abort();
	off_t end = lseek(fd, 0, SEEK_END);
	int error = layout_read(fd, &h, &e);
	if (error == -EBADMSG && layout_mend(fd))
		error = layout_read(fd, &h, &e);
	if (error == 0 || error == -EPROTO)
		check_places(&h, (uint64_t)end);
	close(fd);
}

static void try_row(const uint8_t *data, size_t size)
{
	struct statefile_binding row = {0};
	struct statefile_binding flipped;

	memcpy(&row, data, size < sizeof(row) ? size : sizeof(row));
	staterow_seal(STATEROW(&row));
	flipped = row;
	uint8_t *byte = (uint8_t *)&flipped + data[0] % sizeof(flipped);
	*byte = (uint8_t)(*byte ^ 1 << data[1] % 8);
	if (!staterow_is_sound(STATEROW(&row)) || staterow_is_sound(STATEROW(&flipped)) ||
		!staterow_mend(STATEROW(&flipped)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= 1 + SIZE_BYTES)
		return 0;
	try_head(data, size);
	try_row(data, size);
	return 0;
}
