// A thread that kv_open starts runs on after kv_close.
#define kv_open good_open
#include "engine.c"
#undef kv_open
#include <pthread.h>
#include <unistd.h>

static void *wait_for_ever(void *nothing) {
    for (;;) pause();
    return nothing;
}

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0) return fail(error, KV_STATUS_FULL, "no thread");
    return good_open(args, engine, error);
}
