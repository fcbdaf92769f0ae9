"""The ns that an import takes, in this new interpreter: python -m tests.bench.imported COLUMN"""

import sys
import time

library = "wasmtime" if sys.argv[1] == "wasmtime-py" else "wasihost"
begin = time.perf_counter()
__import__(library)
print("import", f"{(time.perf_counter() - begin) * 1e9:.0f}")
