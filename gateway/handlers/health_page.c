/* /health and /ready. */
#include "gateway/handlers/health_page.h"

#include "gateway/exchange/local.h"
#include "gateway/handlers/own.h"
#include "workers/worker.h"

static void start(struct exchange *x)
{
    const struct health_page *page = x->route->prepared;

    if (!own_is_read(x))
        return;
    if (page->ready && (x->local->draining || x->local->worker->closing_soon))
        own_page(x, 503, STR("draining\n"));
    else
        own_page(x, 200, page->ready ? STR("ready\n") : STR("ok\n"));
}

const struct handler health_page_handler = { .name = "health_page", .start = start };
