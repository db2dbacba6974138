// kv_get finds another value than the one that was set.
#define kv_get good_get
#include "engine.c"
#undef kv_get

KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    kv_status status = check(op, KV_OP_NO_VALUE, error);
    if (status != KV_STATUS_OK) return status;
    node *found = *find(engine, op->key, hash_of(op->key));
    if (found == NULL) return KV_STATUS_NOT_FOUND;
    if (found->value_len > 0) found->bytes[found->key_len] ^= 1;
    lend(found, sink, sink_ctx);
    return KV_STATUS_OK;
}
