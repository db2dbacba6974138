// Stands before the C library's chmod, and tells what others could see and reach until then. Its caller sets WATCHED_LOG.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((visibility("default"))) int chmod(const char *path, mode_t mode) {
    struct stat found;
    const char *log = getenv("WATCHED_LOG");
    if (log && stat(path, &found) == 0 && S_ISSOCK(found.st_mode)) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strncpy(address.sun_path, path, sizeof address.sun_path - 1);
        int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int reached = connect(client, (struct sockaddr *)&address, sizeof address) == 0;
        close(client);
        FILE *out = fopen(log, "ae");
        fprintf(out, "%03o, %s, becomes %03o\n", found.st_mode & 0777, reached ? "reached" : "refused", mode);
        fclose(out);
    }
    return (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}
