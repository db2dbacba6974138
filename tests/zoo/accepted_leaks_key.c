// A constructor takes one of the process's thread-specific keys and never gives it back: accepted with a warning.
#include "engine.c"
#include <pthread.h>

__attribute__((constructor)) static void take(void) {
    pthread_key_t key;
    pthread_key_create(&key, NULL);
}
