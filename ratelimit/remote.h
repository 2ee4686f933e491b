/* A limit that several gateways keep together: arithmetic of a node's share on one word. No I/O here.
 *
 * The truth lies in Redis and goes by its clock (remote_script.h). A node asks it for a few tokens at a time, its share,
 * and spends them without asking; the share is a word in a shared cell (shares.h), so all workers of a node spend the
 * same one. What was granted counts as taken, whatever becomes of it: so all nodes together are never granted more
 * than the limit says, and the error is what nodes hold and have not spent, see README.md.
 *
 * When there is nothing left, Redis says when to come again: until then the node refuses by itself ("paced"), so a flood
 * costs Redis next to nothing.
 *
 * Time in the word is in eighths of milliseconds, of which it has 34 bits: what lies more than twelve days ahead is kept as
 * twelve days. Word 0 means "never seen".
 */
#ifndef RATELIMIT_REMOTE_H
#define RATELIMIT_REMOTE_H

#include "ratelimit/algorithm.h"

#define REMOTE_TOKENS_MAX ((UINT64_C(1) << 20) - 1) /* of a share */
#define REMOTE_LONGEST_NS (UINT64_C(12) * 86400 * 1000000000)
#define REMOTE_ERROR_PARTS                                                                         \
    10 /* the shares of all gateways: at most one in so many of what can be taken at once */

/* How it is reckoned in Redis. */
enum remote_family { REMOTE_BUCKET, REMOTE_FIXED, REMOTE_SLIDING, REMOTE_LOG, REMOTE_FAMILIES };

/* Const once made. */
struct remote {
    enum remote_family family;
    struct limit limit;
    uint64_t at_once;
    uint64_t every_ns;    /* a share is meant to last so long; 0: each request is asked about */
    uint64_t token_ns;    /* what a token takes to earn, rounded up; for people */
    uint64_t idle_ns;     /* after so long without use a word means the same as 0 */
    uint64_t earn, token; /* of a bucket: units earned in a microsecond, and taken by a token */
};

/* returns   NULL, or why this limit cannot be kept together, for people */
const char *remote_init(struct remote *r, const struct algorithm *a, const struct limit *l,
                        bool delays, uint64_t every_ns) MUST_USE;

/* ---- the word ---- */

enum remote_verdict {
    REMOTE_TAKEN,
    REMOTE_REFUSED, /* there is nothing left anywhere, for retry_ns */
    REMOTE_ASK      /* the share is used up */
};

struct remote_taking {
    enum remote_verdict verdict;
    uint64_t balance; /* of the share, after this */
    uint64_t left;    /* that Redis had besides, when it was asked last; filled in by shares_take */
    uint64_t retry_ns; /* refused: when to come again */
    uint64_t end_ns;   /* until the share's window ends; 0: it has no end, or it is not known */
    bool
        low; /* taken, and it would be good to ask for more; refused, and it would be good to ask whether still */
};

/* Take `cost` (at least 1) out of the share. Returns the next word. */
uint64_t remote_take(uint64_t word, const struct remote *r, uint64_t now_ns, uint64_t cost,
                     struct remote_taking *out);
/* What was taken at at_ns was not used. What cannot be given to the share any more is lost. */
uint64_t remote_give_back(uint64_t word, const struct remote *r, uint64_t now_ns, uint64_t count,
                          uint64_t at_ns);
/* The same share under changed parameters: what is held is held, that there was nothing left is forgotten. */
uint64_t remote_rescale(uint64_t word, const struct remote *r, const struct limit *was);

/* What clients are told: how many could be taken at once, and in how many ns it will be as if none had been. */
uint64_t remote_remaining(const struct remote *r, const struct remote_taking *t);
uint64_t remote_reset_ns(const struct remote *r, const struct remote_taking *t);

/* ---- a question ---- */

/* What is remembered beside the word, as advice: when Redis answered last, who asks now, what Redis had left. */
struct remote_note {
    uint64_t granted_ns, asked_until_ns;
    uint64_t left;
};
uint64_t remote_note_pack(const struct remote_note *n);
struct remote_note remote_note_unpack(uint64_t packed, uint64_t now_ns);
uint64_t remote_note_left(uint64_t packed);

/* Somebody has been refused for long without a question: others may have given back, or Redis may have begun anew. */
bool remote_note_is_old(const struct remote_note *n, uint64_t now_ns);

/* How many tokens to ask for: what was spent lately says how many will last for every_ns. At most the share of one of
 * `gateways`, but always what those need who wait now. 0: there is no need to ask. */
uint64_t remote_want(uint64_t word, const struct remote *r, const struct remote_note *note,
                     uint64_t now_ns, uint64_t gateways, uint64_t needed);

#define REMOTE_ARGS 7
struct remote_question {
    char text[REMOTE_ARGS][24];
    struct str args[REMOTE_ARGS];
    size_t count;
};
/* want     tokens; less than 0: they are given back
 * least    do not grant fewer
 * id       with which they were taken, to give back; else 0 */
void remote_ask(struct remote_question *q, const struct remote *r, int64_t want, uint64_t least,
                int64_t id);

/* ---- an answer ---- */

struct remote_answer {
    uint64_t granted;
    bool paced;
    uint64_t pace_ns;  /* paced: when to come again */
    uint64_t lasts_ns; /* until what was granted ends with its window; 0: it has no end */
    uint64_t left;     /* that others may still take now */
    uint64_t reset_ns;
    uint64_t delay_ns; /* when those granted leave the bucket */
    int64_t id;        /* with which they may be given back */
};
/* False: this is no answer to a question for `want`; nobody may be believed blindly. */
bool remote_answer_read(struct remote_answer *a, const int64_t *numbers, size_t count,
                        uint64_t want) MUST_USE;

/* The share after an answer. asked_ns: before the question was sent; now_ns: when the answer is read. */
uint64_t remote_grant(uint64_t word, const struct remote *r, uint64_t asked_ns, uint64_t now_ns,
                      const struct remote_answer *a);

#endif
