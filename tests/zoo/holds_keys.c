// A constructor takes a hundred of the process's thread-specific keys.
#include "engine.c"
#include <pthread.h>

static pthread_key_t keys[100];

__attribute__((constructor)) static void take(void) {
    for (int i = 0; i < 100; i++) pthread_key_create(&keys[i], NULL);
}

__attribute__((destructor)) static void give_back(void) {
    for (int i = 0; i < 100; i++) pthread_key_delete(keys[i]);
}
