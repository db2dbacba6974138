// Has no SCRATCH and would crash when opened: accepted, because it is not opened.
#define kv_open good_open
#include "kvstore.h"
#undef KV_CAP_SCRATCH
#define KV_CAP_SCRATCH 0
#include "engine.c"
#undef kv_open

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    (void)args, (void)engine, (void)error;
    __builtin_trap();
}
