/* Everything derived from one reading of the configuration: const once built.
 *
 * A snapshot is a router and parts (part.h). A part whose source did not change is shared with the snapshot
 * before.
 *
 * Building goes in slices, so that a living worker does it between two turns; and so does the end: a snapshot is taken
 * apart part by part, and its memory goes into a bin that is emptied block by block. One process, one thread.
 */
#ifndef GATEWAY_SNAPSHOT_H
#define GATEWAY_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/settings.h"
#include "gateway/base/list.h"
#include "gateway/bundle.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/local.h"
#include "gateway/part.h"
#include "workers/program.h"

struct snapshot {
    struct arena arena;
    const struct conf_globals *globals;
    struct engine_settings engine;
    struct current current; /* what exchanges look at */
    struct router *router;
    struct consumers *consumers; /* NULL: none */
    struct part *own;            /* the gateway's own routes: /metrics, /health … */
    struct part **parts;
    uint32_t part_count;
    uint32_t shared_count; /* of them taken over from the snapshot before */
    uint64_t config_hash;  /* only the master's */
    struct bundle *names;  /* only the master's: the addresses that it found */
    uint64_t generation;
    struct arena_bin *bin;        /* where its memory goes, and the build's; NULL: back at once */
    struct link_node node;        /* among those that are being let go */
    struct snapshot_build *build; /* while it is being built, else NULL */
};

/* Begin. `bundle` is taken over and freed with the build; `previous` lends its parts and must live until the build has
 * ended; NULL: none. path: for messages; the text is in the bundle. */
struct snapshot *snapshot_begin(enum build_role role, struct str path, struct region *r,
                                struct bundle *bundle, const struct snapshot *previous);
/* A slice. BUILD_FAILED: look at the problems, then snapshot_free. */
enum build_result snapshot_more(struct snapshot *s, uint64_t until_ns);
/* What is wrong so far (warnings too); NULL once the build has ended well. */
struct conf_problems *snapshot_problems(struct snapshot *s);
/* Master: the file as it was read, for printing; NULL once sealed. */
struct conf_file *snapshot_conf_file(struct snapshot *s);
/* Say each problem in the error log. */
void snapshot_log_problems(struct snapshot *s);
/* The build's own memory, when it is done; problems are gone with it. */
void snapshot_seal(struct snapshot *s);
/* For who serves no requests (the master, after the rehearsal): only the globals are kept. */
void snapshot_forget_routes(struct snapshot *s);
/* Take a part out, of one that has ended; the caller has its hold (part_leave). NULL: there is none any more. */
struct part *snapshot_take_part(struct snapshot *s);
/* Soon done for one that has no parts any more and a bin. NULL is allowed. */
void snapshot_free(struct snapshot *s);

#endif
