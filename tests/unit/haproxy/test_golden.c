/*
 * The rendered files of each feature set, byte for byte as in tests/golden/rendered. After a wanted
 * change `haproxy_test_golden --regenerate` rewrites the golden files and prints what changed.
 */
#include "tests/unit/haproxy/difference.h"
#include "tests/unit/haproxy/features.h"
#include "tests/unit/haproxy/model.h"
#include "tests/unit/haproxy/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)1 << 20)
#define EVERYWHERE SIZE_MAX

typedef int render_fn(const struct render_model *m, struct buffer *text, struct errtext *e);

static const struct golden_file {
	const char *name;
	render_fn *render;
} files[] = {
	{RENDER_CFG_NAME, render_config},
	{RENDER_SPOE_NAME, render_spoe},
};

#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

/* Below RENDERED_DIR. */
static void append_name(
	const struct feature *feature, const struct golden_file *file, struct buffer *name)
{
	buffer_printf(name, "%s/%s", feature->name, file->name);
}

static struct buffer golden_text(const char *name)
{
	struct buffer path = {0};
	struct buffer text = {0};

	buffer_printf(&path, "%s/%s", RENDERED_DIR, name);
	if (buffer_read_file(&text, buffer_str(&path), FILE_MAX))
		buffer_clear(&text);
	buffer_fini(&path);
	return text;
}

static struct buffer rendered_text(const struct feature *feature, const struct golden_file *file)
{
	struct feature_model model;
	struct buffer text = {0};
	struct errtext e = {""};

	feature_init(&model, feature);
	if (file->render(&model.m, &text, &e))
		fail_msg("%s: %s", feature->name, e.text);
	return text;
}

/* Returns the number of places that differ; appends the first `max` to `report`. */
static size_t compare(const struct feature *feature, const struct golden_file *file, size_t max,
	struct buffer *report)
{
	struct buffer name = {0};
	struct buffer rendered = rendered_text(feature, file);
	size_t places = 0;

	append_name(feature, file, &name);
	struct buffer golden = golden_text(buffer_str(&name));
	if (!slice_eq(buffer_slice(&golden), buffer_slice(&rendered)))
		places = difference(buffer_str(&name), buffer_slice(&golden),
			buffer_slice(&rendered), max, report);
	buffer_fini(&golden);
	buffer_fini(&rendered);
	buffer_fini(&name);
	return places;
}

static void renders_the_golden_files(void **state)
{
	const struct feature *feature = *state;
	struct buffer report = {0};
	size_t places = 0;

	for (size_t i = 0; i < FILE_COUNT; i++)
		places += compare(feature, &files[i], places ? 0 : 1, &report);
	fputs(buffer_str(&report), stderr);
	buffer_fini(&report);
	if (places)
		fail_msg("%s: differences from tests/golden/rendered: %zu, the first is above; "
			 "after a wanted change run haproxy_test_golden --regenerate",
			feature->name, places);
}

static bool is_feature(const char *name)
{
	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		if (strcmp(features[i].name, name) == 0)
			return true;
	}
	return strcmp(name, "README.md") == 0;
}

static void keeps_no_golden_file_without_a_feature_set(void **state)
{
	DIR *dir = opendir(RENDERED_DIR);
	const struct dirent *entry;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && !is_feature(entry->d_name))
			fail_msg("no feature set renders tests/golden/rendered/%s", entry->d_name);
	}
	closedir(dir);
}

static size_t difference_of(const char *one, const char *other, size_t max, struct buffer *out)
{
	return difference("f", slice_from_str(one), slice_from_str(other), max, out);
}

static void shows_the_first_difference(void **state)
{
	struct buffer out = {0};

	(void)state;
	assert_int_equal(difference_of("a\nb\nc\n", "a\nb\nc\n", 1, &out), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(difference_of("a\nb\nc\nd\n", "a\nx\nc\ny\nd\n", 1, &out), 2);
	assert_string_equal(buffer_str(&out), "f:2\n- b\n+ x\n");
	buffer_clear(&out);
	assert_int_equal(difference_of("a\nb\n", "a\nb\nc\n", 1, &out), 1);
	assert_string_equal(buffer_str(&out), "f:3\n+ c\n");
	buffer_clear(&out);
	assert_int_equal(difference_of("a\nb\n", "", 1, &out), 1);
	assert_string_equal(buffer_str(&out), "f:1\n- a\n- b\n");
	buffer_clear(&out);
	assert_int_equal(difference_of("a\nb\nc\nd\n", "b\nc\ne\nd", EVERYWHERE, &out), 3);
	assert_string_equal(buffer_str(&out), "f:1\n- a\nf:4\n+ e\nf:5\n- \n");
	buffer_fini(&out);
}

static void shows_a_long_line_around_its_difference(void **state)
{
	char one[1000];
	char other[1000];
	struct buffer out = {0};

	(void)state;
	memset(one, 'a', sizeof(one) - 1);
	memset(other, 'a', sizeof(other) - 1);
	one[999] = other[999] = '\0';
	one[500] = 'x';
	other[500] = 'y';
	assert_int_equal(difference_of(one, other, 1, &out), 1);
	assert_has(buffer_str(&out), "f:1\n- ...aaa");
	assert_has(buffer_str(&out), "axaaa");
	assert_has(buffer_str(&out), "ayaaa");
	assert_true(out.len < 400);
	buffer_fini(&out);
}

static int write_file(const char *path, struct slice text)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fwrite(text.p, 1, text.n, f);
	return fclose(f) ? -errno : 0;
}

static int rewrite(const struct feature *feature, const struct golden_file *file)
{
	struct buffer report = {0};
	struct buffer path = {0};
	int error = 0;

	if (compare(feature, file, EVERYWHERE, &report)) {
		struct buffer text = rendered_text(feature, file);
		printf("%s", buffer_str(&report));
		buffer_printf(&path, "%s/%s", RENDERED_DIR, feature->name);
		mkdir(buffer_str(&path), 0777);
		buffer_printf(&path, "/%s", file->name);
		error = write_file(buffer_str(&path), buffer_slice(&text));
		if (error)
			fprintf(stderr, "%s: %s\n", buffer_str(&path), strerror(-error));
		buffer_fini(&text);
	}
	buffer_fini(&report);
	buffer_fini(&path);
	return error;
}

static int regenerate(void)
{
	int error = 0;

	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		for (size_t k = 0; k < FILE_COUNT; k++)
			error |= rewrite(&features[i], &files[k]);
	}
	return error ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[FEATURE_COUNT + 3] = {
		[FEATURE_COUNT] = cmocka_unit_test(keeps_no_golden_file_without_a_feature_set),
		cmocka_unit_test(shows_the_first_difference),
		cmocka_unit_test(shows_a_long_line_around_its_difference),
	};

	if (argc == 2 && strcmp(argv[1], "--regenerate") == 0)
		return regenerate();
	for (size_t i = 0; i < FEATURE_COUNT; i++)
		tests[i] = (struct CMUnitTest)cmocka_unit_test_prestate(
			renders_the_golden_files, (void *)(uintptr_t)&features[i]);
	for (size_t i = 0; i < FEATURE_COUNT; i++)
		tests[i].name = features[i].name;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
