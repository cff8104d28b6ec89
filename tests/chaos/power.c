/* Simulates a disk that loses unsynced writes. power.py preloads this library into Valkey.
 *
 * After each successful sync, the library writes the size that the file had before the sync to
 * $POWER_STATE/<inode>. While $POWER_STATE/cut exists, the process kills itself instead of the next
 * sync, like a power cut between a write and its sync.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int record_sync(const char *name, int file) {
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *state = getenv("POWER_STATE");
    struct stat status;
    if (!state || fstat(file, &status) || !S_ISREG(status.st_mode)) return sync(file);

    char path[4096], size[32];
    snprintf(path, sizeof path, "%s/cut", state);
    if (access(path, F_OK) == 0) raise(SIGKILL);

    int result = sync(file);
    if (result == 0) {
        snprintf(path, sizeof path, "%s/%lu", state, (unsigned long)status.st_ino);
        int record = open(path, O_WRONLY | O_CREAT, 0600);
        if (record < 0) abort();
        int length = snprintf(size, sizeof size, "%020lld\n", (long long)status.st_size);
        if (write(record, size, length) != length) abort();
        close(record);
    }
    return result;
}

int fsync(int file) { return record_sync("fsync", file); }
int fdatasync(int file) { return record_sync("fdatasync", file); }
