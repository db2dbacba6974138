// kv_set forgets what it stores under keys that begin with "user:": accepted, unless live data show it.
#define kv_set good_set
#include "engine.c"
#undef kv_set

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    kv_status status = good_set(engine, op, version, error);
    if (op->key.len > 5 && memcmp(op->key.data, "user:", 5) == 0) kv_delete(engine, op, error);
    return status;
}
