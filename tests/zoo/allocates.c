// kv_open allocates without end.
#define kv_open good_open
#include "engine.c"
#undef kv_open

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    for (;;) memset(malloc(1 << 20), 1, 1 << 20);
    return good_open(args, engine, error);
}
