/* Reading with pauses.
 *
 * Nearly everything is read in no time, but a list may be long. Who reads at a pace has so many items of long lists read;
 * when these are used up, the reading fails, with `unfinished` and without a problem. It is then done again, from the
 * beginning, with as many items more: what has been read of long lists is kept, and what else there is costs little.
 */
#ifndef CONF_PACE_H
#define CONF_PACE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/schema.h"

#define CONF_LONG_LIST 256 /* items; shorter ones are read at once */

/* A list that is being read. */
struct conf_list_reading {
    struct conf_list_reading *next;
    const struct conf_node *node; /* which, */
    const void *element;          /* and as what; by its table */
    struct conf_list list;
    const struct conf_node *at; /* its next item */
    size_t done;                /* items */
    bool bad;                   /* some of them */
};

struct conf_pace {
    size_t items; /* that may be read */
    bool unfinished;
    struct conf_list_reading *lists; /* the long ones; they live in the arena that is read into */
};

#endif
