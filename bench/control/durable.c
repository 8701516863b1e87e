/*
 * The bare loop: what this machine allows for durable writes of one size. It overwrites segments that
 * were written before, in turn, each write at a fresh multiple of 4 KiB behind the segment's header.
 *
 *   durable DIRECTORY SEGMENT_BYTES SEGMENTS WRITE_BYTES WRITES dsync|fdatasync
 *
 * It prints one JSON line: seconds of all writes, the median and the 99th percentile of one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ALIGN = 4096, STRIDE = 1 << 20 };

static const char *directory;
static size_t segment_bytes, write_bytes;
static int segments, segment_index, segment_fd = -1;
static size_t segment_used;
static bool dsync;

static void die(const char *what)
{
	fprintf(stderr, "durable: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double monotonic_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void segment_path(int index, char path[512])
{
	snprintf(path, 512, "%s/bare-%d", directory, index);
}

static void *allocate(size_t bytes, int filler)
{
	void *memory = aligned_alloc(ALIGN, bytes);
	if (!memory)
		die("memory");
	return memset(memory, filler, bytes);
}

/* Writes every segment once, so that the writes that are measured change no metadata. */
static void prepare_segments(void)
{
	unsigned char *zeros = allocate(STRIDE, 0);
	for (int index = 0; index < segments; index++) {
		char path[512];
		segment_path(index, path);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0)
			die(path);
		for (size_t at = 0; at < segment_bytes; at += STRIDE)
			if (write(fd, zeros, STRIDE) != STRIDE)
				die(path);
		if (fsync(fd) || close(fd))
			die(path);
	}
	free(zeros);
}

static void next_segment(void)
{
	char path[512];
	if (segment_fd >= 0)
		close(segment_fd);
	segment_path(segment_index++ % segments, path);
	segment_fd = open(path, O_WRONLY | (dsync ? O_DSYNC : 0));
	if (segment_fd < 0)
		die(path);
	segment_used = ALIGN;
}

static void write_once(const unsigned char *bytes)
{
	if (segment_used + write_bytes > segment_bytes)
		next_segment();
	if (pwrite(segment_fd, bytes, write_bytes, (off_t)segment_used) != (ssize_t)write_bytes)
		die("write");
	if (!dsync && fdatasync(segment_fd))
		die("fdatasync");
	segment_used += write_bytes;
}

static int ascending(const void *left, const void *right)
{
	double difference = *(const double *)left - *(const double *)right;
	return (difference > 0) - (difference < 0);
}

int main(int count, char **arguments)
{
	if (count != 7) {
		fprintf(stderr, "usage: durable DIRECTORY SEGMENT_BYTES SEGMENTS WRITE_BYTES WRITES dsync|fdatasync\n");
		return 64;
	}
	directory = arguments[1];
	segment_bytes = strtoull(arguments[2], NULL, 10);
	segments = atoi(arguments[3]);
	write_bytes = strtoull(arguments[4], NULL, 10);
	long writes = atol(arguments[5]);
	dsync = !strcmp(arguments[6], "dsync");
	double *seconds = calloc((size_t)writes, sizeof *seconds);
	if (!seconds || writes < 1 || segment_bytes % STRIDE || write_bytes + ALIGN > segment_bytes)
		die("arguments");
	unsigned char *bytes = allocate((write_bytes + ALIGN - 1) / ALIGN * ALIGN, 'x');
	prepare_segments();
	next_segment();
	double start = monotonic_seconds();
	for (long index = 0; index < writes; index++) {
		double before = monotonic_seconds();
		write_once(bytes);
		seconds[index] = monotonic_seconds() - before;
	}
	double total = monotonic_seconds() - start;
	qsort(seconds, (size_t)writes, sizeof *seconds, ascending);
	printf("{\"seconds\":%.6f,\"p50Us\":%.2f,\"p99Us\":%.2f}\n", total,
		seconds[(writes - 1) / 2] * 1e6, seconds[(writes - 1) * 99 / 100] * 1e6);
	return 0;
}
