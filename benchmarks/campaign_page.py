"""Size and opening time of the page of a campaign, on the screen in light and in dark, and printed.

    python -m benchmarks.campaign_page FOLDER [--browser PATH] [--pictures DIR] [--out FILE.json]

The page is ``FOLDER/index.html``. It is opened in a headless Chromium, see :mod:`benchmarks.reports`:
seconds from the start of reading to the first text, to the end of loading, and those that all figures
further down take when they are asked for at once. ``printed_s`` is the time of the whole process that
writes the page as PDF, start of the browser included. Pictures of the first screens and the PDF are kept
with ``--pictures``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.campaign_faults import table_of
from benchmarks.reports import MOST_S, QUIET, find_browser, opening_s

SCHEMES = {"light": (), "dark": ("--blink-settings=preferredColorScheme=0",)}
TALL = "--window-size=1280,6000"


def printed_s(page: Path, browser: str, pdf: Path) -> float:
    """Seconds in which the browser starts and writes a page as PDF."""
    began = time.perf_counter()
    _browse(browser, page, f"--print-to-pdf={pdf}")
    return time.perf_counter() - began


def _browse(browser: str, page: Path, *flags: str) -> None:
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *QUIET, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()]
        subprocess.run(command, capture_output=True, check=True, timeout=MOST_S)


def measured(folder: Path, browser: str, pictures: Path) -> dict[str, Any]:
    """What is reported of a campaign's page."""
    page = folder / "index.html"
    found: dict[str, Any] = {
        "runs": len(table_of(folder)),
        "size_mb": round(page.stat().st_size / 1e6, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }
    for name, flags in SCHEMES.items():
        found[name] = opening_s(page, browser, *flags)
        _browse(browser, page, *flags, TALL, f"--screenshot={pictures / f'{name}.png'}")
    found["printed_s"] = round(printed_s(page, browser, pictures / "page.pdf"), 2)
    return found


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--browser", default="", help="a Chromium; default: the first one found")
    parser.add_argument("--pictures", type=Path, help="folder that keeps pictures and PDF")
    parser.add_argument("--out", type=Path, default=Path("docs/results/campaign_page.json"))
    options = parser.parse_args()
    browser = find_browser(options.browser)
    if not browser:
        parser.error("no browser found; install Chromium or give --browser")
    with tempfile.TemporaryDirectory() as place:
        pictures = options.pictures or Path(place)
        pictures.mkdir(parents=True, exist_ok=True)
        found = measured(options.folder, browser, pictures.resolve())
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
