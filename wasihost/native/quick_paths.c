/* Quick calls that act on the entry that a path names: see quick.h for the rules. */
#include "quick.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#ifdef O_PATH
#define HANDLE O_PATH
#else
#define HANDLE O_RDONLY
#endif

/* An entry of a directory: the open directory and a proven single name. */
typedef struct {
    QuickDirectory directory;
    QuickPath path;
    int parent;
    bool opened; /* whether `parent` has to be closed */
} Entry;

static void release_entry(Entry *entry)
{
    if (entry->opened)
        close(entry->parent);
    quick_release(&entry->directory);
}

/* Find the directory and read the path; `open` is the dict of descriptors. Returns 1, or 0 if they are not plain. Then
 * there is nothing to release. */
static int find_entry(PyObject *host, PyObject *open, char *base, uint64_t size, uint32_t fd, uint64_t right,
                      uint32_t at, uint32_t length, Entry *entry)
{
    entry->opened = false;
    if (!quick_path(host, base, size, at, length, &entry->path) || !quick_directory(open, fd, right, &entry->directory))
        return NOTHING_DONE;
    const char *name = entry->path.name;
    bool several = name != entry->path.text;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || entry->directory.read_only ||
        (several && entry->directory.resolve == 0)) {
        quick_release(&entry->directory);
        return NOTHING_DONE;
    }
    entry->parent = entry->directory.fd;
    return 1;
}

/* Open the directory that the entry is in. Returns 1; 0 if Python has to; -1 with an exception of a signal handler. */
static int open_parent(Entry *entry)
{
    if (entry->path.name == entry->path.text)
        return 1;
    entry->path.name[-1] = 0;
    Place place = {.dirfd = entry->directory.fd,
                   .text = entry->path.text,
                   .follow = true,
                   .several = true,
                   .resolve = entry->directory.resolve};
    CALL(entry->parent, wasihost_open_place(&place, HANDLE | O_DIRECTORY, 0));
    entry->opened = entry->parent >= 0;
    return entry->opened ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* The open descriptors of the guest; NULL with an exception. A new reference. */
static PyObject *descriptors_of(PyObject *host)
{
    PyObject *table = quick_get(host, Q_TABLE);
    PyObject *open = table == NULL ? NULL : quick_get(table, Q_OPEN);
    Py_XDECREF(table);
    return open;
}

typedef int Operation(const Entry *entry);

static int make_directory(const Entry *entry)
{
    return mkdirat(entry->parent, entry->path.name, 0777);
}

static int remove_directory(const Entry *entry)
{
    return unlinkat(entry->parent, entry->path.name, AT_REMOVEDIR);
}

static int unlink_file(const Entry *entry)
{
    return unlinkat(entry->parent, entry->path.name, 0);
}

/* As Python reports it to audit hooks: the name, and the descriptor of its directory if it is not the current one. */
static int audit(const Entry *entry, const char *event)
{
    if (strcmp(event, "os.mkdir") == 0)
        return PySys_Audit(event, "sii", entry->path.name, 0777, entry->parent);
    return PySys_Audit(event, "si", entry->path.name, entry->parent);
}

/* fd, path, path_len: one system call on the entry. */
static int operate(PyObject *host, char *base, uint64_t size, witx_slot *slots, uint64_t right, const char *event,
                   Operation *operation)
{
    Entry entry;
    PyObject *open = descriptors_of(host);
    if (open == NULL)
        return quick_leave();
    int found = find_entry(host, open, base, size, slots[0].u32, right, slots[1].u32, slots[2].u32, &entry);
    Py_DECREF(open);
    if (!found)
        return NOTHING_DONE;
    int done = open_parent(&entry);
    if (done > 0 && audit(&entry, event) < 0)
        done = -1;
    if (done > 0) {
        Py_BEGIN_ALLOW_THREADS
        done = operation(&entry) == 0;
        Py_END_ALLOW_THREADS
    }
    release_entry(&entry);
    return done > 0 ? success(slots) : done;
}

int quick_path_create_directory(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    return operate(host, base, size, slots, WASI_PREVIEW1_RIGHTS_PATH_CREATE_DIRECTORY, "os.mkdir", make_directory);
}

int quick_path_remove_directory(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    return operate(host, base, size, slots, WASI_PREVIEW1_RIGHTS_PATH_REMOVE_DIRECTORY, "os.rmdir", remove_directory);
}

int quick_path_unlink_file(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    return operate(host, base, size, slots, WASI_PREVIEW1_RIGHTS_PATH_UNLINK_FILE, "os.remove", unlink_file);
}

/* Move one entry to the other. Returns 1, 0 or -1. */
static int rename_entry(Entry *from, Entry *to)
{
    int done = open_parent(from);
    if (done > 0)
        done = open_parent(to);
    if (done > 0 && PySys_Audit("os.rename", "ssii", from->path.name, to->path.name, from->parent, to->parent) < 0)
        done = -1;
    if (done > 0) {
        Py_BEGIN_ALLOW_THREADS
        done = renameat(from->parent, from->path.name, to->parent, to->path.name) == 0;
        Py_END_ALLOW_THREADS
    }
    return done;
}

/* fd, old_path, old_path_len, new_fd, new_path, new_path_len */
int quick_path_rename(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    Entry from, to;
    PyObject *open = descriptors_of(host);
    if (open == NULL)
        return quick_leave();
    int done = find_entry(host, open, base, size, slots[0].u32, WASI_PREVIEW1_RIGHTS_PATH_RENAME_SOURCE, slots[1].u32,
                          slots[2].u32, &from);
    if (done && !(done = find_entry(host, open, base, size, slots[3].u32, WASI_PREVIEW1_RIGHTS_PATH_RENAME_TARGET,
                                    slots[4].u32, slots[5].u32, &to)))
        release_entry(&from);
    Py_DECREF(open);
    if (!done)
        return NOTHING_DONE;
    done = rename_entry(&from, &to);
    release_entry(&from);
    release_entry(&to);
    return done > 0 ? success(slots) : done;
}

/* The spec's record of a file, if it is of a kind whose type is clear. */
static int put_filestat(char *base, uint32_t at, const struct stat *about)
{
    if (S_ISREG(about->st_mode))
        return plain_put_filestat(base, at, WASI_PREVIEW1_FILETYPE_REGULAR_FILE, about);
    return S_ISDIR(about->st_mode) && plain_put_filestat(base, at, WASI_PREVIEW1_FILETYPE_DIRECTORY, about);
}

/* fd, flags, path, path_len, result */
int quick_path_filestat_get(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    QuickDirectory directory;
    QuickPath path;
    struct stat about;
    uint32_t flags = slots[1].u32, result = slots[4].u32;
    if (flags > WASI_PREVIEW1_LOOKUPFLAGS_SYMLINK_FOLLOW ||
        !fits(size, result, WASI_PREVIEW1_FILESTAT_SIZEOF, WASI_PREVIEW1_FILESTAT_ALIGNOF) ||
        !quick_path(host, base, size, slots[2].u32, slots[3].u32, &path))
        return NOTHING_DONE;
    PyObject *open = descriptors_of(host);
    if (open == NULL)
        return quick_leave();
    int found = quick_directory(open, slots[0].u32, WASI_PREVIEW1_RIGHTS_PATH_FILESTAT_GET, &directory);
    Py_DECREF(open);
    if (!found)
        return NOTHING_DONE;
    Place place = {.dirfd = directory.fd,
                   .text = path.text,
                   .follow = flags != 0,
                   .several = path.name != path.text,
                   .resolve = directory.resolve};
    int failed = -1, done = NOTHING_DONE;
    if (place.several ? place.resolve > 0 : strcmp(path.text, "..") != 0)
        CALL(failed, wasihost_stat_place(&place, &about));
    if (PyErr_Occurred())
        done = -1;
    else if (!failed && (done = quick_is_known(&directory, about.st_dev)) > 0)
        done = put_filestat(base, result, &about);
    quick_release(&directory);
    return done > 0 ? success(slots) : done;
}
