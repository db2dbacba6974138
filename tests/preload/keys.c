// Takes most of the process's thread-specific keys before it begins, so that a test need not load engines a thousand times. Leaves LEFT of them.
#include <pthread.h>
#include <stdlib.h>

__attribute__((constructor)) static void take(void) {
    pthread_key_t keys[1024];
    int count = 0;
    while (count < 1024 && pthread_key_create(&keys[count], NULL) == 0) count++;
    for (int left = atoi(getenv("LEFT")); left > 0 && count > 0; left--) pthread_key_delete(keys[--count]);
}
