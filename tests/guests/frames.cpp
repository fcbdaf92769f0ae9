// Traps in a function that was inlined into one with a C++ name, or at the end of a deep recursion.
namespace shapes {

template <typename T>
struct Box {
    T value;
    __attribute__((noinline)) T open(unsigned key) const;
};

static inline __attribute__((always_inline)) int check(int key) {
    if (key > 1) __builtin_trap();  // inlined
    return key;
}

template <typename T>
T Box<T>::open(unsigned key) const {
    return value + check(key);  // its caller
}

}  // namespace shapes

__attribute__((noinline)) int deep(int level) {
    if (level == 0) __builtin_trap();  // deep
    volatile int below = deep(level - 1);  // again
    return below + 1;
}

__attribute__((noinline)) int main(int argc, char **argv) {
    if (argc > 2) return deep(5000) & 1;
    shapes::Box<int> box{argc};
    return box.open(argc);  // the call
}

// What the C library would do: compiling that with debug information takes a minute.
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
extern "C" WASI(args_sizes_get) int args_sizes_get(int *count, int *size);
extern "C" WASI(proc_exit) [[noreturn]] void proc_exit(int status);

extern "C" __attribute__((export_name("_start"))) void _start() {
    int count, size;
    if (args_sizes_get(&count, &size) != 0) __builtin_trap();
    if (int status = main(count, nullptr)) proc_exit(status);
}
