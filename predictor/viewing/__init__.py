"""Invented viewers who behave as measured ones do, and what any log of plays tells of its viewers.

| module | what is in it |
|---|---|
| `course` | sittings, runs and successors of each viewer in a log |
| `episodes` | rows of ended episode plays, for training and measuring |
| `measure`, `statistics` | viewing statistics of a log; the same from a file |
| `behaviour`, `fitted` | how viewers behave, as numbers; the numbers that come with the package |
| `shelf` | what there is to watch |
| `gaps` | how long viewers wait |
| `open_series` | which series each viewer has open |
| `viewers`, `draw` | viewers who move in step; the log they leave |
| `fit`, `agreement` | finds the numbers for given statistics; how well that went |
"""
