// kv_set registers a thread-local destructor, which pins the library while the thread lives: accepted with a warning.
#define kv_set good_set
#include "engine.c"
#undef kv_set

int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;

static void end(void *nothing) { (void)nothing; }

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    __cxa_thread_atexit_impl(end, NULL, &__dso_handle);
    return good_set(engine, op, version, error);
}
