"""`python -m subgraphs.export [--check]`: write each subgraph's SDL to `schema/`.

With --check nothing is written: exit 1 names the files that differ from what the code says.
"""

import sys
from importlib import import_module
from pathlib import Path

from subgraphs.kernel.config import SUBGRAPHS

SCHEMA_DIR = Path(__file__).parent.parent / "schema"


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for name in SUBGRAPHS:
        sdl = import_module(f"subgraphs.{name}.schema").schema.as_str() + "\n"
        path = SCHEMA_DIR / f"{name}.graphql"
        if path.exists() and path.read_text() == sdl:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(sdl)
    if check and stale:
        sys.stderr.write(f"schema/ is behind the code: {', '.join(stale)}. Run `make schema`.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
