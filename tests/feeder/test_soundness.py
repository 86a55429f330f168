"""Masters that no run could be right with are refused by name; curves of PV systems are followed."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from tests.conftest import a_feeder, setpoints

HEAD = (
    "clear",
    "new circuit.c basekv=12.47 bus1=s mvasc3=200 mvasc1=180",
    "new line.l bus1=s bus2=b r1=0.3 x1=0.6 length=1",
    "new load.d bus1=b kv=12.47 kw=300 pf=0.95",
)
ENDS = ("set voltagebases=[12.47 4.16]", "calcvoltagebases", "solve")
CURVES = (
    "new xycurve.pt npts=4 xarray=[0 25 75 100] yarray=[1.2 1.0 0.8 0.6]",
    "new xycurve.eff npts=4 xarray=[0.1 0.2 0.4 1.0] yarray=[0.86 0.9 0.93 0.97]",
)
REFUSED = {
    "positive sequence": (("set cktmodel=positive",), ("positive-sequence",)),
    "another frequency": (("set defaultbasefrequency=50",), ("no node of the feeder has a voltage", "50 Hz")),
    "source switched off": (("disable vsource.source",), ("no node of the feeder has a voltage", "none")),
    "two batteries of one name": (
        ("set allowduplicates=yes", "new storage.s bus1=b kv=12.47", "new storage.s bus1=b kv=12.47"),
        ("storage.s", "rename one"),
    ),
    "two loads of one name": (
        ("set allowduplicates=yes", "new load.d bus1=b kv=12.47 kw=3"), ("load.d", "rename one"),
    ),
    "battery without energy": (("new storage.s bus1=b kv=12.47 kwrated=5 kwhrated=0",), ("storage s", "0 kWh")),
    "battery with a curve": (
        (*CURVES, "new storage.s bus1=b kv=12.47 kwrated=50 kva=50 kwhrated=90 effcurve=eff %effcharge=90"),
        ("Take EffCurve=eff out", "%EffCharge=87.3 %EffDischarge=87.3"),
    ),
    "PV system without panels": (("new pvsystem.p bus1=b kv=12.47 pmpp=0",), ("pvsystem p",)),
}  # fmt: skip


def master_of(tmp_path, *lines):
    path = tmp_path / "m.dss"
    path.write_text("\n".join([*HEAD, *lines, *ENDS]), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name, tmp_path):
    lines, words = REFUSED[name]
    with pytest.raises(FeederError) as refusal:
        FeederModel(master_of(tmp_path, *lines))
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("taps", [0, -1])
def test_a_regulator_without_taps_is_refused_by_name(taps, tmp_path):
    lines = (
        "new transformer.reg phases=3 windings=2 buses=(b e) kvs=(12.47 4.16) kvas=(900 900)",
        f"edit transformer.reg wdg=2 numtaps={taps}",
        "new regcontrol.reg transformer=reg winding=2 vreg=120 band=2 ptratio=20",
        "new load.e bus1=e kv=4.16 kw=30",
    )
    with pytest.raises(FeederError, match=r"reg.*taps"), a_feeder(master_of(tmp_path, *lines)):
        pass


@pytest.mark.parametrize("irradiance", [0.0, 0.05, 0.1, 0.3, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("celsius", [10, 45])
def test_available_power_follows_the_curves_of_the_master(irradiance, celsius, tmp_path):
    line = (
        "new pvsystem.p bus1=b kv=12.47 kva=300 pmpp=280 effcurve=eff p-tcurve=pt %cutin=0.1 %cutout=0.1 "
        f"temperature={celsius}"
    )
    master = master_of(tmp_path, *CURVES, line)
    model = FeederModel(master)
    devices = model.found
    model.close()
    with a_feeder(master, irradiance=irradiance) as feeder:
        seen = feeder.measure(0)
        assert feeder.site.devices == devices
        feeder.apply(setpoints(pv_kw=[280.0], pv_kvar=[0.0]))
        result = feeder.commit()
        assert result.p_kw[0] == pytest.approx(seen.available_kw[0], abs=1e-4)
        panel = 280 * irradiance * np.interp(celsius, [0, 25, 75, 100], [1.2, 1.0, 0.8, 0.6])
        factor = np.interp(panel / 300, [0.0, 0.2, 0.4, 1.0], [0.82, 0.9, 0.93, 0.97])
        assert seen.available_kw[0] == pytest.approx(min(panel * factor, 280.0), abs=1e-9)
        assert not result.events


def test_a_limit_holds_below_what_the_curves_leave(tmp_path):
    line = "new pvsystem.p bus1=b kv=12.47 kva=300 pmpp=280 effcurve=eff p-tcurve=pt temperature=45"
    with a_feeder(master_of(tmp_path, *CURVES, line), irradiance=0.9) as feeder:
        feeder.measure(0)
        feeder.apply(setpoints(pv_kw=[100.0], pv_kvar=[20.0]))
        result = feeder.commit()
        assert result.p_kw[0] == pytest.approx(100.0, abs=1e-4)
        assert result.q_kvar[0] == pytest.approx(20.0, abs=1e-4)


def test_a_shape_of_temperature_is_said_to_be_left_out(tmp_path, caplog):
    shape = "new tshape.t npts=2 interval=12 temp=[20 40]"
    line = "new pvsystem.p bus1=b kv=12.47 kva=300 pmpp=280 tdaily=t temperature=30"
    FeederModel(master_of(tmp_path, shape, line)).close()
    assert "pvsystem.p: Tdaily is not followed; its panels stay at 30 C" in caplog.text
