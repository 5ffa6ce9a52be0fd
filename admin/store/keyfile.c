#include "admin/store/keyfile.h"

#include "admin/store/hex.h"
#include "common/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 256

static int check_file(const char *path, int fd, struct errtext *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return errtext_set(e, -errno, "key file %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return errtext_set(e, -EINVAL, "key file %s: is not a regular file", path);
	if (st.st_mode & 077)
		return errtext_set(
			e, -EPERM, "key file %s: others can read it: run chmod 0400 on it", path);
	return 0;
}

static int parse(
	const char *path, struct slice text, uint8_t ret_key[KEYFILE_KEY_LEN], struct errtext *e)
{
	struct buffer bytes = {0};
	int error = hex_parse(slice_trim(text), &bytes);

	if (error || bytes.len != KEYFILE_KEY_LEN)
		error = errtext_set(e, -EINVAL,
			"key file %s: must hold 64 lower-case hex digits and nothing else: restore it from "
			"your backup",
			path);
	else
		memcpy(ret_key, bytes.data, KEYFILE_KEY_LEN);
	buffer_fini(&bytes);
	return error;
}

int keyfile_read(const char *path, uint8_t ret_key[KEYFILE_KEY_LEN], struct errtext *e)
{
	struct buffer text = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		int error = errno;
		return errtext_set(e, -error, "key file %s: %s", path, strerror(error));
	}
	int error = check_file(path, fd, e);
	if (!error) {
		error = buffer_read_fd(&text, fd, TEXT_MAX);
		if (error == -EFBIG)
			error = 0; /* parse() gives the better error */
		if (error)
			errtext_set(e, error, "key file %s: %s", path, strerror(-error));
	}
	close(fd);
	if (!error)
		error = parse(path, buffer_slice(&text), ret_key, e);
	buffer_fini(&text);
	return error;
}

static int sync_directory(const char *path)
{
	char copy[PATH_MAX];

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return -ENAMETOOLONG;
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return error;
}

/* The file gets its name when it is complete: a crash leaves no half a key. */
static int store_text(const char *path, struct slice text)
{
	char temporary[PATH_MAX];

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return -ENAMETOOLONG;
	if (unlink(temporary) < 0 && errno != ENOENT)
		return -errno;
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (fd < 0)
		return -errno;
	int error = durable_write(fd, text);
	close(fd);
	if (!error && link(temporary, path) < 0)
		error = -errno;
	unlink(temporary);
	return error ? error : sync_directory(path);
}

int keyfile_create(const char *path, uint8_t ret_key[KEYFILE_KEY_LEN], struct errtext *e)
{
	uint8_t key[KEYFILE_KEY_LEN];
	struct buffer text = {0};

	if (RAND_priv_bytes(key, sizeof(key)) != 1)
		return errtext_set(e, -EIO, "key file %s: no randomness", path);
	hex_format((struct slice){(const char *)key, sizeof(key)}, &text);
	buffer_append_str(&text, "\n");
	int error = buffer_error(&text);
	if (!error)
		error = store_text(path, buffer_slice(&text));
	if (error)
		errtext_set(e, error, "key file %s: cannot be made: %s", path, strerror(-error));
	else
		memcpy(ret_key, key, sizeof(key));
	buffer_fini(&text);
	explicit_bzero(key, sizeof(key));
	return error;
}

int keyfile_check_place(const char *path, struct errtext *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errtext_set(e, -errno, "key file %s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode))
		return 0;
	return errtext_set(e, -EINVAL,
		"key file %s: is a link, so no other file can take its place: name the file itself in "
		"[secrets] key_file, or give --keep-key-file",
		path);
}

int keyfile_replace(const char *from, const char *path)
{
	return rename(from, path) < 0 ? -errno : sync_directory(path);
}
