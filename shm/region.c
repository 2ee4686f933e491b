/* The shared memory and its directory.
 *
 *   header   one page of words about the whole gateway
 *   index    hash of {kind, name} -> number of an entry + 1; open addressing
 *   entries  one for each table
 *   heap     the tables: those below a page from the bottom up, larger ones in whole pages from the top down
 *
 * The directory has one writer, the master. An entry is written, then its state is published, then its
 * number enters the index; so a reader, or a successor of a killed master, finds it whole or not at all.
 * What is free is zero: a table is wiped before its entry is freed.
 */
#include "shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/clock.h"

#define REGION_MAGIC UINT64_C(0x31306e6f69676572) /* "region01" */
#define PAGE         UINT64_C(4096)
#define INDEX_SLOTS  (2 * REGION_TABLES)
#define SLOT_EMPTY   UINT32_C(0)
#define SLOT_LEFT    UINT32_MAX /* somebody was here: go on looking */
#define NO_ENTRY     UINT32_MAX
#define NAME_WORDS   (REGION_NAME_MAX / 8)
#define HEAP_START   (PAGE + INDEX_SLOTS * sizeof(shared_half) + REGION_TABLES * sizeof(struct entry))
#define SMALLEST     (HEAP_START + 16 * PAGE)

enum entry_state { ENTRY_FREE, ENTRY_PENDING, ENTRY_LIVE };

struct entry {
    shared_word state;
    shared_word hash;
    shared_word size;
    shared_word place; /* from the start of the region */
    shared_word last_named;
    shared_word kind_len; /* kind:32 length of the name:32 */
    shared_word name[NAME_WORDS];
};
_Static_assert(sizeof(struct entry) == 128, "two cache lines");
_Static_assert(sizeof(struct region_header) <= PAGE, "the header is a page");

struct gap {
    uint64_t begin, end;
};

struct region {
    int fd;
    uint64_t size;
    struct region_header *header;
    shared_half *index;
    struct entry *entries;
    /* Of the load that is under way. */
    bool loading;
    unsigned char *named; /* by entry: was it? */
    struct gap *gaps;
    size_t gap_count;
    uint32_t free_from; /* no free entry lies before it */
};

static uint64_t up(uint64_t n, uint64_t to)
{
    return (n + to - 1) & ~(to - 1);
}

/* What a table takes of the heap. */
static uint64_t span(uint64_t size)
{
    return size < PAGE ? up(size, CACHE_LINE) : up(size, PAGE);
}

static void *place_at(const struct region *r, uint64_t place)
{
    return (char *)r->header + place;
}

static struct region *region_map(int fd, uint64_t size, int protection)
{
    struct region *r = calloc(1, sizeof *r);
    void *at = mmap(NULL, size, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);

    if (!r || at == MAP_FAILED)
        die("cannot map %llu bytes of shared memory", (unsigned long long)size);
    /* sparse it is and sparse it stays; and its key does not belong into a core file */
    madvise(at, size, MADV_NOHUGEPAGE);
    madvise(at, size, MADV_DONTDUMP);
    r->fd = fd;
    r->size = size;
    r->header = at;
    r->index = place_at(r, PAGE);
    r->entries = place_at(r, PAGE + INDEX_SLOTS * sizeof(shared_half));
    return r;
}

/* ---- the index ---------------------------------------------------------------------------------- */

/* Without the size: a name that comes back with another one is found on the way. */
static uint64_t hash_of(const struct region *r, enum table_kind kind, struct str name)
{
    struct hash_key key = { r->header->key.k0 ^ (uint64_t)kind, r->header->key.k1 };

    return hash_str(&key, name);
}

static bool entry_is(const struct entry *e, uint64_t hash, enum table_kind kind, struct str name)
{
    /* relaxed: the entry was published before its number entered the index */
    return word_peek(&e->hash) == hash &&
           word_peek(&e->kind_len) == ((uint64_t)kind << 32 | name.len);
}

/* The entry with this name and this size, or, if `other`, any other size; in whatever state but free. */
static uint32_t index_find(const struct region *r, enum table_kind kind, struct str name,
                           size_t size, bool other)
{
    uint64_t hash = hash_of(r, kind, name);

    for (uint32_t n = 0, i = (uint32_t)hash; n < INDEX_SLOTS; n++, i++) {
        /* acquire: the entry behind the number */
        uint32_t slot = half_read(&r->index[i % INDEX_SLOTS]);

        if (slot == SLOT_EMPTY)
            return NO_ENTRY;
        if (slot != SLOT_LEFT && entry_is(&r->entries[slot - 1], hash, kind, name) &&
            (word_peek(&r->entries[slot - 1].size) == size) != other &&
            word_read(&r->entries[slot - 1].state) != ENTRY_FREE)
            return slot - 1;
    }
    return NO_ENTRY;
}

static void index_add(struct region *r, uint64_t hash, uint32_t entry)
{
    for (uint32_t i = (uint32_t)hash;; i++) {
        uint32_t slot = half_read(&r->index[i % INDEX_SLOTS]);

        if (slot == SLOT_EMPTY || slot == SLOT_LEFT) {
            half_publish(&r->index[i % INDEX_SLOTS], entry + 1); /* release: the entry is written */
            return;
        }
    }
}

static void index_remove(struct region *r, uint64_t hash, uint32_t entry)
{
    uint32_t i = (uint32_t)hash;

    for (uint32_t n = 0;; n++, i++) {
        uint32_t slot = half_read(&r->index[i % INDEX_SLOTS]);

        if (slot == SLOT_EMPTY || n == INDEX_SLOTS)
            return; /* a master was killed before it could enter it */
        if (slot == entry + 1)
            break;
    }
    half_publish(&r->index[i % INDEX_SLOTS], SLOT_LEFT);
    /* what was left at the end of a run is as good as empty: lookups stay short over years of reloads */
    if (half_read(&r->index[(i + 1) % INDEX_SLOTS]) != SLOT_EMPTY)
        return;
    for (; half_read(&r->index[i % INDEX_SLOTS]) == SLOT_LEFT; i--)
        half_publish(&r->index[i % INDEX_SLOTS], SLOT_EMPTY);
}

/* ---- the heap ----------------------------------------------------------------------------------- */

static int by_begin(const void *a, const void *b)
{
    uint64_t x = ((const struct gap *)a)->begin, y = ((const struct gap *)b)->begin;

    return (x > y) - (x < y);
}

/* The gaps between the tables there are; used while one load lasts. */
static void find_gaps(struct region *r)
{
    uint32_t high = (uint32_t)word_peek(&r->header->tables);
    struct gap *used = malloc((high + 1) * sizeof *used);
    uint64_t at = HEAP_START;
    size_t count = 0;

    r->gaps = malloc((high + 1) * sizeof *r->gaps);
    if (!used || !r->gaps)
        die("no memory for a load");
    for (uint32_t i = 0; i < high; i++) {
        const struct entry *e = &r->entries[i];

        if (word_peek(&e->state) != ENTRY_FREE)
            used[count++] = (struct gap){ word_peek(&e->place),
                                          word_peek(&e->place) + span(word_peek(&e->size)) };
    }
    qsort(used, count, sizeof *used, by_begin);
    used[count++] = (struct gap){ r->size, r->size };
    r->gap_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (used[i].begin > at)
            r->gaps[r->gap_count++] = (struct gap){ at, used[i].begin };
        at = used[i].end;
    }
    free(used);
}

/* A place in the first gap that has one, or 0. */
static uint64_t heap_take(struct region *r, uint64_t size)
{
    uint64_t need = span(size);

    for (size_t i = 0; i < r->gap_count; i++) {
        struct gap *g = &r->gaps[i];

        if (need < PAGE && g->end - g->begin >= need) {
            g->begin += need;
            return g->begin - need;
        }
        if (need >= PAGE && (g->end & ~(PAGE - 1)) >= need &&
            (g->end & ~(PAGE - 1)) - need >= g->begin) {
            g->end = (g->end & ~(PAGE - 1)) - need;
            return g->end;
        }
    }
    return 0;
}

/* Zeros again; whole pages go back to the system. */
static void heap_wipe(struct region *r, uint64_t place, uint64_t size)
{
    uint64_t bytes = span(size);

    if (bytes < PAGE || fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)place,
                                  (off_t)bytes) != 0)
        memset(place_at(r, place), 0, bytes);
}

/* Pages that held small tables only, all of them gone. */
static void give_pages_back(struct region *r)
{
    find_gaps(r);
    for (size_t i = 0; i < r->gap_count; i++) {
        uint64_t begin = up(r->gaps[i].begin, PAGE), end = r->gaps[i].end & ~(PAGE - 1);

        if (begin < end)
            (void)fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
                            (off_t)(end - begin)); /* if not: they are zero all the same */
    }
    free(r->gaps);
    r->gaps = NULL;
}

static void entry_free(struct region *r, uint32_t number)
{
    struct entry *e = &r->entries[number];

    heap_wipe(r, word_peek(&e->place), word_peek(&e->size));
    index_remove(r, word_peek(&e->hash), number);
    word_put(&r->header->bytes, word_peek(&r->header->bytes) - span(word_peek(&e->size)));
    word_publish(&e->state, ENTRY_FREE); /* release: it is wiped */
}

static uint32_t entry_unused(struct region *r)
{
    uint32_t high = (uint32_t)word_peek(&r->header->tables);

    for (; r->free_from < high; r->free_from++)
        if (word_peek(&r->entries[r->free_from].state) == ENTRY_FREE)
            return r->free_from++;
    if (high == REGION_TABLES)
        return NO_ENTRY;
    r->free_from = high + 1;
    word_publish(&r->header->tables,
                 high + 1); /* release: what iterates finds the entry free, not garbage */
    return high;
}

static uint32_t entry_make(struct region *r, enum table_kind kind, struct str name, size_t size)
{
    uint64_t hash = hash_of(r, kind, name);
    struct str kept = str_up_to(name, REGION_NAME_MAX);
    uint64_t text[NAME_WORDS] = { 0 };
    uint64_t place = heap_take(r, size);
    uint32_t number = place ? entry_unused(r) : NO_ENTRY;
    struct entry *e;

    if (number == NO_ENTRY)
        return NO_ENTRY;
    e = &r->entries[number];
    memcpy(text, kept.at, kept.len);
    for (size_t i = 0; i < NAME_WORDS; i++)
        word_put(&e->name[i], text[i]);
    word_put(&e->hash, hash);
    word_put(&e->size, size);
    word_put(&e->place, place);
    word_put(&e->last_named, 0);
    word_put(&e->kind_len, (uint64_t)kind << 32 | name.len);
    word_put(&r->header->bytes, word_peek(&r->header->bytes) + span(size));
    word_publish(&e->state, ENTRY_PENDING); /* release: whoever sees it sees the rest */
    index_add(r, hash, number);
    return number;
}

/* What a killed master had begun is undone, what it had counted is counted again. */
static void undo_pending(struct region *r)
{
    uint32_t high = (uint32_t)word_peek(&r->header->tables);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < high; i++)
        if (word_read(&r->entries[i].state) == ENTRY_PENDING)
            entry_free(r, i);
    for (uint32_t i = 0; i < high; i++)
        if (word_read(&r->entries[i].state) == ENTRY_LIVE)
            bytes += span(word_peek(&r->entries[i].size));
    word_put(&r->header->bytes, bytes);
}

/* ---- life --------------------------------------------------------------------------------------- */

struct region *region_new(size_t size)
{
    uint64_t bytes = up(size ? size : REGION_SIZE, PAGE);
    int fd = memfd_create("sluice", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct region *r;

    if (bytes < SMALLEST)
        bytes = SMALLEST;
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        die("cannot make shared memory of %llu bytes", (unsigned long long)bytes);
    /* nobody may cut it under our feet */
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    r = region_map(fd, bytes, PROT_READ | PROT_WRITE);
    r->header->layout = REGION_LAYOUT;
    r->header->size = bytes;
    r->header->birth_ns = clock_now_ns();
    r->header->birth_wall_ns = clock_wall_ns();
    r->header->key = hash_key_new();
    r->header->magic = REGION_MAGIC;
    return r;
}

static struct region *region_of(int fd, int protection)
{
    struct region_header h;
    struct stat st;

    if (fstat(fd, &st) != 0 || pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h ||
        h.magic != REGION_MAGIC || h.layout != REGION_LAYOUT || h.size != (uint64_t)st.st_size ||
        h.size < SMALLEST) {
        close(fd);
        return NULL;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return region_map(fd, h.size, protection);
}

struct region *region_open(int fd)
{
    struct region *r = region_of(fd, PROT_READ | PROT_WRITE);

    if (r)
        undo_pending(r);
    return r;
}

struct region *region_look(int fd)
{
    return region_of(fd, PROT_READ);
}

void region_close(struct region *r)
{
    munmap(r->header, r->size);
    close(r->fd);
    free(r->named);
    free(r->gaps);
    free(r);
}

int region_fd(const struct region *r)
{
    return r->fd;
}

struct region_header *region_header(const struct region *r)
{
    return r->header;
}

uint64_t region_resident(const struct region *r)
{
    struct stat st;

    return fstat(r->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* ---- loads -------------------------------------------------------------------------------------- */

static void load_ends(struct region *r)
{
    free(r->named);
    free(r->gaps);
    r->named = NULL;
    r->gaps = NULL;
    r->loading = false;
}

uint64_t region_begin(struct region *r)
{
    CHECK(!r->loading);
    r->named = calloc(REGION_TABLES, 1);
    if (!r->named)
        die("no memory for a load");
    r->free_from = 0;
    r->loading = true;
    find_gaps(r);
    return word_peek(&r->header->generation) + 1;
}

void region_commit(struct region *r)
{
    uint64_t generation = word_peek(&r->header->generation) + 1;
    uint32_t high = (uint32_t)word_peek(&r->header->tables);

    CHECK(r->loading);
    for (uint32_t i = 0; i < high; i++) {
        struct entry *e = &r->entries[i];

        if (!r->named[i])
            continue;
        word_put(&e->last_named, generation);
        word_publish(&e->state, ENTRY_LIVE); /* release: the whole entry, once more */
    }
    word_publish(&r->header->generation, generation); /* release: its tables are all there */
    load_ends(r);
}

void region_abort(struct region *r)
{
    uint32_t high = (uint32_t)word_peek(&r->header->tables);

    CHECK(r->loading);
    for (uint32_t i = 0; i < high; i++)
        if (word_peek(&r->entries[i].state) == ENTRY_PENDING)
            entry_free(r, i);
    load_ends(r);
    give_pages_back(r);
}

void *region_table(struct region *r, enum table_kind kind, struct str name, size_t size)
{
    uint32_t number = index_find(r, kind, name, size, false);

    CHECK(size > 0);
    if (r->loading) {
        if (number == NO_ENTRY)
            number = size < r->size ? entry_make(r, kind, name, size) : NO_ENTRY;
        if (number != NO_ENTRY)
            r->named[number] = 1;
    } else if (number != NO_ENTRY && word_read(&r->entries[number].state) != ENTRY_LIVE) {
        number = NO_ENTRY;
    }
    return number == NO_ENTRY ? NULL : place_at(r, word_peek(&r->entries[number].place));
}

shared_word *region_words(struct region *r, struct str name, size_t count)
{
    return region_table(r, TABLE_WORDS, name, count * sizeof(shared_word));
}

bool region_has_other_size(const struct region *r, enum table_kind kind, struct str name,
                           size_t size)
{
    return index_find(r, kind, name, size, true) != NO_ENTRY;
}

size_t region_sweep(struct region *r, uint64_t oldest)
{
    uint32_t high = (uint32_t)word_peek(&r->header->tables);
    uint64_t generation = word_peek(&r->header->generation);
    size_t swept = 0;

    CHECK(!r->loading);
    for (uint32_t i = 0; i < high; i++) {
        struct entry *e = &r->entries[i];
        uint64_t named = word_peek(&e->last_named);

        if (word_peek(&e->state) == ENTRY_LIVE && named < oldest && named < generation) {
            entry_free(r, i);
            swept++;
        }
    }
    if (swept)
        give_pages_back(r);
    return swept;
}

bool region_next_table(const struct region *r, size_t *i, struct table_info *info)
{
    uint64_t high = word_read(&r->header->tables);

    while (*i < high) {
        const struct entry *e = &r->entries[(*i)++];
        uint64_t text[NAME_WORDS], kind_len;

        /* acquire, at both ends: an entry that is freed meanwhile is left out */
        if (word_read(&e->state) != ENTRY_LIVE)
            continue;
        kind_len = word_read(&e->kind_len);
        info->kind = (enum table_kind)(kind_len >> 32);
        info->size = word_read(&e->size);
        info->last_named = word_read(&e->last_named);
        info->at = place_at(r, word_read(&e->place));
        for (size_t w = 0; w < NAME_WORDS; w++)
            text[w] = word_read(&e->name[w]);
        if (word_read(&e->state) != ENTRY_LIVE)
            continue;
        memcpy(info->text, text, sizeof text);
        info->name = str_up_to(str_of(info->text, (uint32_t)kind_len), REGION_NAME_MAX);
        return true;
    }
    return false;
}
