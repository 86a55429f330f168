"""A federate that nobody has asked: ``python -m benchmarks.rogue CORE PORT``, the key in ``ROGUE_KEY``.

Says that it is ready, waits for a line, joins, and prints whether the broker let it. One that has joined
stays, as a display would.
"""

from __future__ import annotations

import os
import sys

import helics as h

KEY = "ROGUE_KEY"
"""Environment variable with the key; without it, or empty, the rogue has none."""
NAME = "rogue"
FAR_S = 1e9


def main() -> int:
    """Join, and stay until the federation ends."""
    core, port = sys.argv[1:]
    key = os.environ.get(KEY, "")
    info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, core)
    h.helicsFederateInfoSetCoreName(info, f"{NAME}_core_{os.getpid()}")
    h.helicsFederateInfoSetCoreInitString(
        info,
        f"-f 1 --broker_address=127.0.0.1 --brokerport={port} --loglevel=no_print"
        + (f" --brokerkey={key}" if key else ""),
    )
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        federate = h.helicsCreateValueFederate(NAME, info)
        print("joined", flush=True)
        h.helicsFederateEnterExecutingMode(federate)
        h.helicsFederateRequestTime(federate, FAR_S)
    except h.HelicsException as error:
        print(f"refused: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    # HELICS may hang where a federate that was refused says good-bye.
    os._exit(code)
