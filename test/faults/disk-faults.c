/*
 * Makes calls on files fail, for tests: LD_PRELOAD it into a program and write rules into the file that
 * HOLDFAST_DISK_FAULTS names. The file is read again whenever it has changed, and counting begins anew then.
 *
 * A rule is a line:   CALL EFFECT FIRST COUNT FROM TO PATTERN
 *   CALL     write, sync or read
 *   EFFECT   eio: nothing is done; late: it is done and reported as failed; short: half of it is done and told so
 *   FIRST    the number of the first matching call that fails, from 1; COUNT how many in a row
 *   FROM TO  bytes of the file that a read or write has to touch, half open; any call when TO is 0
 *   PATTERN  fnmatch(3) pattern for the file's path now
 * Each failed call adds a byte to the file with ".struck" behind its name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RULES_MAX 8
#define TEXT_MAX 4096

enum effect { NONE, EIO_BEFORE, EIO_LATE, SHORT };

struct rule {
  char call[8], effect[8], pattern[512];
  long first, count, from, to, seen;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static int rule_count;
static struct timespec read_at;
static ino_t read_inode;

static void load(const char *path) {
  struct stat now;
  if (stat(path, &now) != 0) {
    rule_count = 0;
    return;
  }
  if (now.st_ino == read_inode && now.st_mtim.tv_sec == read_at.tv_sec &&
      now.st_mtim.tv_nsec == read_at.tv_nsec)
    return;
  read_inode = now.st_ino;
  read_at = now.st_mtim;
  rule_count = 0;
  char text[TEXT_MAX] = "";
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  long length = syscall(SYS_read, fd, text, sizeof text - 1);
  close(fd);
  if (length < 0) return;
  char *next = NULL;
  for (char *line = strtok_r(text, "\n", &next); line != NULL && rule_count < RULES_MAX;
       line = strtok_r(NULL, "\n", &next)) {
    struct rule *rule = &rules[rule_count];
    memset(rule, 0, sizeof *rule);
    if (sscanf(line, "%7s %7s %ld %ld %ld %ld %511s", rule->call, rule->effect, &rule->first,
               &rule->count, &rule->from, &rule->to, rule->pattern) == 7)
      rule_count++;
  }
}

static void note(const char *path) {
  char struck[TEXT_MAX];
  snprintf(struck, sizeof struck, "%s.struck", path);
  int fd = open(struck, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  syscall(SYS_write, fd, "x", 1);
  close(fd);
}

static enum effect effect_of(const char *text) {
  if (strcmp(text, "eio") == 0) return EIO_BEFORE;
  if (strcmp(text, "late") == 0) return EIO_LATE;
  return strcmp(text, "short") == 0 ? SHORT : NONE;
}

/* What is to happen to a call on this descriptor; at < 0: the place in the file is not known. */
static enum effect strike(const char *call, int fd, long at, size_t length) {
  const char *control = getenv("HOLDFAST_DISK_FAULTS");
  if (control == NULL) return NONE;
  char link[64], path[TEXT_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t bytes = readlink(link, path, sizeof path - 1);
  if (bytes <= 0 || path[0] != '/') return NONE;
  path[bytes] = '\0';
  enum effect found = NONE;
  pthread_mutex_lock(&lock);
  load(control);
  for (int index = 0; index < rule_count && found == NONE; index++) {
    struct rule *rule = &rules[index];
    if (strcmp(rule->call, call) != 0 || fnmatch(rule->pattern, path, 0) != 0) continue;
    if (rule->to > 0 && (at < 0 || at >= rule->to || at + (long)length <= rule->from)) continue;
    rule->seen++;
    if (rule->seen >= rule->first && rule->seen < rule->first + rule->count)
      found = effect_of(rule->effect);
  }
  if (found != NONE) note(control);
  pthread_mutex_unlock(&lock);
  return found;
}

static ssize_t failed(void) {
  errno = EIO;
  return -1;
}

static size_t total(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int index = 0; index < count; index++) bytes += parts[index].iov_len;
  return bytes;
}

/* The next one of this name, looked up once. */
#define REAL(type, name, ...)                                    \
  static type (*real)(__VA_ARGS__);                              \
  if (real == NULL) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* A call with one buffer. LENGTH may be changed by `short`. */
#define STRIKE(call, fd, at, length, again)              \
  switch (strike(call, fd, at, length)) {                \
    case EIO_BEFORE: return failed();                    \
    case EIO_LATE: (void)!(again); return failed();      \
    case SHORT: length = length > 1 ? length / 2 : length; break; \
    case NONE: break;                                    \
  }

ssize_t write(int fd, const void *buffer, size_t length) {
  REAL(ssize_t, write, int, const void *, size_t);
  STRIKE("write", fd, -1, length, real(fd, buffer, length));
  return real(fd, buffer, length);
}

ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t at) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  STRIKE("write", fd, at, length, real(fd, buffer, length, at));
  return real(fd, buffer, length, at);
}

ssize_t pwrite(int fd, const void *buffer, size_t length, off_t at) {
  return pwrite64(fd, buffer, length, at);
}

ssize_t pread64(int fd, void *buffer, size_t length, off64_t at) {
  REAL(ssize_t, pread64, int, void *, size_t, off64_t);
  STRIKE("read", fd, at, length, real(fd, buffer, length, at));
  return real(fd, buffer, length, at);
}

ssize_t pread(int fd, void *buffer, size_t length, off_t at) {
  return pread64(fd, buffer, length, at);
}

/* A call with several buffers; `short` takes the first one only. */
#define STRIKE_PARTS(call, fd, at, parts, count, again)  \
  switch (strike(call, fd, at, total(parts, count))) {   \
    case EIO_BEFORE: return failed();                    \
    case EIO_LATE: (void)!(again); return failed();      \
    case SHORT: count = 1; break;                        \
    case NONE: break;                                    \
  }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, writev, int, const struct iovec *, int);
  STRIKE_PARTS("write", fd, -1, parts, count, real(fd, parts, count));
  return real(fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t);
  STRIKE_PARTS("write", fd, at, parts, count, real(fd, parts, count, at));
  return real(fd, parts, count, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return pwritev64(fd, parts, count, at);
}

int fsync(int fd) {
  REAL(int, fsync, int);
  size_t length = 0;
  STRIKE("sync", fd, -1, length, real(fd));
  return real(fd);
}

int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  size_t length = 0;
  STRIKE("sync", fd, -1, length, real(fd));
  return real(fd);
}
