// After so many gets and sets (AFTER) of an instance, kv_get finds other values than those that were set: accepted, unless that is soon.
#define kv_open good_open
#define kv_get good_get
#define kv_set good_set
#include "engine.c"
#undef kv_open
#undef kv_get
#undef kv_set

static long calls;

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    calls = 0;
    return good_open(args, engine, error);
}

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    calls++;
    return good_set(engine, op, version, error);
}

KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    node *found = *find(engine, op->key, hash_of(op->key));
    if (++calls > AFTER && found != NULL && found->value_len > 0) found->bytes[found->key_len] ^= 1;
    return good_get(engine, op, sink, sink_ctx, error);
}
