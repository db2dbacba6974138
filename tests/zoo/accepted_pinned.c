// Most calls register a thread-local destructor, which pins the library while the thread lives: accepted with a warning, and unmapped all the same.
#include "kvstore.h"
#ifdef BLOCKS // then its calls are made from other threads
#undef KV_CAP_TYPES
#define KV_CAP_TYPES (1u << 8 | KV_CAP_BLOCKING)
#endif
#define kv_set good_set
#define kv_get good_get
#define kv_close good_close
#include "engine.c"
#undef kv_set
#undef kv_get
#undef kv_close

int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;

static void end(void *nothing) { (void)nothing; }

static void leave_something(void) { __cxa_thread_atexit_impl(end, NULL, &__dso_handle); }

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    leave_something();
    return good_set(engine, op, version, error);
}

KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    leave_something();
    return good_get(engine, op, sink, sink_ctx, error);
}

KV_EXPORT kv_status kv_close(kv_engine *engine, kv_error *error) {
    leave_something();
    return good_close(engine, error);
}
