// Loaded into a server. While the file $FAULT_FILE exists, system calls on files below $FAULT_UNDER fail with the error number in it.
// Writes and syncs fail with any number; creating and renaming fail with any but EIO, and removing fails with EROFS only.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 1 << 20 };
static char below[MOST];

static int fault(void) {
    const char *file = getenv("FAULT_FILE");
    char text[16] = {0};
    int before = errno;
    int fd = file ? (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (syscall(SYS_read, fd, text, sizeof text - 1) < 0) text[0] = 0;
        syscall(SYS_close, fd);
    }
    errno = before;
    return atoi(text);
}

static int is_below(const char *path) {
    const char *under = getenv("FAULT_UNDER");
    return under && path && strncmp(path, under, strlen(under)) == 0;
}

#define FAIL_IF(condition)                        \
    do {                                          \
        int number = (condition) ? fault() : 0;   \
        if (number) { errno = number; return -1; } \
    } while (0)
#define NAMES(condition)                                           \
    do {                                                           \
        int number = (condition) ? fault() : 0;                    \
        if (number && number != EIO) { errno = number; return -1; } \
    } while (0)
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FILE_OF(fd) ((fd) >= 0 && (fd) < MOST && below[fd])

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < MOST) below[fd] = is_below(path);
    return fd;
}

static int makes(int flags) { return (flags & O_CREAT) && !(flags & O_DIRECTORY); }

#define OPEN(name)                                                       \
    int name(const char *path, int flags, ...) {                         \
        va_list list;                                                    \
        va_start(list, flags);                                           \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                    \
        struct stat found;                                               \
        NAMES(is_below(path) && makes(flags) && stat(path, &found) != 0); \
        return opened(REAL(name)(path, flags, mode), path);              \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (fd >= 0 && fd < MOST) below[fd] = 0;
    return REAL(close)(fd);
}
ssize_t write(int fd, const void *data, size_t size) { FAIL_IF(FILE_OF(fd)); return REAL(write)(fd, data, size); }
ssize_t writev(int fd, const struct iovec *parts, int count) { FAIL_IF(FILE_OF(fd)); return REAL(writev)(fd, parts, count); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { FAIL_IF(FILE_OF(fd)); return REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { FAIL_IF(FILE_OF(fd)); return REAL(pwrite64)(fd, data, size, at); }
int fsync(int fd) { FAIL_IF(FILE_OF(fd)); return REAL(fsync)(fd); }
int fdatasync(int fd) { FAIL_IF(FILE_OF(fd)); return REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { FAIL_IF(FILE_OF(fd)); return REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { FAIL_IF(FILE_OF(fd)); return REAL(ftruncate64)(fd, size); }
int mkdir(const char *path, mode_t mode) { NAMES(is_below(path)); return REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { NAMES(is_below(from)); return REAL(rename)(from, to); }
int unlink(const char *path) {
    int number = is_below(path) ? fault() : 0;
    if (number == EROFS) { errno = number; return -1; }
    return REAL(unlink)(path);
}
