/* Prometheus' text format. */
#include "gateway/handlers/prometheus.h"

#include "gateway/base/number.h"

static void put(struct prometheus *p, struct str s)
{
    CHECK(s.len <= p->size - p->len);
    if (s.len)
        memcpy(p->at + p->len, s.at, s.len);
    p->len += s.len;
}

/* A line feed and a backslash are escaped everywhere, a quote in label values. */
static void put_escaped(struct prometheus *p, struct str s, bool quotes)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '\n')
            put(p, STR("\\n"));
        else if (s.at[i] == '\\')
            put(p, STR("\\\\"));
        else if (s.at[i] == '"' && quotes)
            put(p, STR("\\\""));
        else
            put(p, str_of(s.at + i, 1));
    }
}

static void put_u64(struct prometheus *p, uint64_t value)
{
    char digits[NUMBER_TEXT_MAX];

    put(p, str_of(digits, number_write_u64(digits, value)));
}

/* 0.0025: nine places, without the zeros at the end. */
static void put_seconds(struct prometheus *p, uint64_t ns)
{
    char places[] = ".000000000";
    uint64_t rest = ns % NS_PER_S;
    size_t len = sizeof places - 1;

    put_u64(p, ns / NS_PER_S);
    if (rest == 0)
        return;
    for (size_t i = len; rest > 0; rest /= 10)
        places[--i] = (char)('0' + rest % 10);
    while (places[len - 1] == '0')
        len--;
    put(p, str_of(places, len));
}

void prometheus_family(struct prometheus *p, struct str name, struct str help, struct str type)
{
    put(p, STR("# HELP "));
    put(p, name);
    put(p, STR(" "));
    put_escaped(p, help, false);
    put(p, STR("\n# TYPE "));
    put(p, name);
    put(p, STR(" "));
    put(p, type);
    put(p, STR("\n"));
}

void prometheus_begin(struct prometheus *p, struct str name, struct str suffix)
{
    put(p, name);
    put(p, suffix);
    p->in_labels = false;
}

static void begin_label(struct prometheus *p, struct str name)
{
    put(p, p->in_labels ? STR(",") : STR("{"));
    p->in_labels = true;
    put(p, name);
    put(p, STR("=\""));
}

void prometheus_label(struct prometheus *p, struct str name, struct str value)
{
    begin_label(p, name);
    put_escaped(p, value, true);
    put(p, STR("\""));
}

void prometheus_label_u64(struct prometheus *p, struct str name, uint64_t value)
{
    begin_label(p, name);
    put_u64(p, value);
    put(p, STR("\""));
}

static void end_labels(struct prometheus *p)
{
    put(p, p->in_labels ? STR("} ") : STR(" "));
}

void prometheus_u64(struct prometheus *p, uint64_t value)
{
    end_labels(p);
    put_u64(p, value);
    put(p, STR("\n"));
}

void prometheus_seconds(struct prometheus *p, uint64_t ns)
{
    end_labels(p);
    put_seconds(p, ns);
    put(p, STR("\n"));
}

static void begin_series(struct prometheus *p, const struct rows_family *f,
                         const struct rows_series *s, struct str suffix)
{
    prometheus_begin(p, str_from(f->name), suffix);
    for (uint32_t i = 0; i < s->label_count; i++)
        prometheus_label(p, str_from(f->labels[i]), s->values[i]);
}

static void put_buckets(struct prometheus *p, const struct rows_family *f,
                        const struct rows_series *s)
{
    uint64_t sum = 0;

    for (uint32_t b = 0; b <= f->bucket_count; b++) {
        sum += s->buckets[b];
        begin_series(p, f, s, STR("_bucket"));
        begin_label(p, STR("le"));
        if (b < f->bucket_count)
            put_seconds(p, f->buckets[b]);
        else
            put(p, STR("+Inf"));
        put(p, STR("\""));
        prometheus_u64(p, sum);
    }
}

void prometheus_series(struct prometheus *p, const struct rows_family *f,
                       const struct rows_series *s)
{
    if (f->type == ROWS_COUNTER) {
        begin_series(p, f, s, STR(""));
        prometheus_u64(p, s->total);
        return;
    }
    put_buckets(p, f, s);
    begin_series(p, f, s, STR("_sum"));
    prometheus_seconds(p, s->sum_ns);
    begin_series(p, f, s, STR("_count"));
    prometheus_u64(p, s->total);
}
