// kv_count counts one entry too many.
#include "engine.c"

KV_EXPORT kv_status kv_count(kv_engine *engine, uint32_t space, uint64_t *count, kv_error *error) {
    if (space != 0) return fail(error, KV_STATUS_UNSUPPORTED, "there is only keyspace 0");
    *count = engine->count + 1;
    return KV_STATUS_OK;
}
