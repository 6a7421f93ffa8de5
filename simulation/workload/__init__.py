"""Draws what a run is fed with.

| module | draws |
|---|---|
| `scenario` | segment sizes, and who watches what, of a scenario file |
| `audience` | a scenario's viewers who behave as measured ones do |
| `catalogue` | series and films with popularity, releases and regions |
| `concentration` | how hours fall on titles |
| `generated` | the logs of plays of a whole service |
| `segments` | the segment requests of such a log |
| `cli` | `nearcast simulate workload` |
"""

from simulation.workload.generated import series_workload
from simulation.workload.scenario import titles_of, viewers_of

__all__ = ["series_workload", "titles_of", "viewers_of"]
