/* Asserts that stay on, and the words that tell the compiler what we know.
 *
 * CHECK costs a branch and documents a state that cannot be otherwise. die() is for what nothing can
 * be done about: at boot, or when memory for a turn of the loop is gone. The master lives on and
 * starts another worker.
 */
#ifndef GATEWAY_BASE_CHECK_H
#define GATEWAY_BASE_CHECK_H

#include <stddef.h>

#define MUST_USE                   __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)          __attribute__((format(printf, f, a)))
#define NORETURN                   __attribute__((noreturn))
#define LIKELY(c)                  __builtin_expect(!!(c), 1)
#define UNLIKELY(c)                __builtin_expect(!!(c), 0)
#define ARRAY_LEN(a)               (sizeof(a) / sizeof((a)[0]))
#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* Says what, where and errno on standard error, then aborts. */
NORETURN void check_failed(const char *what, const char *file, int line);

/* Ends the process with a reason for people; errno's text is added when it is not 0. */
NORETURN void die(const char *format, ...) PRINTF_LIKE(1, 2);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (UNLIKELY(!(cond)))                                                                     \
            check_failed(#cond, __FILE__, __LINE__);                                               \
    } while (0)

#define UNREACHABLE()    check_failed("unreachable", __FILE__, __LINE__)

/* A branch that no input can reach, kept for the reader: false, and an abort if it ever is not. */
#define IMPOSSIBLE(cond) (UNLIKELY(cond) ? (check_failed(#cond, __FILE__, __LINE__), 1) : 0)

/* Under ASan freed memory is poisoned, so that a late reader is caught in the act. */
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifdef UNDER_ASAN
#include <sanitizer/asan_interface.h>
#define MEMORY_POISON(p, n)   __asan_poison_memory_region((p), (n))
#define MEMORY_UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define MEMORY_POISON(p, n)   ((void)(p), (void)(n))
#define MEMORY_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#endif
