/* Quick calls that open a file by its path, and that close a descriptor: see quick.h for the rules.
 *
 * A closed file's descriptor in Python is kept and used again for the next one, if nothing else refers to it: making it
 * takes longer than opening the file.
 */
#include "quick.h"

#include <fcntl.h>
#include <unistd.h>

enum { SPARE = 16 }; /* descriptors that are kept */

/* What `path_open` asks for. */
typedef struct {
    QuickDirectory directory;
    QuickPath path;
    PyObject *table, *open; /* the guest's; owned */
    int flags;
    uint64_t rights;
} Opening;

/* The flags of open(2) for the guest's, and whether they are plain. */
static bool read_flags(const witx_slot *slots, Opening *opening)
{
    uint32_t oflags = slots[4].u32;
    uint64_t all = WASI_PREVIEW1_OFLAGS_CREAT | WASI_PREVIEW1_OFLAGS_DIRECTORY | WASI_PREVIEW1_OFLAGS_EXCL |
                   WASI_PREVIEW1_OFLAGS_TRUNC;
    if (slots[1].u32 > WASI_PREVIEW1_LOOKUPFLAGS_SYMLINK_FOLLOW || oflags & ~all || slots[7].u32 != 0 ||
        (slots[5].u64 | slots[6].u64) & ~quick.all_rights ||
        (oflags & WASI_PREVIEW1_OFLAGS_CREAT && oflags & WASI_PREVIEW1_OFLAGS_DIRECTORY))
        return false;
    opening->rights = slots[5].u64;
    opening->flags = !(opening->rights & WASI_PREVIEW1_RIGHTS_FD_WRITE) ? O_RDONLY
                     : opening->rights & WASI_PREVIEW1_RIGHTS_FD_READ   ? O_RDWR
                                                                        : O_WRONLY;
    opening->flags |= oflags & WASI_PREVIEW1_OFLAGS_DIRECTORY ? O_DIRECTORY : 0;
    opening->flags |= oflags & WASI_PREVIEW1_OFLAGS_CREAT ? O_CREAT : 0;
    opening->flags |= oflags & WASI_PREVIEW1_OFLAGS_EXCL ? O_EXCL : 0;
    opening->flags |= oflags & WASI_PREVIEW1_OFLAGS_TRUNC ? O_TRUNC : 0;
    return true;
}

/* Whether the directory may open this, and the table has room. Returns 1, or 0 for Python. */
static int may_open(const Opening *opening)
{
    const QuickDirectory *directory = &opening->directory;
    uint64_t limit;
    int tight = quick_truth(quick.reserve, Q_TIGHT);
    if (tight != 0 || !quick_number(opening->table, Q_LIMIT, &limit) || (uint64_t)PyDict_Size(opening->open) >= limit)
        return quick_leave();
    return directory->inheriting == quick.all_rights &&
           (!(opening->flags & O_CREAT) || directory->rights & WASI_PREVIEW1_RIGHTS_PATH_CREATE_FILE) &&
           (!(opening->flags & O_TRUNC) || directory->rights & WASI_PREVIEW1_RIGHTS_PATH_FILESTAT_SET_SIZE) &&
           (!directory->read_only || !(opening->flags & ~O_DIRECTORY)) &&
           (opening->path.name != opening->path.text ? directory->resolve > 0 : strcmp(opening->path.text, "..") != 0);
}

/* The lowest free number of the table; a new reference, or NULL with an exception. */
static PyObject *take_number(const Opening *opening)
{
    PyObject *freed = quick_get(opening->table, Q_FREED);
    while (freed != NULL && PyList_Size(freed) > 0) {
        PyObject *number = PyObject_CallFunctionObjArgs(quick.pop, freed, NULL);
        int taken = number == NULL ? -1 : PyDict_Contains(opening->open, number);
        if (taken <= 0) {
            if (taken < 0)
                Py_CLEAR(number);
            Py_DECREF(freed);
            return number;
        }
        Py_DECREF(number);
    }
    Py_XDECREF(freed);
    uint64_t next;
    if (freed == NULL || !quick_number(opening->table, Q_NEXT, &next))
        return NULL;
    PyObject *number = PyLong_FromUnsignedLongLong(next), *after = PyLong_FromUnsignedLongLong(next + 1);
    if (number == NULL || after == NULL || PyObject_SetAttr(opening->table, quick_names[Q_NEXT], after) < 0)
        Py_CLEAR(number);
    Py_XDECREF(after);
    return number;
}

/* Set the attribute to a number. */
static bool set_number(PyObject *object, QuickName name, long number)
{
    PyObject *value = PyLong_FromLong(number);
    bool done = value != NULL && PyObject_SetAttr(object, quick_names[name], value) == 0;
    Py_XDECREF(value);
    return done;
}

/* Make a descriptor that was closed that of the new file, all but its fd. */
static bool renew(PyObject *file, const Opening *opening, PyObject *rights)
{
    return PyObject_SetAttr(file, quick_names[Q_RIGHTS], rights) == 0 &&
           PyObject_SetAttr(file, quick_names[Q_FLAGS], quick.no_flags) == 0 && set_number(file, Q_INHERITING, 0) &&
           set_number(file, Q_GIVEN_UP, 0) &&
           PyObject_SetAttr(file, quick_names[Q_READ_ONLY], opening->directory.read_only ? Py_True : Py_False) == 0;
}

/* Put a descriptor that was closed into the table, for a new file. Returns 1; 0 if there is none; -1 with an exception.
 * The table owns the fd then, and only then. */
static int use_again(const Opening *opening, PlainCalls *calls, int fd, uint32_t *number)
{
    PyObject *rights = quick.rights[(opening->rights & WASI_PREVIEW1_RIGHTS_FD_READ ? 1 : 0) |
                                    (opening->rights & WASI_PREVIEW1_RIGHTS_FD_WRITE ? 2 : 0)];
    PyObject *file = plain_take_spare(calls);
    if (file == NULL)
        return 0;
    int done = -1;
    PyObject *shared = quick_get(file, Q_SHARED), *key = NULL;
    if (shared != NULL && renew(file, opening, rights) && (key = take_number(opening)) != NULL) {
        *number = (uint32_t)PyLong_AsUnsignedLong(key);
        if (set_number(file, Q_FD, fd) && PyDict_SetItem(opening->open, key, file) == 0)
            done = 1;
        if (done > 0 && plain_put_again(calls, *number, (PlainFile *)shared, fd, PyLong_AsUnsignedLongLong(rights)) < 0)
            PyErr_Clear(); /* without memory for a larger table, Python does all calls of this file */
    }
    Py_XDECREF(key);
    Py_XDECREF(shared);
    Py_DECREF(file);
    return done;
}

/* Leave the new descriptor to Python, whatever it is. Returns 1, or -1 with an exception; the fd is closed then. */
static int adopt(const Opening *opening, int fd, long mode, uint32_t *number)
{
    PyObject *held = Py_BuildValue("[i]", fd), *made = NULL;
    if (held == NULL) {
        close(fd);
        return -1;
    }
    PyObject *asked = PyLong_FromUnsignedLongLong(opening->rights);
    if (asked != NULL)
        made = PyObject_CallFunction(quick.adopt, "OOsOliO", opening->table, opening->directory.object,
                                     opening->path.text, held, mode, opening->flags, asked);
    Py_XDECREF(asked);
    if (made != NULL)
        *number = (uint32_t)PyLong_AsUnsignedLong(made);
    else if (PyList_Size(held) > 0) /* Python has not come to it */
        close(fd);
    Py_XDECREF(made);
    Py_DECREF(held);
    return made == NULL || PyErr_Occurred() ? -1 : 1;
}

/* Tell the reserve of a descriptor that is higher than all before. */
static int note_high(int fd)
{
    uint64_t high;
    if (!quick_number(quick.reserve, Q_HIGH, &high))
        return -1;
    if ((uint64_t)fd <= high)
        return 0;
    PyObject *noted = PyObject_CallMethod(quick.reserve, "note", "i", fd);
    Py_XDECREF(noted);
    return noted == NULL ? -1 : 0;
}

/* Put a new descriptor into the table. Returns 1, or -1 with an exception; it is closed then. */
static int enter(const Opening *opening, int fd, const struct stat *about, uint32_t *number)
{
    int known = quick_is_known(&opening->directory, about->st_dev);
    if (known < 0) {
        close(fd);
        return -1;
    }
    long mode = known ? (long)about->st_mode : -(long)about->st_mode;
    bool is_sealed = opening->flags & O_ACCMODE && (about->st_mode & 07777) == quick.sealed;
    if (known && S_ISREG(about->st_mode) && !is_sealed) {
        PyObject *calls = quick_get(opening->table, Q_PLAIN);
        int done = calls == NULL || calls == Py_None ? 0 : use_again(opening, (PlainCalls *)calls, fd, number);
        Py_XDECREF(calls);
        if (done > 0)
            return note_high(fd) < 0 ? -1 : 1; /* the table has it, and closes it */
        if (done < 0) {
            close(fd);
            return -1;
        }
        PyErr_Clear();
    }
    return adopt(opening, fd, mode, number);
}

/* Open the file and put it into the table. Returns 1, 0 or -1. */
static int open_and_enter(const Opening *opening, bool follow, uint32_t *number)
{
    Place place = {.dirfd = opening->directory.fd,
                   .text = opening->path.text,
                   .follow = follow,
                   .several = opening->path.name != opening->path.text,
                   .resolve = opening->directory.resolve};
    int flags = opening->flags | O_NONBLOCK | O_NOCTTY, fd;
    struct stat about;
    if (PySys_Audit("open", "sOi", place.text, Py_None, flags) < 0)
        return -1;
    CALL(fd, wasihost_open_place(&place, flags, 0666));
    if (fd < 0)
        return PyErr_Occurred() ? -1 : NOTHING_DONE;
    if (fstat(fd, &about) < 0) {
        raise_errno(NULL);
        close(fd);
        return -1;
    }
    return enter(opening, fd, &about, number);
}

/* fd, dirflags, path, path_len, oflags, fs_rights_base, fs_rights_inheriting, fdflags, result */
int quick_path_open(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    Opening opening = {0};
    uint32_t result = slots[8].u32, number = 0;
    int done = NOTHING_DONE;
    if (!fits(size, result, 4, 4) || !read_flags(slots, &opening) ||
        !quick_path(host, base, size, slots[2].u32, slots[3].u32, &opening.path))
        return NOTHING_DONE;
    if ((opening.table = quick_get(host, Q_TABLE)) == NULL || (opening.open = quick_get(opening.table, Q_OPEN)) == NULL)
        quick_leave();
    else if (quick_directory(opening.open, slots[0].u32, WASI_PREVIEW1_RIGHTS_PATH_OPEN, &opening.directory)) {
        if (may_open(&opening))
            done = open_and_enter(&opening, slots[1].u32 != 0, &number);
        quick_release(&opening.directory);
    }
    Py_XDECREF(opening.open);
    Py_XDECREF(opening.table);
    if (done <= 0)
        return done;
    put_u32(base, result, number);
    return success(slots);
}

/* close(2): 0 or an errno. */
static int close_fd(int fd)
{
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = close(fd) == 0 || errno == EINTR ? 0 : errno; /* it is closed after EINTR too */
    Py_END_ALLOW_THREADS
    return code;
}

/* Take a descriptor whose fd is closed out of the table. Returns 1, or -1 with an exception. */
static int forget(PyObject *table, PyObject *open, PyObject *key)
{
    PyObject *freed = quick_get(table, Q_FREED), *pushed = NULL;
    if (freed != NULL && PyDict_DelItem(open, key) == 0)
        pushed = PyObject_CallFunctionObjArgs(quick.push, freed, key, NULL);
    Py_XDECREF(freed);
    Py_XDECREF(pushed);
    return pushed == NULL ? -1 : 1;
}

/* Close a file or a directory. Returns 1, 0 or -1. */
static int close_descriptor(PyObject *table, PyObject *open, PyObject *key, PyObject *descriptor)
{
    bool is_file = Py_TYPE(descriptor) == quick.file;
    uint64_t fd;
    if (!is_file && Py_TYPE(descriptor) != quick.directories[0] && Py_TYPE(descriptor) != quick.directories[1])
        return NOTHING_DONE;
    PyObject *shared = is_file ? quick_get(descriptor, Q_SHARED) : NULL;
    if ((is_file && shared == NULL) || !quick_number(descriptor, Q_FD, &fd) || fd > INT32_MAX) {
        Py_XDECREF(shared);
        return quick_leave();
    }
    if (!set_number(descriptor, Q_FD, -1)) {
        Py_XDECREF(shared);
        return -1;
    }
    if (is_file)
        atomic_store(&((PlainFile *)shared)->fd, -1);
    Py_XDECREF(shared);
    int code = close_fd((int)fd), done = forget(table, open, key);
    if (done > 0 && code != 0) {
        errno = code;
        raise_errno(NULL);
        done = -1;
    }
    PyObject *calls = done > 0 && is_file ? quick_get(table, Q_PLAIN) : NULL;
    if (calls != NULL && calls != Py_None)
        plain_keep_spare((PlainCalls *)calls, (uint32_t)PyLong_AsUnsignedLong(key), descriptor, SPARE);
    Py_XDECREF(calls);
    return done;
}

/* fd */
int quick_fd_close(PyObject *host, char *Py_UNUSED(base), uint64_t Py_UNUSED(size), witx_slot *slots)
{
    PyObject *table = quick_get(host, Q_TABLE), *open = table == NULL ? NULL : quick_get(table, Q_OPEN);
    PyObject *key = open == NULL ? NULL : PyLong_FromUnsignedLong(slots[0].u32);
    PyObject *descriptor = key == NULL ? NULL : PyDict_GetItemWithError(open, key);
    int done = NOTHING_DONE;
    if (descriptor == NULL)
        PyErr_Clear();
    else {
        Py_INCREF(descriptor);
        done = close_descriptor(table, open, key, descriptor);
        Py_DECREF(descriptor);
    }
    Py_XDECREF(key);
    Py_XDECREF(open);
    Py_XDECREF(table);
    return done > 0 ? success(slots) : done;
}

/* fd, result: of a directory */
int quick_fd_fdstat_get(PyObject *host, char *base, uint64_t size, witx_slot *slots)
{
    QuickDirectory directory;
    uint32_t result = slots[1].u32;
    if (!fits(size, result, WASI_PREVIEW1_FDSTAT_SIZEOF, WASI_PREVIEW1_FDSTAT_ALIGNOF))
        return NOTHING_DONE;
    PyObject *table = quick_get(host, Q_TABLE), *open = table == NULL ? NULL : quick_get(table, Q_OPEN);
    int found = open == NULL ? quick_leave() : quick_directory(open, slots[0].u32, UINT64_MAX, &directory);
    Py_XDECREF(open);
    Py_XDECREF(table);
    if (!found)
        return NOTHING_DONE;
    uint64_t flags;
    bool done = quick_number(directory.object, Q_FLAGS, &flags) && flags <= UINT16_MAX;
    if (done) {
        uint16_t flags16 = (uint16_t)flags;
        char fdstat[WASI_PREVIEW1_FDSTAT_SIZEOF] = {0};
        fdstat[WASI_PREVIEW1_FDSTAT_FS_FILETYPE_AT] = WASI_PREVIEW1_FILETYPE_DIRECTORY;
        memcpy(fdstat + WASI_PREVIEW1_FDSTAT_FS_FLAGS_AT, &flags16, sizeof flags16);
        put_u64(fdstat, WASI_PREVIEW1_FDSTAT_FS_RIGHTS_BASE_AT, directory.rights);
        put_u64(fdstat, WASI_PREVIEW1_FDSTAT_FS_RIGHTS_INHERITING_AT, directory.inheriting);
        memcpy(base + result, fdstat, sizeof fdstat);
    }
    quick_release(&directory);
    return done ? success(slots) : quick_leave();
}
