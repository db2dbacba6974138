// kv_set cuts values off at 3,000,000 bytes: accepted, unless live data show it.
#define kv_set good_set
#include "engine.c"
#undef kv_set

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    kv_op cut = *op;
    if (cut.value.len > 3000000) cut.value.len = 3000000;
    return good_set(engine, &cut, version, error);
}
