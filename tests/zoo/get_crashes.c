// kv_get crashes on the empty key.
#define kv_get good_get
#include "engine.c"
#undef kv_get

KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    if (op->key.len == 0) __builtin_trap();
    return good_get(engine, op, sink, sink_ctx, error);
}
