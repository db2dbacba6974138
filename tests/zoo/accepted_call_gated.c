// kv_get, or with IN_SET kv_set, does not return while the file GATE is there. Calls are made from the pool, and others go on meanwhile.
#define _DEFAULT_SOURCE
#include "kvstore.h"
#undef KV_CAP_TYPES
#define KV_CAP_TYPES (1u << 8 | KV_CAP_BLOCKING | KV_CAP_THREAD_SAFE)
#define kv_get good_get
#define kv_set good_set
#define kv_delete good_delete
#define kv_scan good_scan
#include "engine.c"
#undef kv_get
#undef kv_set
#undef kv_delete
#undef kv_scan
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(void) {
    while (access(GATE, F_OK) == 0) usleep(1000);
}

static kv_status done(kv_status status) {
    pthread_mutex_unlock(&one_at_a_time);
    return status;
}

KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
#ifndef IN_SET
    wait_at_gate();
#endif
    pthread_mutex_lock(&one_at_a_time);
    return done(good_get(engine, op, sink, sink_ctx, error));
}

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
#ifdef IN_SET
    wait_at_gate();
#endif
    pthread_mutex_lock(&one_at_a_time);
    return done(good_set(engine, op, version, error));
}

KV_EXPORT kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error) {
    pthread_mutex_lock(&one_at_a_time);
    return done(good_delete(engine, op, error));
}

KV_EXPORT kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count, kv_cursor *cursor,
                            kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    pthread_mutex_lock(&one_at_a_time);
    return done(good_scan(engine, space, flags, count, cursor, sink, sink_ctx, error));
}
