// A scan of two hundred entries or more brings nothing more when it has come to its end, and never says so.
#define kv_scan good_scan
#include "engine.c"
#undef kv_scan

KV_EXPORT kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count, kv_cursor *cursor,
                            kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    static const uint8_t end[4] = { 0xff, 0xff, 0xff, 0xff };
    if (space == 0 && cursor->len == sizeof end && memcmp(cursor->bytes, end, sizeof end) == 0) return KV_STATUS_OK;
    kv_status status = good_scan(engine, space, flags, count, cursor, sink, sink_ctx, error);
    if (status != KV_STATUS_OK || cursor->len != 0 || engine->count < 200) return status;
    memcpy(cursor->bytes, end, cursor->len = sizeof end);
    return status;
}
