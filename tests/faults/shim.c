/* Put before a program by LD_PRELOAD: its wall clock steps and its disk fails or dawdles, as a file says.
 *
 * The file named by SHIM_CONTROL is mapped; whoever writes the five numbers in it changes what happens from
 * then on, also in a process that runs. The monotonic clock is left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t step_ns;    /* added to the wall clock */
    int64_t sync_ms;    /* each fsync takes so much longer */
    int64_t write_ms;   /* each write to a place in a file, likewise */
    int64_t error;      /* writes and syncs fail with this errno; 0: they do not */
    int64_t hang;       /* not 0: syncs do not return until it is */
};

static volatile struct control *control;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SHIM_CONTROL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static void dawdle(int64_t ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    if (ms > 0)
        nanosleep(&left, NULL);
}

static int disturbed(int64_t ms)
{
    if (!control)
        return 0;
    dawdle(ms);
    while (control->hang)
        dawdle(10);
    return (int)control->error;
}

int fsync(int fd)
{
    int error = disturbed(control ? control->sync_ms : 0);
    if (error) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    int error = disturbed(control ? control->sync_ms : 0);
    if (error) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t where)
{
    if (control) {
        dawdle(control->write_ms);
        if (control->error) {
            errno = (int)control->error;
            return -1;
        }
    }
    return syscall(SYS_pwrite64, fd, bytes, count, where);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t where)
{
    return pwrite64(fd, bytes, count, where);
}

static void step(struct timespec *now)
{
    int64_t ns = now->tv_nsec + control->step_ns % 1000000000;
    int64_t carry = ns < 0 ? -1 : ns / 1000000000;
    now->tv_sec += control->step_ns / 1000000000 + carry;
    now->tv_nsec = ns - carry * 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && control && control->step_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        step(now);
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return (time_t)-1;
    if (where)
        *where = precise.tv_sec;
    return precise.tv_sec;
}
