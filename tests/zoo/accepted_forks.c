// A constructor forks a process that never ends and holds all pipes open: accepted, and the process is ended with the check.
#include "engine.c"
#include <stdio.h>
#include <unistd.h>

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("ZOO_PID_FILE");
    if (path == NULL || fork() != 0) return;
    FILE *file = fopen(path, "a");
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    for (;;) pause();
}
