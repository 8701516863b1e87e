/*
 * The control: what this machine allows without a runtime. It receives the generator's stream,
 * and either counts lines and throws them away (discard), or writes them in group commits of
 * checksummed, 4 KiB aligned entries to zero-written segments through an O_DSYNC descriptor
 * (log). Either way it answers each connection with its cumulative count, a line per commit.
 *
 *   control COUNT discard|log DIRECTORY
 *
 * It listens on a free loopback port, prints "ready PORT" once its segments are prepared, serves
 * until COUNT records are done and then prints one JSON line.
 *
 * One thread receives into the open entry while the writer thread has the other one in flight:
 * two entries, so group commit without timers. A full open entry stops receiving until the writer
 * is done; that wait sleeps on the eventfd, it does not spin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum {
	CONNECTIONS_MAX = 1024,
	EVENTS_MAX = 128,
	READ_BYTES = 256 << 10,       /* one read call */
	CARRY_BYTES = 4096,           /* the unfinished line of a connection */
	ENTRY_BYTES_MAX = 8 << 20,    /* payload; receiving stops above it */
	ENTRY_ROOM = ENTRY_BYTES_MAX + READ_BYTES + CARRY_BYTES,
	ENTRY_RECORDS_MAX = 1 << 20,
	HEADER_BYTES = 64,
	CRC_AT = 52,
	ALIGN = 4096,
	SEGMENT_BYTES = 64 << 20,
	SEGMENTS = 8,
	LISTENER = -1,                /* epoll tags that are no connection index */
	WRITER_DONE = -2,
};

struct connection {
	int fd;
	size_t carry_bytes;
	long acknowledged;
	unsigned char carry[CARRY_BYTES];
};

/* Header, payloads back to back, then their lengths: the shape of a log entry. */
struct entry {
	unsigned char *bytes;
	size_t used;
	uint32_t *lengths;
	uint32_t records;
	uint32_t per_connection[CONNECTIONS_MAX];
};

static struct connection *connections[CONNECTIONS_MAX];
static int connection_count;
static int epoll_fd;
static struct entry entries[2];
static int open_index;
static bool writing;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t handed_over = PTHREAD_COND_INITIALIZER;
static struct entry *to_write;
static int writer_done_fd;

static const char *directory;
static int segment_fd = -1;
static int segment_index;
static size_t segment_used;

static long records_expected, records_done, entries_written;
static bool discard;

static void die(const char *what)
{
	fprintf(stderr, "control: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double monotonic_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *allocate(size_t bytes)
{
	void *memory = calloc(1, bytes);
	if (!memory)
		die("memory");
	return memory;
}

static void segment_path(int index, char path[512])
{
	snprintf(path, 512, "%s/segment-%d", directory, index);
}

/* Zero-writes every segment, so that a commit changes no metadata of the file system. */
static void prepare_segments(void)
{
	size_t step = 1 << 20;
	unsigned char *zeros = allocate(step);
	for (int index = 0; index < SEGMENTS; index++) {
		char path[512];
		segment_path(index, path);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0)
			die(path);
		for (size_t at = 0; at < SEGMENT_BYTES; at += step)
			if (write(fd, zeros, step) != (ssize_t)step)
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
	segment_path(segment_index++ % SEGMENTS, path);
	segment_fd = open(path, O_WRONLY | O_DSYNC);
	if (segment_fd < 0)
		die(path);
	segment_used = ALIGN;
}

static void write_entry(struct entry *entry)
{
	size_t lengths_bytes = entry->records * sizeof *entry->lengths;
	memcpy(entry->bytes + entry->used, entry->lengths, lengths_bytes);
	size_t bytes = entry->used + lengths_bytes;
	uint32_t crc = (uint32_t)crc32(7, entry->bytes + HEADER_BYTES, (uInt)(bytes - HEADER_BYTES));
	memcpy(entry->bytes + CRC_AT, &crc, sizeof crc);
	size_t aligned = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	memset(entry->bytes + bytes, 0, aligned - bytes);
	if (segment_used + aligned > SEGMENT_BYTES)
		next_segment();
	if (pwrite(segment_fd, entry->bytes, aligned, (off_t)segment_used) != (ssize_t)aligned)
		die("segment write");
	segment_used += aligned;
	entries_written++;
}

static void *writer(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (!to_write)
			pthread_cond_wait(&handed_over, &mutex);
		struct entry *entry = to_write;
		to_write = NULL;
		pthread_mutex_unlock(&mutex);
		write_entry(entry);
		uint64_t one = 1;
		if (write(writer_done_fd, &one, sizeof one) != sizeof one)
			die("eventfd");
	}
	return NULL;
}

static void acknowledge(struct connection *connection, long records)
{
	char line[32];
	connection->acknowledged += records;
	records_done += records;
	int bytes = snprintf(line, sizeof line, "%ld\n", connection->acknowledged);
	if (write(connection->fd, line, (size_t)bytes) != bytes)
		die("acknowledgement");
}

/* The writer's entry is on disk: acknowledge it, and make it empty for its next turn. */
static void entry_durable(void)
{
	uint64_t ignored;
	if (read(writer_done_fd, &ignored, sizeof ignored) != sizeof ignored)
		return;
	struct entry *entry = &entries[1 - open_index];
	for (int index = 0; index < connection_count; index++) {
		if (!entry->per_connection[index])
			continue;
		acknowledge(connections[index], entry->per_connection[index]);
		entry->per_connection[index] = 0;
	}
	entry->used = HEADER_BYTES;
	entry->records = 0;
	writing = false;
}

static void hand_over_open_entry(void)
{
	if (discard || writing || entries[open_index].records == 0)
		return;
	writing = true;
	pthread_mutex_lock(&mutex);
	to_write = &entries[open_index];
	pthread_cond_signal(&handed_over);
	pthread_mutex_unlock(&mutex);
	open_index = 1 - open_index;
}

/* Returns the open entry with room for one read, after a wait for the writer if it must be. */
static struct entry *entry_with_room(void)
{
	struct entry *entry = &entries[open_index];
	if (entry->used < ENTRY_BYTES_MAX && entry->records < ENTRY_RECORDS_MAX / 2)
		return entry;
	struct pollfd done = { .fd = writer_done_fd, .events = POLLIN };
	while (writing) {
		poll(&done, 1, -1);
		entry_durable();
	}
	hand_over_open_entry();
	return &entries[open_index];
}

/*
 * Returns how many bytes came, 0 when there were none. A client that half-closed still gets its
 * counts, so the end of its stream only ends the watching.
 */
static size_t receive(struct connection *connection, unsigned char *into)
{
	ssize_t bytes = read(connection->fd, into, READ_BYTES);
	if (bytes > 0)
		return (size_t)bytes;
	if (bytes < 0 && errno == EAGAIN)
		return 0;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
	return 0;
}

static void discard_lines(struct connection *connection)
{
	static unsigned char buffer[READ_BYTES];
	size_t bytes = receive(connection, buffer);
	long lines = 0;
	unsigned char *end = buffer + bytes;
	for (unsigned char *at = buffer; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		lines++;
	if (lines)
		acknowledge(connection, lines);
}

/* Appends whole lines to the open entry; the rest of the read is carried to the next one. */
static void store_lines(int index)
{
	struct connection *connection = connections[index];
	struct entry *entry = entry_with_room();
	unsigned char *at = entry->bytes + entry->used;
	memcpy(at, connection->carry, connection->carry_bytes);
	size_t bytes = receive(connection, at + connection->carry_bytes);
	if (!bytes)
		return;
	unsigned char *end = at + connection->carry_bytes + bytes;
	for (unsigned char *newline; (newline = memchr(at, '\n', (size_t)(end - at)));) {
		entry->lengths[entry->records++] = (uint32_t)(newline - at);
		entry->per_connection[index]++;
		at = newline + 1;
	}
	connection->carry_bytes = (size_t)(end - at);
	if (connection->carry_bytes > CARRY_BYTES) {
		errno = EMSGSIZE;
		die("line");
	}
	memcpy(connection->carry, at, connection->carry_bytes);
	entry->used = (size_t)(at - entry->bytes);
}

static void watch(int fd, int tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = tag };
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static void accept_one(int listener)
{
	int one = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (connection_count == CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct connection *connection = allocate(sizeof *connection);
	connection->fd = fd;
	connections[connection_count] = connection;
	watch(fd, connection_count++);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 511))
		die("listen");
	getsockname(fd, (struct sockaddr *)&address, &bytes);
	printf("ready %d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static double cpu_seconds(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void prepare_entries(void)
{
	for (int index = 0; index < 2; index++) {
		entries[index].lengths = allocate(ENTRY_RECORDS_MAX * sizeof(uint32_t));
		entries[index].bytes = allocate(ENTRY_ROOM + ENTRY_RECORDS_MAX * sizeof(uint32_t) + ALIGN);
		entries[index].used = HEADER_BYTES;
	}
}

static void start_writer(void)
{
	pthread_t thread;
	prepare_segments();
	next_segment();
	if (pthread_create(&thread, NULL, writer, NULL))
		die("thread");
}

/* Serves until everything that is expected is acknowledged; returns when the first client came. */
static double serve(int listener)
{
	double start = 0;
	while (records_done < records_expected) {
		struct epoll_event events[EVENTS_MAX];
		int ready = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
		for (int index = 0; index < ready; index++) {
			int tag = events[index].data.fd;
			if (tag == LISTENER) {
				accept_one(listener);
				start = start > 0 ? start : monotonic_seconds();
			} else if (tag == WRITER_DONE) {
				entry_durable();
			} else if (discard) {
				discard_lines(connections[tag]);
			} else {
				store_lines(tag);
			}
		}
		hand_over_open_entry();
	}
	return start;
}

int main(int count, char **arguments)
{
	if (count != 4 || (strcmp(arguments[2], "discard") && strcmp(arguments[2], "log"))) {
		fprintf(stderr, "usage: control COUNT discard|log DIRECTORY\n");
		return 64;
	}
	records_expected = atol(arguments[1]);
	discard = !strcmp(arguments[2], "discard");
	directory = arguments[3];
	epoll_fd = epoll_create1(0);
	writer_done_fd = eventfd(0, EFD_NONBLOCK);
	prepare_entries();
	if (!discard)
		start_writer();
	double cpu_before = cpu_seconds();
	int listener = listen_on_loopback();
	watch(listener, LISTENER);
	watch(writer_done_fd, WRITER_DONE);
	double start = serve(listener);
	double seconds = monotonic_seconds() - start;
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"seconds\":%.4f,\"cpuSeconds\":%.4f,\"entries\":%ld,\"rssBytes\":%ld}\n",
		seconds, cpu_seconds() - cpu_before, entries_written, usage.ru_maxrss * 1024L);
	return 0;
}
