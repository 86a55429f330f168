"""What is done with each command, option and property of a script: obeyed, left out, or refused.

Left out is what only shows or writes; the circuit is the same without it. What is in no list is refused.
"""

from __future__ import annotations

READS_SCRIPT = frozenset({"redirect", "compile"})
READS_FILE = frozenset({"buscoords", "latlongcoords", "giscoords"})
EDITS = frozenset({"new", "edit", "batchedit"})
CONTINUES = frozenset({"more", "m", "~"})
SETS = frozenset({"set", "solve"})
"""Commands whose words are options."""

OBEYED = (
    EDITS
    | CONTINUES
    | SETS
    | frozenset(
        {
            "select", "open", "close", "enable", "disable", "reset", "clear", "clearall",
            "calcvoltagebases", "setkvbase", "buildy", "init", "allocateloads", "zscrefresh",
            "makebuslist", "makeposseq", "reduce", "interpolate", "rotate", "estimate",
            "reconductor", "_initsnap", "_solvenocontrol", "_samplecontrols", "_docontrolactions",
            "_solvedirect", "_solvepflow", "setloadandgenkv", "rephase", "setbusxy",
            "updatestorage", "reprocessbuses", "var", "cleanup", "finishtimestep", "remove",
            "sample", "calcincmatrix", "calcincmatrix_o", "refine_buslevels", "calclaplacian",
        }
    )
)  # fmt: skip

WRITES = frozenset(
    {
        "save", "show", "plot", "dump", "export", "di_plot", "comparecases", "yearlycurves", "visualize",
        "alignfile", "top", "distribute", "closedi", "cvrtloadshapes", "exportoverloads",
        "exportvviolations", "_showcontrolqueue", "summary", "vdiff", "relcalc", "pstcalc",
    }
)  # fmt: skip
"""Left out, and said so."""

ASKS = frozenset(
    {
        "help", "quit", "?", "panel", "about", "get", "fileedit", "voltages", "currents", "powers",
        "seqvoltages", "seqcurrents", "seqpowers", "losses", "phaselosses", "cktlosses", "formedit",
        "totals", "capacity", "classes", "userclasses", "zsc", "zsc10", "ysc", "puvoltages", "varvalues",
        "varnames", "addbusmarker", "uuids", "nodediff", "variable", "clearbusmarkers", "nodelist",
        "zsc012", "allpceatbus", "allpdeatbus", "totalpowers", "comhelp", "//", "next",
    }
)  # fmt: skip
"""Questions, windows and names for other formats: left out without a word."""

OPTIONS_OBEYED = frozenset(
    {
        "type", "element", "hour", "sec", "year", "frequency", "stepsize", "mode", "random", "number",
        "time", "class", "object", "circuit", "tolerance", "maxiterations", "h", "loadmodel", "loadmult",
        "normvminpu", "normvmaxpu", "emergvminpu", "emergvmaxpu", "%mean", "%stddev", "ldcurve", "%growth",
        "genkw", "genpf", "capkvar", "addtype", "allowduplicates", "zonelock", "ueweight", "lossweight",
        "ueregs", "lossregs", "voltagebases", "algorithm", "trapezoidal", "autobuslist", "controlmode",
        "genmult", "defaultdaily", "defaultyearly", "allocationfactors", "cktmodel", "pricesignal",
        "pricecurve", "terminal", "basefrequency", "harmonics", "maxcontroliter", "bus", "keeplist",
        "reduceoption", "%normal", "cfactors", "numallociterations", "defaultbasefrequency",
        "loadshapeclass", "earthmodel", "neglectloady", "sampleenergymeters", "miniterations", "keepload",
        "zmag", "seasonrating", "seasonsignal", "linetypes", "longlinecorrection",
    }
)  # fmt: skip

OPTIONS_LEFT_OUT = frozenset(
    {
        "editor", "datapath", "demandinterval", "diverbose", "casename", "log", "recorder",
        "overloadreport", "voltexceptionreport", "showexport", "querylog", "tracecontrol", "showreports",
        "registryupdate", "markercode", "nodewidth", "markswitches", "switchmarkercode", "daisysize",
        "marktransformers", "transmarkercode", "transmarkersize", "markcapacitors", "markregulators",
        "markpvsystems", "markstorage", "capmarkercode", "regmarkercode", "pvmarkercode",
        "storemarkercode", "capmarkersize", "regmarkersize", "pvmarkersize", "storemarkersize",
        "markfuses", "fusemarkercode", "fusemarkersize", "markreclosers", "reclosermarkercode",
        "reclosermarkersize", "markrelays", "relaymarkercode", "relaymarkersize",
        "dssvisualizationtool", "eventlogdefault", "processtime", "totaltime", "steptime",
        "concatenatereports", "actorprogress",
    }
)  # fmt: skip
"""Of reports, traces, drawings and folders of the engine."""

NATIVE_CODE = frozenset({"usermodel", "shaftmodel", "dynadll"})
"""Properties whose value is a shared library, which the engine loads and executes at once."""

NATIVE_DATA = frozenset({"userdata", "shaftdata", "dynadata"})
"""Text for such a library."""

PROPERTIES_LEFT_OUT = frozenset({"debugtrace", "memorymapping"})
"""Traces open files by name, for every engine the same; shapes mapped into memory are read as garbage."""

ACTIONS_OBEYED = (
    "normalize",
    "clear",
    "reduce",
    "allocate",
    "takesample",
    "process",
    "reset",
    "open",
    "close",
)
"""Values of ``action``; the others write files."""

BOUNDS = {
    "phases": 100.0,
    "nphases": 100.0,
    "nconds": 100.0,
    "windings": 100.0,
    "numsteps": 1_000.0,
    "npts": 10_000_000.0,
    "numharm": 10_000.0,
}
"""Properties that the engine takes memory for before it looks at anything else."""

OPTION_BOUNDS = {
    "number": 40_000.0,
    "maxiterations": 100_000.0,
    "miniterations": 10_000.0,
    "maxcontroliter": 100_000.0,
    "numallociterations": 10_000.0,
}
