/* The pid file. */
#include "workers/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/base/str.h"

/* 0 when there is no number in it. */
static pid_t number_in(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text, 0);
    struct str line, rest;
    uint64_t pid;

    if (n <= 0)
        return 0;
    line = str_cut(str_of(text, (size_t)n), '\n', &rest);
    return number_read_u64(line, &pid) && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* The one before us may have removed the file between our open and our lock: then we hold a lock on nothing. */
static bool is_still_there(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

static bool write_number(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());

    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
}

bool pidfile_take(struct pidfile *f, const char *path)
{
    *f = PIDFILE_NONE;
    if (strlen(path) >= sizeof f->path) {
        log_line(LOG_LEVEL_ERROR, "pid file: the path is too long: %s", path);
        return false;
    }
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

        if (fd < 0) {
            log_line(LOG_LEVEL_ERROR, "pid file %s: %s", path, strerror(errno));
            return false;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            log_line(LOG_LEVEL_ERROR, "pid file %s: already running as process %d", path,
                     (int)number_in(fd));
            close(fd);
            return false;
        }
        if (!is_still_there(fd, path)) {
            close(fd);
            continue;
        }
        if (!write_number(fd)) {
            log_line(LOG_LEVEL_ERROR, "pid file %s: cannot write: %s", path, strerror(errno));
            unlink(path);
            close(fd);
            return false;
        }
        f->fd = fd;
        memcpy(f->path, path, strlen(path) + 1);
        return true;
    }
}

void pidfile_end(struct pidfile *f)
{
    if (f->fd < 0)
        return;
    /* Removed while locked: nobody can have put another in its place, unless by hand. */
    if (is_still_there(f->fd, f->path))
        unlink(f->path);
    pidfile_leave(f);
}

void pidfile_leave(struct pidfile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

enum pidfile_state pidfile_look(const char *path, pid_t *pid)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum pidfile_state state;

    if (fd < 0)
        return errno == ENOENT ? PIDFILE_NOBODY : PIDFILE_UNREADABLE;
    *pid = number_in(fd);
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        state = PIDFILE_NOBODY;
    else
        state = *pid > 0 ? PIDFILE_RUNS : PIDFILE_UNREADABLE;
    close(fd);
    return state;
}
