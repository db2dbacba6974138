// Stands before the C library's getrandom, and answers the same bytes each time: so a program's hashes fall alike in each run.
#include <string.h>
#include <sys/types.h>

__attribute__((visibility("default"))) ssize_t getrandom(void *buffer, size_t len, unsigned flags) {
    (void)flags;
    memset(buffer, 0x5a, len);
    return (ssize_t)len;
}
