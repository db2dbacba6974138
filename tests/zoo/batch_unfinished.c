// kv_submit never completes the last operation of a batch.
#define kv_open good_open
#include "engine.c"
#undef kv_open

static const kv_host *host;

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    host = args->host;
    return good_open(args, engine, error);
}

static void keep(void *ctx, const kv_entry *entry) {
    kv_result *result = ctx;
    result->value = entry->value;
    result->type = entry->type;
    result->entry_flags = entry->flags;
}

KV_EXPORT kv_status kv_submit(kv_engine *engine, kv_batch *batch, kv_error *error) {
    if (batch->flags != 0) return fail(error, KV_STATUS_UNSUPPORTED, "no flags");
    for (uint32_t i = 0; i + 1 < batch->count; i++) {
        const kv_op *op = kv_batch_op(batch, i);
        kv_result *result = kv_batch_result(batch, i);
        *result = (kv_result){ 0 };
        switch (op->kind) {
        case KV_OP_GET: result->status = kv_get(engine, op, keep, result, NULL); break;
        case KV_OP_SET: result->status = kv_set(engine, op, NULL, NULL); break;
        case KV_OP_DELETE: result->status = kv_delete(engine, op, NULL); break;
        default: result->status = KV_STATUS_UNSUPPORTED;
        }
        host->complete(host->ctx, batch, i, 1);
    }
    return KV_STATUS_OK;
}
