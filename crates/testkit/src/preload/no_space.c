/*
 * Preloaded into PostgreSQL: lets files grow no more while another file exists, as a full disk would. Blocks that a
 * file has already can still be written.
 *
 * NO_SPACE_FOR_DATA and NO_SPACE_FOR_WAL name the file that fills the disk of tables and of the write-ahead log.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whether a file of the server may be written up to a position. */
static int has_room(int fd, off_t end)
{
    char link[64];
    char path[4096];
    const char *disk = NULL;
    struct stat file;
    int before = errno;
    ssize_t length;
    int room;

    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || end <= file.st_size)
        return 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 1;
    path[length] = '\0';
    if (strstr(path, "/pg_wal/"))
        disk = getenv("NO_SPACE_FOR_WAL");
    else if (strstr(path, "/base/"))
        disk = getenv("NO_SPACE_FOR_DATA");
    room = disk == NULL || access(disk, F_OK) != 0;
    errno = before;
    return room;
}

static off_t total(const struct iovec *parts, int count)
{
    off_t sum = 0;
    while (count-- > 0)
        sum += (off_t)parts[count].iov_len;
    return sum;
}

static ssize_t refused(void)
{
    errno = ENOSPC;
    return -1;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

typedef ssize_t (*pwrite_type)(int, const void *, size_t, off_t);
typedef ssize_t (*pwritev_type)(int, const struct iovec *, int, off_t);
typedef int (*fallocate_type)(int, off_t, off_t);
typedef int (*ftruncate_type)(int, off_t);

/* On 64-bit systems both names of each function are the same function. */
#define PWRITE(name)                                                                                                   \
    ssize_t name(int fd, const void *bytes, size_t length, off_t at)                                                   \
    {                                                                                                                  \
        return has_room(fd, at + (off_t)length) ? NEXT(pwrite_type, #name)(fd, bytes, length, at) : refused();         \
    }
#define PWRITEV(name)                                                                                                  \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t at)                                               \
    {                                                                                                                  \
        return has_room(fd, at + total(parts, count)) ? NEXT(pwritev_type, #name)(fd, parts, count, at) : refused();   \
    }
#define FALLOCATE(name)                                                                                                \
    int name(int fd, off_t at, off_t length)                                                                           \
    {                                                                                                                  \
        return has_room(fd, at + length) ? NEXT(fallocate_type, #name)(fd, at, length) : ENOSPC;                       \
    }
#define FTRUNCATE(name)                                                                                                \
    int name(int fd, off_t length)                                                                                     \
    {                                                                                                                  \
        return has_room(fd, length) ? NEXT(ftruncate_type, #name)(fd, length) : (int)refused();                        \
    }

PWRITE(pwrite)
PWRITE(pwrite64)
PWRITEV(pwritev)
PWRITEV(pwritev64)
FALLOCATE(posix_fallocate)
FALLOCATE(posix_fallocate64)
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)
