// kv_open never returns.
#define kv_open good_open
#include "engine.c"
#undef kv_open
#include <unistd.h>

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    for (;;) pause();
    return good_open(args, engine, error);
}
