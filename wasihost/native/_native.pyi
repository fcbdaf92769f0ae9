"""What the optional extension holds. It is written in C: wasihost/native/*.c; `wasihost.native` imports it."""
