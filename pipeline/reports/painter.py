"""A process of its own that draws charts: specifications of Vega-Lite as JSON on stdin, SVG as JSON on stdout."""

from __future__ import annotations

import json
import sys

import vl_convert


def main() -> None:
    version, specs = json.load(sys.stdin)
    json.dump([vl_convert.vegalite_to_svg(spec, vl_version=version) for spec in specs], sys.stdout)


if __name__ == "__main__":
    main()
