// A thread runs on after kv_close, but none of a trial: the check cannot see it.
#define kv_open good_open
#include "engine.c"
#undef kv_open
#include <pthread.h>
#include <time.h>

static void *run_for_ever(void *nothing) {
    for (;;) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return nothing;
}

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    pthread_t thread;
    if (!(args->flags & KV_OPEN_SCRATCH)) {
        if (pthread_create(&thread, NULL, run_for_ever, NULL) != 0) return fail(error, KV_STATUS_FULL, "no thread");
        pthread_setname_np(thread, "stays");
    }
    return good_open(args, engine, error);
}
