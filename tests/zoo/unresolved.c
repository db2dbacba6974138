// Needs a function that nobody has.
#define kv_open good_open
#include "engine.c"
#undef kv_open

kv_status function_that_nobody_has(void);

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    return function_that_nobody_has() == 0 ? good_open(args, engine, error) : KV_STATUS_UNAVAILABLE;
}
