/* Stands between a program and the C library, and makes one file call of a run go wrong. Only calls that change something
 * below FAULT_FOLDER count. FAULT_LOG gets a line for each of them. The call numbered FAULT_AT, counted from 1,
 *   FAULT_KIND=error  fails with EIO, once;
 *   FAULT_KIND=full   fails with ENOSPC, a write after half of its bytes, and so does every later one that needs room;
 *   FAULT_KIND=kill   ends the process with SIGKILL, a write after half of its bytes.
 * Built by ../faults.rs: cc -shared -fPIC -o shim.so shim.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long calls;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_below(const char *path) {
  const char *folder = getenv("FAULT_FOLDER");
  return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_fd_below(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static void note(const char *call, const char *path) {
  const char *log = getenv("FAULT_LOG");
  if (!log) return;
  char line[PATH_MAX + 64];
  int length = snprintf(line, sizeof line, "%s %s\n", call, path ? path : "");
  int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return;
  syscall(SYS_write, fd, line, length);
  syscall(SYS_close, fd);
}

enum fault { NONE, FAIL, FULL, KILL };

/* What is to happen to the call that is about to be made. needs_room: whether a full disk makes it fail. */
static enum fault fault(const char *call, const char *path, int needs_room) {
  long number = atomic_fetch_add(&calls, 1) + 1;
  note(call, path);
  const char *at = getenv("FAULT_AT"), *kind = getenv("FAULT_KIND");
  long wanted = at ? atol(at) : 0;
  if (!kind || wanted == 0 || number < wanted) return NONE;
  if (strcmp(kind, "full") == 0) return needs_room ? FULL : NONE;
  if (number != wanted) return NONE;
  return strcmp(kind, "kill") == 0 ? KILL : FAIL;
}

/* Fails or ends a call other than a write; 0 if it is to be made. */
static int refuse(enum fault what) {
  if (what == KILL) raise(SIGKILL);
  if (what == FAIL) errno = EIO;
  if (what == FULL) errno = ENOSPC;
  return what == NONE ? 0 : -1;
}

static int opens_for_change(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0; }

#define OPEN(name)                                                                       \
  int name(const char *path, int flags, ...) {                                           \
    va_list rest;                                                                        \
    va_start(rest, flags);                                                               \
    mode_t mode = va_arg(rest, mode_t);                                                  \
    va_end(rest);                                                                        \
    if (opens_for_change(flags) && is_below(path) && refuse(fault("open", path, 1))) return -1; \
    return REAL(name)(path, flags, mode);                                                \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                     \
  int name(int folder, const char *path, int flags, ...) {                               \
    va_list rest;                                                                        \
    va_start(rest, flags);                                                               \
    mode_t mode = va_arg(rest, mode_t);                                                  \
    va_end(rest);                                                                        \
    if (opens_for_change(flags) && is_below(path) && refuse(fault("openat", path, 1))) return -1; \
    return REAL(name)(folder, path, flags, mode);                                        \
  }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t count) {
  if (is_fd_below(fd)) {
    enum fault what = fault("write", NULL, 1);
    if (what != NONE && what != FAIL && count > 1) REAL(write)(fd, bytes, count / 2);
    if (refuse(what)) return -1;
  }
  return REAL(write)(fd, bytes, count);
}

#define ON_FD(name, parameters, arguments, room)                                         \
  int name parameters {                                                                  \
    if (is_fd_below(fd) && refuse(fault(#name, NULL, room))) return -1;                  \
    return REAL(name) arguments;                                                         \
  }
ON_FD(fsync, (int fd), (fd), 0)
ON_FD(fdatasync, (int fd), (fd), 0)
ON_FD(fchmod, (int fd, mode_t mode), (fd, mode), 0)
ON_FD(ftruncate, (int fd, off_t length), (fd, length), 1)
ON_FD(ftruncate64, (int fd, off64_t length), (fd, length), 1)

#define ON_PATH(name, parameters, arguments, room)                                       \
  int name parameters {                                                                  \
    if (is_below(path) && refuse(fault(#name, path, room))) return -1;                   \
    return REAL(name) arguments;                                                         \
  }
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode), 1)
ON_PATH(rmdir, (const char *path), (path), 0)
ON_PATH(unlink, (const char *path), (path), 0)
ON_PATH(rename, (const char *path, const char *to), (path, to), 1)
ON_PATH(link, (const char *path, const char *to), (path, to), 1)
