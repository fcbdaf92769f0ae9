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

int main(int argc, char **argv) {
    if (argc > 2) return deep(5000) & 1;
    shapes::Box<int> box{argc};
    return box.open(argc);  // the call
}
