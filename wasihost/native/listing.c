/* Listings as the guest reads them: `dirent` records of the spec, each followed by its name.
 *
 * A listing is a pair: the bytes, and the offset of each entry in them, as a memoryview of unsigned 64-bit numbers.
 */
#include "syscalls.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAYOUT "<QQIB3x" /* of Dirent, by the characters of Python's struct: next, inode, size of the name, type */
#define HEAD 24
#define BATCH 4096 /* entries between two checks whether the guest has to end */

/* A listing that grows. Needs no GIL. */
typedef struct {
    char *bytes;
    uint64_t *starts;
    size_t size, capacity, count, places;
} Listing;

static void put_number(char *at, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (char)(number >> 8 * i);
}

/* Append an entry. Returns false if there is no memory. */
static bool add(Listing *listing, const char *name, size_t length, uint64_t inode, uint8_t filetype)
{
    if (listing->size + HEAD + length > listing->capacity) {
        size_t capacity = 2 * (listing->size + HEAD + length) + 4096;
        char *bytes = realloc(listing->bytes, capacity);
        if (bytes == NULL)
            return false;
        listing->bytes = bytes;
        listing->capacity = capacity;
    }
    if (listing->count == listing->places) {
        size_t places = 2 * listing->places + 128;
        uint64_t *starts = realloc(listing->starts, places * sizeof *starts);
        if (starts == NULL)
            return false;
        listing->starts = starts;
        listing->places = places;
    }
    char *at = listing->bytes + listing->size;
    listing->starts[listing->count++] = listing->size;
    put_number(at, listing->count, 8); /* the cookie of the next entry */
    put_number(at + 8, inode, 8);
    put_number(at + 16, length, 4);
    put_number(at + 20, filetype, 4);
    memcpy(at + HEAD, name, length);
    listing->size += HEAD + length;
    return true;
}

/* Return a memoryview of a copy, with the format if there is one. */
static PyObject *view(const void *data, size_t size, const char *format)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    PyObject *made = bytes != NULL ? PyMemoryView_FromObject(bytes) : NULL;
    Py_XDECREF(bytes);
    if (made != NULL && format != NULL) {
        PyObject *cast = PyObject_CallMethod(made, "cast", "s", format);
        wasihost_replace(&made, cast);
    }
    return made;
}

/* The pair for Python, or NULL where `complete` is false and an exception is set. Frees the listing. */
static PyObject *finished(Listing *listing, bool complete)
{
    PyObject *pair = NULL;
    PyObject *bytes = complete ? view(listing->bytes, listing->size, NULL) : NULL;
    PyObject *starts = bytes != NULL ? view(listing->starts, listing->count * sizeof *listing->starts, "Q") : NULL;
    if (starts != NULL)
        pair = PyTuple_Pack(2, bytes, starts);
    Py_XDECREF(bytes);
    Py_XDECREF(starts);
    free(listing->bytes);
    free(listing->starts);
    return pair;
}

/* Call the function that raises if the guest has to end. */
static bool check_passes(PyObject *check)
{
    PyObject *result = PyErr_CheckSignals() == 0 ? PyObject_CallNoArgs(check) : NULL;
    Py_XDECREF(result);
    return result != NULL;
}

/* The type of a file by the type bits of its st_mode, which are also what a directory stores of it. */
static uint8_t filetype_of(unsigned bits, const uint8_t *kinds)
{
    return kinds[bits & 15];
}

/* The type of an entry: from the directory; from the file itself if the directory does not say, or says something rare,
 * as `os.DirEntry` does.
 */
static uint8_t entry_type(int fd, const struct dirent *entry, const uint8_t *kinds)
{
    struct stat status;
    if (entry->d_type == DT_REG || entry->d_type == DT_DIR || entry->d_type == DT_LNK)
        return filetype_of(entry->d_type, kinds);
    if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return filetype_of(0, kinds); /* removed since, or no permission: the directory is open, so this is no error */
    return filetype_of(status.st_mode >> 12, kinds);
}

/* Read up to BATCH entries without the GIL. Returns 1 if there may be more, 0 at the end, -1 with `errno` set. */
static int read_batch(DIR *directory, int fd, const uint8_t *kinds, Listing *listing)
{
    for (int i = 0; i < BATCH; i++) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            return errno ? -1 : 0;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (!add(listing, name, strlen(name), (uint64_t)entry->d_ino, entry_type(fd, entry, kinds))) {
            errno = ENOMEM;
            return -1;
        }
    }
    return 1;
}

/* A stream of the directory with a descriptor of its own, at its first entry; NULL with `errno` set. */
static DIR *open_stream(int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return NULL;
    DIR *directory = fdopendir(own);
    if (directory == NULL) {
        int code = errno;
        close(own);
        errno = code;
        return NULL;
    }
    rewinddir(directory); /* it shares the position with `fd`, so it also leaves it at the start */
    return directory;
}

/* Append the entries of the directory `fd`. Returns false with an exception set. */
static bool read_all(int fd, const uint8_t *kinds, PyObject *check, Listing *listing)
{
    DIR *directory;
    Py_BEGIN_ALLOW_THREADS
    directory = open_stream(fd);
    Py_END_ALLOW_THREADS
    if (directory == NULL) {
        raise_errno(NULL);
        return false;
    }
    int more = 1;
    while (more > 0) {
        Py_BEGIN_ALLOW_THREADS
        more = read_batch(directory, fd, kinds, listing);
        Py_END_ALLOW_THREADS
        if (more < 0)
            raise_errno(NULL);
        else if (more > 0 && !check_passes(check))
            more = -1;
    }
    rewinddir(directory);
    closedir(directory);
    return more == 0;
}

/* read_directory(fd, inode, parent, kinds, check)
 *
 * Return the listing of an open directory: `.` and `..` with these inode numbers, then its entries. `kinds` are bytes:
 * the Filetype for each of the sixteen type bits. `check` is called now and then, and raises if the guest has to end.
 */
static PyObject *read_directory(PyObject *Py_UNUSED(module), PyObject *args)
{
    int fd;
    unsigned long long inode, parent;
    const char *kinds;
    Py_ssize_t size;
    PyObject *check;
    Listing listing = {0};
    if (!PyArg_ParseTuple(args, "iKKy#O:read_directory", &fd, &inode, &parent, &kinds, &size, &check))
        return NULL;
    if (size != 16) {
        PyErr_SetString(PyExc_ValueError, "kinds has to have 16 bytes");
        return NULL;
    }
    if (PySys_Audit("os.scandir", "i", fd) < 0)
        return NULL;
    uint8_t directory = filetype_of(S_IFDIR >> 12, (const uint8_t *)kinds);
    if (!add(&listing, ".", 1, inode, directory) || !add(&listing, "..", 2, parent, directory)) {
        PyErr_NoMemory();
        return finished(&listing, false);
    }
    return finished(&listing, read_all(fd, (const uint8_t *)kinds, check, &listing));
}

/* Append the entry that Python has as (name, inode, filetype). Returns 1; 0 for numbers of other types; -1 if it
 * raises. */
static int add_tuple(Listing *listing, PyObject *entry)
{
    if (!PyTuple_Check(entry) || PyTuple_Size(entry) != 3)
        return 0;
    PyObject *name = PyTuple_GetItem(entry, 0), *inode = PyTuple_GetItem(entry, 1), *kind = PyTuple_GetItem(entry, 2);
    char *text;
    Py_ssize_t length;
    if (!PyBytes_Check(name) || !PyLong_CheckExact(inode) || !PyLong_Check(kind))
        return 0;
    uint64_t number = PyLong_AsUnsignedLongLongMask(inode);
    long filetype = PyLong_AsLong(kind);
    if (PyErr_Occurred() || PyBytes_AsStringAndSize(name, &text, &length) < 0)
        return -1;
    if (!add(listing, text, (size_t)length, number, (uint8_t)filetype)) {
        PyErr_NoMemory();
        return -1;
    }
    return 1;
}

/* pack_entries(entries, check)
 *
 * Return the listing of entries from Python: a list of (name, inode, filetype). None if an inode is not an int: then
 * Python reports that, or reads it by its `__index__`.
 */
static PyObject *pack_entries(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *entries, *check;
    Listing listing = {0};
    if (!PyArg_ParseTuple(args, "O!O:pack_entries", &PyList_Type, &entries, &check))
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_Size(entries); i++) {
        int added = add_tuple(&listing, PyList_GetItem(entries, i));
        if (added <= 0) {
            finished(&listing, false);
            return added < 0 ? NULL : Py_NewRef(Py_None);
        }
        if ((i + 1) % BATCH == 0 && !check_passes(check))
            return finished(&listing, false);
    }
    return finished(&listing, true);
}

static PyMethodDef methods[] = {
    {"read_directory", read_directory, METH_VARARGS, NULL},
    {"pack_entries", pack_entries, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int wasihost_add_listing(PyObject *module)
{
    if (PyModule_AddStringConstant(module, "DIRENT_LAYOUT", LAYOUT) < 0)
        return -1;
    return PyModule_AddFunctions(module, methods);
}
