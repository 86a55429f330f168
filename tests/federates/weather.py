"""A program of somebody else that forecasts: plain HELICS, nothing of the project."""

from __future__ import annotations

import sys

import helics as h

STEPS_AHEAD = 8


def values(step):
    """What is expected of the steps after a step, by quantity; what is left out stays as measured."""
    return {
        "price_per_kwh": [0.1 if (step + i) % 3 else 0.4 for i in range(1, STEPS_AHEAD + 1)],
        "load_kw": [3000.0 + 100.0 * (step + i) for i in range(1, STEPS_AHEAD + 1)],
    }


def main(core, port, key, name, step_s, steps):
    info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, core)
    broker = f"--broker_address=127.0.0.1 --brokerport={port} --brokerkey={key}"
    h.helicsFederateInfoSetCoreInitString(info, f"-f 1 {broker}")
    h.helicsFederateInfoSetFlagOption(info, h.HELICS_FLAG_UNINTERRUPTIBLE, True)
    h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_PERIOD, float(step_s))
    federate = h.helicsCreateValueFederate(name, info)
    number = h.helicsFederateRegisterPublication(federate, "step", h.HELICS_DATA_TYPE_INT, "")
    vectors = {
        quantity: h.helicsFederateRegisterPublication(federate, quantity, h.HELICS_DATA_TYPE_VECTOR, "")
        for quantity in ("load_kw", "irradiance", "price_per_kwh")
    }
    # So that it does not run ahead of the feeder.
    h.helicsFederateRegisterSubscription(federate, "feeder/result_step", "")
    h.helicsFederateEnterExecutingMode(federate)
    for step in range(int(steps)):
        if step:
            h.helicsFederateRequestTime(federate, step * float(step_s))
        h.helicsPublicationPublishInteger(number, step)
        said = values(step)
        for quantity, publication in vectors.items():
            h.helicsPublicationPublishVector(publication, said.get(quantity, []))
    h.helicsFederateRequestTime(federate, int(steps) * float(step_s))
    h.helicsFederateDisconnect(federate)


if __name__ == "__main__":
    main(*sys.argv[1:])
