/* Words that several processes read and write at once: the only way to touch them, with the order named.
 *
 * Each function says in its name what it promises to the words around it; a caller says in a comment why
 * that is enough. There is no lock, and none may be added: a process can be killed between any two
 * instructions, and what it leaves behind must mean something. On x86-64 a read, a peek, a put and a
 * publish are each one ordinary move; the others are one locked instruction.
 */
#ifndef SHM_WORD_H
#define SHM_WORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/check.h"

#define CACHE_LINE 64

typedef _Atomic(uint64_t) shared_word;
typedef _Atomic(uint32_t) shared_half;

/* Acquire: what its writer wrote before publishing it can be read after this. */
static inline uint64_t word_read(const shared_word *w)
{
    return atomic_load_explicit(w, memory_order_acquire);
}

/* Relaxed: the value alone, nothing about its neighbours. */
static inline uint64_t word_peek(const shared_word *w)
{
    return atomic_load_explicit(w, memory_order_relaxed);
}

/* Relaxed: a word with one writer, or one that means something alone. */
static inline void word_put(shared_word *w, uint64_t value)
{
    atomic_store_explicit(w, value, memory_order_relaxed);
}

/* Release: everything written before is seen by whoever reads this value. */
static inline void word_publish(shared_word *w, uint64_t value)
{
    atomic_store_explicit(w, value, memory_order_release);
}

/* Compare and swap, both ways ordered. On failure *seen becomes what is there. */
static inline bool word_swap(shared_word *w, uint64_t *seen, uint64_t next)
{
    return atomic_compare_exchange_strong_explicit(w, seen, next, memory_order_acq_rel,
                                                   memory_order_acquire);
}

/* One owner adds to its own word; readers may see it late, never torn. No locked instruction. */
static inline void word_add_own(shared_word *w, uint64_t n)
{
    word_put(w, word_peek(w) + n);
}

/* Anybody adds; returns what was there before. Relaxed: a count, and no news about anything else. */
static inline uint64_t word_add(shared_word *w, uint64_t n)
{
    return atomic_fetch_add_explicit(w, n, memory_order_relaxed);
}

/* Never falls: make it at least `value`. Sequentially consistent, see half_add. */
static inline void word_raise(shared_word *w, uint64_t value)
{
    uint64_t seen = atomic_load_explicit(w, memory_order_seq_cst);

    while (seen < value && !atomic_compare_exchange_weak_explicit(
                               w, &seen, value, memory_order_seq_cst, memory_order_seq_cst))
        continue;
}

/* The next five are sequentially consistent: of two processes that each write one word and then read the
 * other's, at least one sees the other. Bells, holds and places rest on this. */
static inline uint64_t word_see(const shared_word *w)
{
    return atomic_load_explicit(w, memory_order_seq_cst);
}

static inline void word_show(shared_word *w, uint64_t value)
{
    atomic_store_explicit(w, value, memory_order_seq_cst);
}

static inline void word_set_bits(shared_word *w, uint64_t bits)
{
    atomic_fetch_or_explicit(w, bits, memory_order_seq_cst);
}

static inline void word_clear_bits(shared_word *w, uint64_t bits)
{
    atomic_fetch_and_explicit(w, ~bits, memory_order_seq_cst);
}

static inline uint64_t word_take_all(shared_word *w)
{
    return atomic_exchange_explicit(w, 0, memory_order_seq_cst);
}

static inline uint32_t half_see(const shared_half *h)
{
    return atomic_load_explicit(h, memory_order_seq_cst);
}

static inline void half_add(shared_half *h, uint32_t n)
{
    atomic_fetch_add_explicit(h, n, memory_order_seq_cst);
}

static inline void half_set(shared_half *h, uint32_t value)
{
    atomic_store_explicit(h, value, memory_order_seq_cst);
}

/* The three of above for half a word. */
static inline uint32_t half_read(const shared_half *h)
{
    return atomic_load_explicit(h, memory_order_acquire);
}

static inline void half_publish(shared_half *h, uint32_t value)
{
    atomic_store_explicit(h, value, memory_order_release);
}

static inline bool half_swap(shared_half *h, uint32_t *seen, uint32_t next)
{
    return atomic_compare_exchange_strong_explicit(h, seen, next, memory_order_acq_rel,
                                                   memory_order_acquire);
}

#endif
