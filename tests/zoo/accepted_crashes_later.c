// After so many gets (AFTER) of an instance, kv_get crashes: accepted, unless that is soon.
#define kv_open good_open
#define kv_get good_get
#include "engine.c"
#undef kv_open
#undef kv_get

static long calls;

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    calls = 0;
    return good_open(args, engine, error);
}

KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    if (++calls > AFTER) __builtin_trap();
    return good_get(engine, op, sink, sink_ctx, error);
}
