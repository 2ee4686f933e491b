/* What Redis is asked to do for a limit that gateways keep together: a script for each family.
 *
 * KEYS[1] is the state of one client; the script reads Redis' clock, so no gateway's clock matters. All take
 *
 *     want least id every_us, then burst earn token (bucket) or count per_us [sliding] (windows, log)
 *
 * and return {granted, pace_us, lasts_us, left, reset_us, delay_us, id}, see struct remote_answer. want < 0 gives back.
 * The state says under which parameters it is meant: others rescale it, as they do within a gateway. It expires when it
 * means nothing any more, and it is kept under a key of the family's own, so another algorithm starts afresh.
 */
#ifndef RATELIMIT_REMOTE_SCRIPT_H
#define RATELIMIT_REMOTE_SCRIPT_H

#include "ratelimit/remote.h"

/* Of a constant text. */
struct str remote_script(enum remote_family family);
/* What a key ends with. */
char remote_letter(enum remote_family family);

/* KEYS[1]: the gateways that are alive, ARGV: this one's name, after how many us it is none any more.
 * Returns {how many there are}. */
struct str remote_announce_script(void);

#endif
