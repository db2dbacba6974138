// kv_open fails and says why.
#define kv_open good_open
#include "engine.c"
#undef kv_open

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    (void)args, (void)engine;
    return fail(error, KV_STATUS_UNAVAILABLE, "the disk is on strike");
}
