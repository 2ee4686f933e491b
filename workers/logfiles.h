/* Log files: the master opens them with its rights, and opens them anew when they were rotated (SIGUSR1). The
 * caretaker is lent the descriptors, and writes.
 */
#ifndef WORKERS_LOGFILES_H
#define WORKERS_LOGFILES_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/base/check.h"
#include "gateway/base/list.h"
#include "gateway/base/str.h"

struct logfile {
    struct link_node node;
    int fd;
    bool borrowed; /* "stdout", "stderr": not opened, not closed */
    bool wanted;   /* by the configuration being looked at */
    bool fresh;    /* opened for a reload that has not been adopted yet */
    char path[];
};

struct logfiles {
    struct list list;
};

/* For appending. -1 with errno. */
int logfile_open(const char *path);

void logfiles_init(struct logfiles *all);
/* Open what is named and not open, and mark the others as not wanted. "-" and "stdout", "stderr": those.
 * returns  false: nothing was opened, and why has been logged */
bool logfiles_open(struct logfiles *all, const struct str *paths, size_t count) MUST_USE;
/* What was opened stays; what is not wanted is closed, after `gone` was told. */
void logfiles_keep(struct logfiles *all, void (*gone)(void *who, const struct logfile *f),
                   void *who);
void logfiles_undo(struct logfiles *all);
/* Each file anew, under its name; one that cannot be opened goes on as it is, and that is logged. */
void logfiles_reopen(struct logfiles *all);
void logfiles_end(struct logfiles *all);

static inline struct logfile *logfile_at(struct link_node *n)
{
    return CONTAINER(n, struct logfile, node);
}

#endif
