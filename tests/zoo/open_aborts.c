// kv_open aborts with a last word.
#define kv_open good_open
#include "engine.c"
#undef kv_open
#include <stdio.h>

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    fprintf(stderr, "assertion failed: the moon is full\n");
    abort();
    return good_open(args, engine, error);
}
