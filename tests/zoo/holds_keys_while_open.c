// The first instance takes ninety of the process's thread-specific keys, and the end of the last one gives them back.
#define kv_open good_open
#define kv_close good_close
#include "engine.c"
#undef kv_open
#undef kv_close
#include <pthread.h>
#include <stdatomic.h>

static pthread_key_t keys[90];
static atomic_int open_count;

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    kv_status status = good_open(args, engine, error);
    if (status == KV_STATUS_OK && atomic_fetch_add(&open_count, 1) == 0)
        for (int i = 0; i < 90; i++) pthread_key_create(&keys[i], NULL);
    return status;
}

KV_EXPORT kv_status kv_close(kv_engine *engine, kv_error *error) {
    if (atomic_fetch_sub(&open_count, 1) == 1)
        for (int i = 0; i < 90; i++) pthread_key_delete(keys[i]);
    return good_close(engine, error);
}
