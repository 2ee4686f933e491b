/* Reading the sketches of all seats, and saying what they hold. */
#include "gateway/limits.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/arena.h"
#include "gateway/base/clock.h"
#include "gateway/base/json.h"
#include "gateway/base/number.h"
#include "gateway/limiting/limit_top.h"
#include "ratelimit/gradient.h"
#include "shm/places.h"

/* A client under a limit, over all seats. */
struct row {
    uint64_t limit, key;
    double per_s[TOP_KINDS];
    uint64_t total[TOP_KINDS];
    struct str text;
};

struct view {
    const struct limits_wish *wish;
    struct region *region;
    const struct region_header *header;
    uint64_t now_ns;
    struct arena arena;
    struct row *rows;
    size_t count, room;
    FILE *out;
    struct json_writer json;
};

/* ---- gathering -------------------------------------------------------------------------------- */

static void add_row(struct view *v, enum top_kind kind, const struct top_entry *e)
{
    struct row *row;

    if (v->count == v->room) {
        v->room = v->room ? 2 * v->room : 256;
        v->rows = realloc(v->rows, v->room * sizeof *v->rows);
        if (!v->rows)
            die("out of memory for the keys of limits");
    }
    row = &v->rows[v->count++];
    *row = (struct row){ .limit = e->limit, .key = e->key, .text = str_keep(&v->arena, e->text) };
    row->per_s[kind] = e->per_s;
    row->total[kind] = e->total;
}

static int by_client(const void *a, const void *b)
{
    const struct row *one = a, *other = b;

    if (one->limit != other->limit)
        return one->limit < other->limit ? -1 : 1;
    return (one->key > other->key) - (one->key < other->key);
}

/* What is of one client becomes one row. */
static void merge(struct view *v)
{
    size_t n = 0;

    if (v->count == 0)
        return;
    qsort(v->rows, v->count, sizeof *v->rows, by_client);
    for (size_t i = 1; i < v->count; i++) {
        if (by_client(&v->rows[n], &v->rows[i]) != 0) {
            v->rows[++n] = v->rows[i];
            continue;
        }
        for (int kind = 0; kind < TOP_KINDS; kind++) {
            v->rows[n].per_s[kind] += v->rows[i].per_s[kind];
            v->rows[n].total[kind] += v->rows[i].total[kind];
        }
    }
    v->count = n + 1;
}

static bool gather(struct view *v)
{
    const struct seats_shared *seats = seats_table(v->region);
    struct top top;

    if (!seats || !top_table(v->region, &top))
        return false;
    for (int kind = 0; kind < TOP_KINDS; kind++) {
        struct top_entry e;
        size_t i = 0;

        while (top_next(&top, seats_high(seats), (enum top_kind)kind, v->now_ns, &i, &e))
            add_row(v, (enum top_kind)kind, &e);
    }
    merge(v);
    return true;
}

/* ---- what is left, or taken right now --------------------------------------------------------- */

struct seen_limit {
    struct str name;
    uint64_t id;
    bool can_look;
    /* a rate */
    const struct algorithm *algorithm; /* NULL: it is one of so many at once */
    struct limit limit;
    struct limiter limiter;
    bool in_store;
    /* so many at once */
    struct limit_places at_most;
    struct places places;
    const struct gradient_words *measure; /* NULL: the limit does not move */
};

static struct str in_scratch(struct arena *scratch, const char *kind, struct str name)
{
    arena_init(scratch, NULL);
    return str_format(scratch, "%s/%.*s", kind, STR_ARGS(name));
}

static bool log_of(const struct view *v, struct str name, struct limit_log *log)
{
    struct arena scratch;
    bool found = limit_log_look(v->region, in_scratch(&scratch, "log", name), log);

    arena_free(&scratch);
    return found;
}

static void look_at_places(const struct view *v, struct seen_limit *s)
{
    struct arena scratch;
    struct str measure = in_scratch(&scratch, "gradient", s->name);

    s->can_look = places_table(v->region, STR("gateway/places"), &s->places);
    if (s->at_most.min)
        s->measure = region_table(v->region, TABLE_GRADIENT, measure, sizeof *s->measure);
    arena_free(&scratch);
}

static bool look_at_rate(const struct view *v, const shared_word *words, struct seen_limit *s)
{
    struct limit_log log;
    struct cells cells;

    if (!limiter_read_meaning(word_peek(&words[LIMIT_MEANING]), &s->algorithm, &s->limit))
        return false;
    s->in_store = word_peek(&words[LIMIT_IN_STORE]) != 0;
    s->can_look = !s->in_store && cells_table_look(v->region, STR("gateway/limits"), &cells) &&
                  (!s->algorithm->keeps_log || log_of(v, s->name, &log));
    if (s->can_look)
        s->can_look = !limiter_init_to_look(&s->limiter, v->header, &cells,
                                            s->algorithm->keeps_log ? &log : NULL, s->name,
                                            s->algorithm, &s->limit) &&
                      /* not so for a name that the directory cuts */
                      limiter_id(&s->limiter) == s->id;
    return true;
}

static bool look_at_limit(const struct view *v, const struct table_info *info, struct seen_limit *s)
{
    const shared_word *words = info->at;

    if (info->kind != TABLE_LIMIT || info->size != LIMIT_WORDS * sizeof *words)
        return false;
    *s = (struct seen_limit){ .name = info->name, .id = word_peek(&words[LIMIT_ID]) };
    if (s->id == 0)
        return false;
    if (!limit_places_read(word_peek(&words[LIMIT_PLACES]), &s->at_most))
        return look_at_rate(v, words, s);
    look_at_places(v, s);
    return true;
}

/* How many at once there may be now. What was found out under an older configuration holds as far as the new one allows. */
static uint64_t most_now(const struct seen_limit *s)
{
    struct gradient_view moved;

    if (!s->measure)
        return s->at_most.max;
    moved = gradient_look(s->measure);
    if (moved.measuring || moved.limit < s->at_most.min)
        return s->at_most.min;
    return moved.limit < s->at_most.max ? moved.limit : s->at_most.max;
}

static struct places_view places_of(const struct seen_limit *s, uint64_t key)
{
    return s->can_look ? places_look(&s->places, SEAT_NONE, key, clock_now_ns())
                       : (struct places_view){ 0 };
}

/* ---- saying ----------------------------------------------------------------------------------- */

static int by_refused(const void *a, const void *b)
{
    const struct row *one = a, *other = b;

    for (int kind = 0; kind < TOP_KINDS; kind++) {
        if (one->per_s[kind] != other->per_s[kind])
            return one->per_s[kind] < other->per_s[kind] ? 1 : -1;
        if (one->total[kind] != other->total[kind])
            return one->total[kind] < other->total[kind] ? 1 : -1;
    }
    return str_compare(one->text, other->text);
}

static int by_taken(const void *a, const void *b)
{
    const struct row *one = a, *other = b;

    if (one->per_s[TOP_TAKEN] != other->per_s[TOP_TAKEN])
        return one->per_s[TOP_TAKEN] < other->per_s[TOP_TAKEN] ? 1 : -1;
    return by_refused(a, b);
}

static void say_left(const struct view *v, const struct seen_limit *s, const struct row *r)
{
    char left[NUMBER_TEXT_MAX + 1] = "-";

    if (s->can_look)
        left[number_write_u64(left, limiter_take(&s->limiter, r->key, 0, v->now_ns).remaining)] =
            '\0';
    fprintf(v->out, " %10s", left);
}

static void say_now(const struct view *v, const struct seen_limit *s, const struct row *r)
{
    struct places_view now = places_of(s, r->key);

    fprintf(v->out, " %10llu %10llu %10llu", (unsigned long long)now.taken,
            (unsigned long long)most_now(s), (unsigned long long)now.waiting);
}

static void say_row(struct view *v, const struct seen_limit *s, const struct row *r)
{
    fprintf(v->out, "%12.1f %12.1f %12llu %12llu", r->per_s[TOP_REFUSED], r->per_s[TOP_TAKEN],
            (unsigned long long)r->total[TOP_REFUSED], (unsigned long long)r->total[TOP_TAKEN]);
    (s->algorithm ? say_left : say_now)(v, s, r);
    fprintf(v->out, "  %.*s\n", STR_ARGS(r->text));
}

static void say_left_as_json(struct view *v, const struct seen_limit *s, const struct row *r)
{
    struct decision d;

    if (!s->can_look)
        return;
    d = limiter_take(&s->limiter, r->key, 0, v->now_ns);
    json_key(&v->json, STR("left"));
    json_u64(&v->json, d.remaining);
    json_key(&v->json, STR("retry_ms"));
    json_ms(&v->json, d.retry_ns);
}

static void say_now_as_json(struct view *v, const struct seen_limit *s, const struct row *r)
{
    struct places_view now = places_of(s, r->key);

    json_key(&v->json, STR("now"));
    json_u64(&v->json, now.taken);
    json_key(&v->json, STR("waiting"));
    json_u64(&v->json, now.waiting);
}

static void say_row_as_json(struct view *v, const struct seen_limit *s, const struct row *r)
{
    struct json_writer *w = &v->json;

    json_object(w);
    json_key(w, STR("key"));
    json_string(w, r->text);
    json_key(w, STR("refused_per_second"));
    json_double(w, r->per_s[TOP_REFUSED]);
    json_key(w, STR("taken_per_second"));
    json_double(w, r->per_s[TOP_TAKEN]);
    json_key(w, STR("refused"));
    json_u64(w, r->total[TOP_REFUSED]);
    json_key(w, STR("taken"));
    json_u64(w, r->total[TOP_TAKEN]);
    (s->algorithm ? say_left_as_json : say_now_as_json)(v, s, r);
    json_end(w);
}

static void say_rows(struct view *v, const struct seen_limit *s)
{
    size_t first = 0, end;

    while (first < v->count && v->rows[first].limit != s->id)
        first++;
    for (end = first; end < v->count && v->rows[end].limit == s->id;)
        end++;
    if (first == end)
        return; /* and there may be no rows at all */
    qsort(v->rows + first, end - first, sizeof *v->rows,
          v->wish->by == TOP_TAKEN ? by_taken : by_refused);
    for (size_t i = first; i < end && i - first < v->wish->top; i++)
        (v->wish->json ? say_row_as_json : say_row)(v, s, &v->rows[i]);
}

static void say_title(struct view *v, const struct seen_limit *s)
{
    struct str what;

    fprintf(v->out, "%.*s: ", STR_ARGS(s->name));
    if (s->algorithm) {
        what = limit_top_describe(&v->arena, s->algorithm, &s->limit);
        fprintf(v->out, "%.*s%s\n%12s %12s %12s %12s %10s  %s\n", STR_ARGS(what),
                s->in_store ? " in a store" : "", "refused/s", "taken/s", "refused", "taken",
                "left", "key");
        return;
    }
    fprintf(v->out, "concurrency max %llu queue %llu%s\n", (unsigned long long)s->at_most.max,
            (unsigned long long)s->at_most.queue, s->measure ? " adaptive" : "");
    fprintf(v->out, "%12s %12s %12s %12s %10s %10s %10s  %s\n", "refused/s", "taken/s", "refused",
            "taken", "now", "max", "waiting", "key");
}

static void say_rate_as_json(struct view *v, const struct seen_limit *s)
{
    json_string(&v->json, str_from(s->algorithm->name));
    json_key(&v->json, STR("count"));
    json_u64(&v->json, s->limit.count);
    json_key(&v->json, STR("period_s"));
    json_u64(&v->json, s->limit.per_ns / NS_PER_S);
    json_key(&v->json, STR("burst"));
    json_u64(&v->json, s->algorithm->at_once(&s->limit));
}

static void say_places_as_json(struct view *v, const struct seen_limit *s)
{
    json_string(&v->json, STR("concurrency"));
    json_key(&v->json, STR("max"));
    json_u64(&v->json, s->at_most.max);
    json_key(&v->json, STR("max_now"));
    json_u64(&v->json, most_now(s));
    json_key(&v->json, STR("queue"));
    json_u64(&v->json, s->at_most.queue);
}

static void say_limit(struct view *v, const struct seen_limit *s)
{
    if (!v->wish->json) {
        say_title(v, s);
        say_rows(v, s);
        fputc('\n', v->out);
        return;
    }
    json_object(&v->json);
    json_key(&v->json, STR("limit"));
    json_string(&v->json, s->name);
    json_key(&v->json, STR("algorithm"));
    (s->algorithm ? say_rate_as_json : say_places_as_json)(v, s);
    json_key(&v->json, STR("scope"));
    json_string(&v->json, s->in_store ? STR("cluster") : STR("node"));
    json_key(&v->json, STR("keys"));
    json_array(&v->json);
    say_rows(v, s);
    json_end(&v->json);
    json_end(&v->json);
}

static bool is_wanted(const struct view *v, const struct seen_limit *s)
{
    return v->wish->limit.len == 0 || str_equal(v->wish->limit, s->name);
}

static size_t say_limits(struct view *v)
{
    struct table_info info;
    size_t i = 0, said = 0;

    while (region_next_table(v->region, &i, &info)) {
        struct seen_limit s;

        if (!look_at_limit(v, &info, &s) || !is_wanted(v, &s))
            continue;
        say_limit(v, &s);
        said++;
    }
    return said;
}

static bool say(struct view *v)
{
    size_t said;

    if (!gather(v)) {
        fprintf(stderr, "it keeps no such sketches\n");
        return false;
    }
    if (v->wish->json) {
        json_growing(&v->json);
        json_array(&v->json);
    }
    said = say_limits(v);
    if (v->wish->json) {
        json_end(&v->json);
        json_raw(&v->json, STR("\n"));
        fwrite(v->json.at, 1, v->json.len, v->out);
        json_free(&v->json);
    }
    if (said > 0 || v->wish->limit.len == 0)
        return true;
    fprintf(stderr, "there is no limit %.*s\n", STR_ARGS(v->wish->limit));
    return false;
}

bool limits_show(int fd, const struct limits_wish *wish, FILE *out)
{
    struct view v = { .wish = wish, .region = region_look(fd), .out = out };
    bool good;

    if (!v.region) {
        fprintf(stderr, "its memory is laid out for another version\n");
        return false;
    }
    v.header = region_header(v.region);
    v.now_ns = region_now(v.header, clock_now_ns());
    arena_init(&v.arena, NULL);
    good = say(&v) && fflush(out) == 0;
    free(v.rows);
    arena_free(&v.arena);
    region_close(v.region);
    return good;
}
