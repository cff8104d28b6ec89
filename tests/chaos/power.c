/* A disk that forgets what was not synced: preloaded into the server, see power.py.
 *
 * Every sync that succeeds is written down: the size the file had before it began, in
 * $POWER_NOTES/<inode>. While $POWER_NOTES/failing is there, the next sync is the end: the process
 * dies in its place, as by a power cut between a write and its sync.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int synced(const char *name, int file) {
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *notes = getenv("POWER_NOTES");
    struct stat about;
    if (!notes || fstat(file, &about) || !S_ISREG(about.st_mode)) return sync(file);

    char path[4096], size[32];
    snprintf(path, sizeof path, "%s/failing", notes);
    if (access(path, F_OK) == 0) raise(SIGKILL);

    int done = sync(file);
    if (done == 0) {
        snprintf(path, sizeof path, "%s/%lu", notes, (unsigned long)about.st_ino);
        int note = open(path, O_WRONLY | O_CREAT, 0600);
        if (note < 0) abort();
        int length = snprintf(size, sizeof size, "%020lld\n", (long long)about.st_size);
        if (write(note, size, length) != length) abort();
        close(note);
    }
    return done;
}

int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fdatasync", file); }
