// kv_scan never returns.
#define kv_scan good_scan
#include "engine.c"
#undef kv_scan
#include <unistd.h>

KV_EXPORT kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count, kv_cursor *cursor,
                            kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    for (;;) pause();
    return good_scan(engine, space, flags, count, cursor, sink, sink_ctx, error);
}
