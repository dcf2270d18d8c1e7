/* Put before a program by LD_PRELOAD: writes down, in order, what it does to files of one folder.
 *
 * RECORD_FOLDER names the folder, RECORD_LOG the file written to. A record is an operation, the path's length, an
 * offset and the data's length (native numbers, packed), then the path and the data.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct __attribute__((packed)) record {
    char op; /* create, write, truncate, sync, unlink, rename, link */
    uint16_t path;
    int64_t where;
    uint32_t data;
};

static int out = -1;
static char folder[PATH_MAX];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("RECORD_FOLDER"), *log = getenv("RECORD_LOG");
    if (!name || !log || !realpath(name, folder))
        return;
    out = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int ours(const char *path)
{
    size_t length = strlen(folder);
    return out >= 0 && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int of(int fd, char *path)
{
    char name[64];
    if (out < 0)
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return ours(path);
}

/* Of a file that need not exist: its folder is resolved. */
static int at(const char *name, char *path)
{
    char copy[PATH_MAX], parent[PATH_MAX];
    if (out < 0 || strlen(name) >= PATH_MAX)
        return 0;
    strcpy(copy, name);
    char *slash = strrchr(copy, '/');
    const char *last = slash ? slash + 1 : copy;
    if (slash)
        *slash = 0;
    if (!realpath(slash ? (*copy ? copy : "/") : ".", parent))
        return 0;
    snprintf(path, PATH_MAX, "%.2000s/%.2000s", parent, last);
    return ours(path);
}

static void tell(char op, const char *path, int64_t where, const void *data, size_t count)
{
    struct record head = {op, (uint16_t)strlen(path), where, (uint32_t)count};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, count}};
    syscall(SYS_writev, out, parts, 3);
}

static int opened(int at_fd, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    struct stat before;
    int creates = at_fd == AT_FDCWD && (flags & O_CREAT) && at(name, path) && lstat(path, &before);
    int fd = (int)syscall(SYS_openat, at_fd, name, flags, mode);
    if (fd >= 0 && creates)
        tell('c', path, 0, "", 0);
    else if (fd >= 0 && (flags & O_TRUNC) && of(fd, path))
        tell('t', path, 0, "", 0);
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;                                                      \
        va_end(more);                                                                                                  \
        return opened(AT_FDCWD, path, flags, mode);                                                                    \
    }
OPEN(open)
OPEN(open64)

#define WRITTEN(call, where_)                                                                                          \
    char path[PATH_MAX];                                                                                               \
    if (!of(fd, path))                                                                                                 \
        return call;                                                                                                   \
    pthread_mutex_lock(&turn);                                                                                         \
    int64_t where = where_;                                                                                            \
    ssize_t done = call;                                                                                               \
    if (done > 0)                                                                                                      \
        tell('w', path, where, bytes, (size_t)done);                                                                   \
    pthread_mutex_unlock(&turn);                                                                                       \
    return done;

ssize_t write(int fd, const void *bytes, size_t count)
{
    WRITTEN(syscall(SYS_write, fd, bytes, count), lseek(fd, 0, SEEK_CUR))
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    WRITTEN(syscall(SYS_pwrite64, fd, bytes, count, offset), offset)
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return pwrite64(fd, bytes, count, offset);
}

static int noted(int failed, char op, int fd, int64_t where)
{
    char path[PATH_MAX];
    if (!failed && of(fd, path))
        tell(op, path, where, "", 0);
    return failed;
}

int ftruncate64(int fd, off64_t length) { return noted((int)syscall(SYS_ftruncate, fd, length), 't', fd, length); }
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
int fsync(int fd) { return noted((int)syscall(SYS_fsync, fd), 's', fd, 0); }
int fdatasync(int fd) { return noted((int)syscall(SYS_fdatasync, fd), 's', fd, 0); }

int unlink(const char *name)
{
    char path[PATH_MAX];
    int failed = (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
    if (!failed && at(name, path))
        tell('u', path, 0, "", 0);
    return failed;
}

static int named(int failed, char op, const char *from, const char *to)
{
    char first[PATH_MAX], second[PATH_MAX];
    if (!failed && at(from, first) && at(to, second))
        tell(op, first, 0, second, strlen(second));
    return failed;
}

int rename(const char *from, const char *to)
{
    return named((int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to), 'r', from, to);
}

int link(const char *from, const char *to)
{
    return named((int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0), 'l', from, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return named((int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags), 'l', from, to);
}

/* Copied without being seen: whoever tries is to write instead. */
ssize_t sendfile(int to, int from, off_t *offset, size_t count)
{
    (void)to, (void)from, (void)offset, (void)count;
    errno = EINVAL;
    return -1;
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t count)
{
    (void)to, (void)from, (void)offset, (void)count;
    errno = EINVAL;
    return -1;
}
